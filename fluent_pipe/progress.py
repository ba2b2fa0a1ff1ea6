"""How far a step is, and whether to stop: told by components, read by the execution.

Components that run in this process report here. One in another process reports into that process's copy; a *carrier*
there takes it along to the driver, which hands it in by :func:`relay` or :func:`counted`. A runner tells by
:func:`tell_job` what its job is at. Nothing heavy is imported, so that reading it costs a cached run nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

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
    total
        Rows in all; None where that is not known before.
    part
        How much of the work is done, from 0 to 1; None where rows tell it, or nothing does.
    """

    rows: int = 0
    detail: str = ""
    total: int | None = None
    part: float | None = None

    @property
    def fraction(self) -> float | None:
        """How much is done, from 0 to 1, by the part or else by rows; None where neither can tell."""
        done = self.part if self.part is not None else self.rows / self.total if self.total else None
        return None if done is None else min(done, 1.0)


class Carrier(Protocol):
    """Takes along what a step reports in this process."""

    def __call__(self, step: str, rows: int, detail: str | None, part: float) -> None:
        """Take it."""


_lock = threading.Lock()
_steps: dict[str, Progress] = {}
_counted: dict[str, dict[object, int]] = {}
_totals: dict[str, int] = {}
_jobs: dict[str, str] = {}
_carriers: list[Carrier] = []
_stop = threading.Event()
_heard = threading.Event()


def _nobody(step: str, words: str) -> None:
    """Hear nothing."""


_listener: list[Callable[[str, str], None]] = [_nobody]


def report(step: str, *, rows: int = 0, detail: str | None = None, part: float = 0.0) -> None:
    """Tell what ``step`` has done since it last told.

    Parameters
    ----------
    rows
        Rows seen since then.
    detail
        Replaces what it said before. None: that stays.
    part
        The part of all its work that was done since then, where rows alone do not tell; parts come to 1 at the end.

    Raises
    ------
    Interrupted
        If the run was asked to stop, so that a batch loop that reports also stops.
    """
    check()
    relay(step, rows, detail, part)
    for carrier in _carriers:
        carrier(step, rows, detail, part)


def relay(step: str, rows: int, detail: str | None, part: float = 0.0) -> None:
    """Take what was reported in another process. Its workers are stopped by other means, so this never raises."""
    with _lock:
        before = _steps.get(step, Progress())
        _steps[step] = Progress(
            before.rows + rows,
            before.detail if detail is None else detail,
            part=(before.part or 0.0) + part if part else before.part,
        )


def reached(step: str, part: float) -> None:
    """Tell, on the driver, that so much of the work of ``step`` is done at least, from 0 to 1."""
    with _lock:
        before = _steps.get(step, Progress())
        _steps[step] = replace(before, part=max(before.part or 0.0, part))


def expect(step: str, rows: int | None) -> None:
    """Tell, on the driver, how many rows ``step`` will see in all; None where nobody knows."""
    if rows is not None:
        with _lock:
            _totals[step] = rows


def carried_by(carrier: Carrier) -> None:
    """Have all that is reported in this process taken along by ``carrier`` too, from now on."""
    if carrier not in _carriers:
        _carriers.append(carrier)


def counted(job: object, rows: Mapping[str, int]) -> None:
    """Take what a runner counted in a job, whose workers may or may not be in this process.

    Rows that were reported here are among those counted, so the larger of the two is shown.

    Parameters
    ----------
    job
        Tells jobs apart; a step that runs several adds them up.
    rows
        Seen in the job so far, by step.
    """
    with _lock:
        for step, seen in rows.items():
            _counted.setdefault(step, {})[job] = seen


def tell_job(steps: Iterable[str], words: str) -> None:
    """Tell what the job of ``steps`` is at; shown while they have nothing better to say. No words: no job any more."""
    with _lock:
        _jobs.update(dict.fromkeys(steps, words))


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
        return {step: _seen(step) for step in {**_steps, **_counted, **_totals, **_jobs}}


def _seen(step: str) -> Progress:
    own = _steps.get(step, Progress())
    rows = max(own.rows, sum(_counted.get(step, {}).values()))
    return Progress(rows, own.detail or _jobs.get(step, ""), _totals.get(step), own.part)


def reset(listener: Callable[[str, str], None] = _nobody) -> None:
    """Forget all progress and any request to stop; at the start of a run.

    Parameters
    ----------
    listener
        Called with step and words at every :func:`say`.
    """
    with _lock:
        for known in (_steps, _counted, _totals, _jobs):
            known.clear()
    _listener[:] = [listener]
    _stop.clear()
    _heard.clear()


def forget(step: str) -> None:
    """Forget one step's progress; before it is tried again."""
    with _lock:
        for known in (_steps, _counted, _totals, _jobs):
            known.pop(step, None)


def request_stop() -> None:
    """Ask everything that reports to stop."""
    _stop.set()


def is_stopping() -> bool:
    """Whether the run was asked to stop."""
    return _stop.is_set()


def is_stop_heard() -> bool:
    """Whether something has raised ``Interrupted`` since the run was asked to stop, and is on its way out."""
    return _heard.is_set()
