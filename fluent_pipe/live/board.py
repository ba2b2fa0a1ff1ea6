"""What is known of a run under way, in its own process."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timezone

from fluent_pipe import progress
from fluent_pipe.execution import Observer, RunState, StepState
from fluent_pipe.live.estimate import Estimate
from fluent_pipe.live.seen import Live, LiveStep


@dataclass
class _Step:
    state: StepState = "waiting"
    job: int | None = None
    begun: float = 0.0
    seconds: float | None = None
    note: str = ""
    estimate: Estimate = field(default_factory=Estimate)


class Board(Observer):
    """What is known of a run under way: told by the execution, asked by whoever shows it, on any thread."""

    def __init__(self, run: str, pipeline: str) -> None:
        self._run = run
        self._pipeline = pipeline
        self._state: RunState = "running"
        self._begun = datetime.now(timezone.utc)
        self._began = time.monotonic()
        self._jobs = 0
        self._steps: dict[str, _Step] = {}
        self._lock = threading.Lock()

    def started(self, steps: Collection[str]) -> None:
        with self._lock:
            self._steps = {step: _Step() for step in steps}

    def job(self, steps: Collection[str]) -> None:
        with self._lock:
            self._jobs += 1
            for step in steps:
                self._steps[step] = _Step("running", self._jobs, time.monotonic())

    def changed(self, step: str, state: StepState, *, seconds: float | None = None, note: str = "") -> None:
        with self._lock:
            known = self._steps[step]
            known.state, known.seconds, known.note = state, seconds, note

    def ended(self, state: RunState) -> None:
        self._state = state

    def now(self) -> Live:
        """How far it is."""
        told = progress.snapshot()
        at = time.monotonic()
        with self._lock:
            steps = tuple(
                _live(name, step, told.get(name, progress.Progress()), at) for name, step in self._steps.items()
            )
        # By the clock that nobody sets, or a run would take a negative time when the other one is put right.
        updated = datetime.fromtimestamp(self._begun.timestamp() + at - self._began, timezone.utc)
        return Live(self._run, self._pipeline, self._state, self._begun, updated, progress.is_stopping(), steps)


def _live(name: str, step: _Step, at: progress.Progress, now: float) -> LiveStep:
    if step.state != "running":
        return LiveStep(name, step.state, step.job, step.seconds, at.rows, note=step.note)
    return LiveStep(
        name,
        step.state,
        step.job,
        round(now - step.begun, 2),
        at.rows,
        at.total,
        at.fraction,
        step.estimate.left(at.fraction, now),
        at.detail,
        step.note,
    )
