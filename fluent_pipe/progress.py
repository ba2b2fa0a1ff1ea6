"""How far a step is, and whether to stop: told by components, read by the execution.

Components that run in this process report here; a component on a remote worker reports into that worker's copy, which
nobody reads. Nothing heavy is imported, so that reading it costs a cached run nothing.
"""

from __future__ import annotations

import threading
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
        raise Interrupted("The run was stopped.")


def snapshot() -> dict[str, Progress]:
    """Progress by step id."""
    with _lock:
        return dict(_steps)


def reset() -> None:
    """Forget all progress and any request to stop; at the start of a run."""
    with _lock:
        _steps.clear()
    _stop.clear()


def forget(step: str) -> None:
    """Forget one step's progress; before it is tried again."""
    with _lock:
        _steps.pop(step, None)


def request_stop() -> None:
    """Ask everything that reports to stop."""
    _stop.set()
