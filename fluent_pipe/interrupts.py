"""Ctrl-C: ends a run soon, but never in the middle of TensorFlow.

TensorFlow's native code calls Python, and not all of it looks whether that raised: a ``KeyboardInterrupt`` in such a
place ends in a ``SystemError``, a hang or a crash, and with a crash nothing is tidied up. So Ctrl-C asks the run to
stop, which every batch of every step heeds, and raises only where TensorFlow is not at work.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from fluent_pipe import progress

GRACE_SECONDS = 15.0
"""How long TensorFlow may go on after Ctrl-C; tracing a large graph takes as long. Then it is interrupted after all."""

SECONDS_BETWEEN_LOOKS = 0.05


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, Ctrl-C asks everything that reports progress to stop, and raises where that is safe.

    It raises at once where no TensorFlow is on the main thread's stack, else as soon as it has left; after
    ``GRACE_SECONDS``, or if Ctrl-C is pressed again, whatever is at work. Beam turns a ``KeyboardInterrupt`` that
    reaches a worker into an error like any other; that a stop was asked for is how the two are told apart.

    Does nothing outside the main thread, or where another handler of SIGINT is in place. Uses SIGALRM once Ctrl-C was
    pressed.

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
    alarm = signal.signal(signal.SIGALRM, pressed.look_again)
    signal.signal(signal.SIGINT, pressed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)


class _CtrlC:
    """Handles SIGINT, and the timer that looks again whether raising is safe."""

    def __init__(self) -> None:
        self._until: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        progress.request_stop()
        if self._until is not None or not _in_tensorflow(frame):
            self._raise(number, frame)
        self._until = time.monotonic() + GRACE_SECONDS
        signal.setitimer(signal.ITIMER_REAL, SECONDS_BETWEEN_LOOKS, SECONDS_BETWEEN_LOOKS)

    def look_again(self, number: int, frame: FrameType | None) -> None:
        """Raise if it is safe by now, or time is up; nothing if a step stops already, which must not be disturbed."""
        if progress.is_stop_heard() or self._until is None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        elif time.monotonic() > self._until or not _in_tensorflow(frame):
            self._raise(number, frame)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.default_int_handler(number, frame)


def _in_tensorflow(frame: FrameType | None) -> bool:
    while frame is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0] == "tensorflow":
            return True
        frame = frame.f_back
    return False
