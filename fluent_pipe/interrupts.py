"""Ctrl-C: ends a run soon, but never in the middle of TensorFlow.

TensorFlow's native code calls Python, and not all of it looks whether that raised: a ``KeyboardInterrupt`` in such a
place ends in a ``SystemError``, a hang or a crash, and with a crash nothing is tidied up. So Ctrl-C asks the run to
stop, which every batch of every step heeds, and raises only where TensorFlow is not at work.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from fluent_pipe import progress

GRACE_SECONDS = 15.0
"""How long TensorFlow may go on after Ctrl-C; tracing a large graph takes as long. Then it is interrupted after all."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, Ctrl-C asks everything that reports progress to stop, and raises where that is safe.

    It raises at once where no TensorFlow is on the main thread's stack, else as soon as it is left; after
    ``GRACE_SECONDS``, or if Ctrl-C is pressed again, whatever is at work. Beam turns a ``KeyboardInterrupt`` that
    reaches a worker into an error like any other; that a stop was asked for is how the two are told apart.

    Does nothing outside the main thread, or where another handler of SIGINT is in place. Once Ctrl-C was pressed it
    uses SIGALRM and the main thread's profile function.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C.
    """
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    pressed = _CtrlC()
    signal.signal(signal.SIGINT, pressed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        pressed.wait_no_more()


class _CtrlC:
    """Handles SIGINT: raises now, or when the outermost of TensorFlow's functions on the stack returns."""

    def __init__(self) -> None:
        self._awaited: FrameType | None = None
        self._before: Any = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        progress.request_stop()
        outermost = _outermost_of_tensorflow(frame)
        if self._awaited is not None or outermost is None:
            self.wait_no_more()
            raise KeyboardInterrupt
        self._awaited = outermost
        self._before = sys.getprofile(), signal.signal(signal.SIGALRM, self._time_is_up)
        sys.setprofile(self._watch)
        signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)

    def wait_no_more(self) -> None:
        """Put the timer and the profile function back."""
        if self._awaited is None:
            return
        self._awaited = None
        profile, alarm = self._before
        sys.setprofile(profile)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm or signal.SIG_DFL)

    def _time_is_up(self, number: int, frame: FrameType | None) -> None:
        self._end_waiting()

    def _watch(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "return" and frame is self._awaited:
            self._end_waiting()

    def _end_waiting(self) -> None:
        self.wait_no_more()
        if not progress.is_stop_heard():  # else a step is on its way out, which must not be disturbed
            raise KeyboardInterrupt


def _outermost_of_tensorflow(frame: FrameType | None) -> FrameType | None:
    found = None
    while frame is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0] == "tensorflow":
            found = frame
        frame = frame.f_back
    return found
