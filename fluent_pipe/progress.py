"""How far a step is, and whether to stop: told by components, read by the execution.

Components that run in this process report here; a component on a remote worker reports into that worker's copy, which
nobody reads. Nothing heavy is imported, so that reading it costs a cached run nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

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
_heard = threading.Event()


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
        _heard.set()
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
    _heard.clear()


def forget(step: str) -> None:
    """Forget one step's progress; before it is tried again."""
    with _lock:
        _steps.pop(step, None)


def request_stop() -> None:
    """Ask everything that reports to stop."""
    _stop.set()


def is_stopping() -> bool:
    """Whether the run was asked to stop."""
    return _stop.is_set()


def is_stop_heard() -> bool:
    """Whether something has raised ``Interrupted`` since the run was asked to stop, and is on its way out."""
    return _heard.is_set()
