"""How far a step is, and whether to stop: told by components, read by the execution.

Components that run in this process report here; a component on a remote worker reports into that worker's copy, which
nobody reads. Nothing heavy is imported, so that reading it costs a cached run nothing.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fluent_pipe.errors import Interrupted


@dataclass(frozen=True)
class Progress:
    """How far one step is.

    Parameters
    ----------
    rows
        Rows seen so far.
    detail
        More in words, such as ``"epoch 2/5, loss 0.31"``.
    """

    rows: int = 0
    detail: str = ""


_lock = threading.Lock()
_steps: dict[str, Progress] = {}
_stop = threading.Event()


def _nobody(step: str, words: str) -> None:
    """Hear nothing."""


_listener: list[Callable[[str, str], None]] = [_nobody]


def report(step: str, *, rows: int = 0, detail: str | None = None) -> None:
    """Add ``rows`` to what ``step`` has seen; replace its detail where one is given.

    Raises
    ------
    Interrupted
        If the run was asked to stop, so that a batch loop that reports also stops.
    """
    check()
    with _lock:
        before = _steps.get(step, Progress())
        _steps[step] = Progress(before.rows + rows, before.detail if detail is None else detail)


def check() -> None:
    """Raise ``Interrupted`` if the run was asked to stop."""
    if _stop.is_set():
        raise Interrupted("The run was stopped.", fix="Finished steps stay cached; run again to go on.")


def say(step: str, words: str) -> None:
    """Tell the person who watches the run what must not be missed, as a line of its own."""
    _listener[0](step, words)


def snapshot() -> dict[str, Progress]:
    """Progress by step id."""
    with _lock:
        return dict(_steps)


def reset(listener: Callable[[str, str], None] = _nobody) -> None:
    """Forget all progress and any request to stop; at the start of a run.

    Parameters
    ----------
    listener
        Called with step and words at every :func:`say`.
    """
    with _lock:
        _steps.clear()
    _listener[:] = [listener]
    _stop.clear()


def forget(step: str) -> None:
    """Forget one step's progress; before it is tried again."""
    with _lock:
        _steps.pop(step, None)


def request_stop() -> None:
    """Ask everything that reports to stop."""
    _stop.set()


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, Ctrl-C also asks everything that reports to stop.

    Beam turns a ``KeyboardInterrupt`` that reaches a worker into an error like any other; that a stop was asked for is
    how the two are told apart. Does nothing outside the main thread, or where another handler is in place.
    """
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _on_ctrl_c)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _on_ctrl_c(number: int, frame: Any) -> None:
    request_stop()
    signal.default_int_handler(number, frame)
