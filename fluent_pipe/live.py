"""How far a run is, for whoever shows it, in this process and in others.

A :class:`Board` is told what happens and knows how far each step is. A terminal asks it, and so does a :class:`Writer`,
which leaves what it says in ``progress.json`` beside the run's log, for as long as the run is under way: that is how
the page over runs, in a process of its own, sees it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fluent_pipe import progress
from fluent_pipe.execution import Observer, RunState, StepState

PROGRESS_FILE = "progress.json"
LOOK_SECONDS = 1.0
"""How often a board is looked at."""
OLD_SECONDS = 20.0
"""A process that has written nothing for so long is dead or stopped; imports of libraries may take some seconds."""
LEAST_SECONDS = 2.0
LEAST_FRACTION = 0.05
"""What must have passed, of time and of work, before a rate says anything about the rest."""
ALL = 0.999
"""Parts that were added up come to no more."""
HALF_LIFE_SECONDS = 3.0
"""After so long an estimate has gone half of the way to a new one, so that it does not jump about."""


@dataclass(frozen=True)
class LiveStep:
    """One step of a run under way.

    Parameters
    ----------
    step
        Its id.
    state
        What it is at.
    job
        Number of its Beam job in this run, from 1; None before it runs, and from the cache.
    seconds
        That it took, or has taken so far; None for one that has not begun.
    rows, total
        Rows seen so far, and in all where that is known.
    fraction
        How much of it is done, from 0 to 1; None where that cannot be known.
    left
        Seconds left, by its rate so far; None where that says nothing yet.
    detail
        What it says of itself while it runs, such as ``"epoch 2/5 · loss 0.31"``.
    note
        What there is to say of its result.
    """

    step: str
    state: StepState = "waiting"
    job: int | None = None
    seconds: float | None = None
    rows: int = 0
    total: int | None = None
    fraction: float | None = None
    left: float | None = None
    detail: str = ""
    note: str = ""


@dataclass(frozen=True)
class Live:
    """A run under way.

    Parameters
    ----------
    run, pipeline
        Its id, and the name of its pipeline.
    state
        ``"running"``, until it has ended.
    begun, updated
        UTC.
    stopping
        Whether it was asked to stop.
    steps
        In order.
    """

    run: str
    pipeline: str
    state: RunState
    begun: datetime
    updated: datetime
    stopping: bool = False
    steps: tuple[LiveStep, ...] = ()

    @property
    def seconds(self) -> float:
        """From its begin to when this was known."""
        return (self.updated - self.begun).total_seconds()

    @property
    def is_old(self) -> bool:
        """Whether its process has been silent for so long that it may be dead."""
        return (datetime.now(timezone.utc) - self.updated).total_seconds() > OLD_SECONDS

    def count(self, *states: StepState) -> int:
        """How many steps are in one of these states."""
        return sum(step.state in states for step in self.steps)

    def to_json(self) -> str:
        """As text, for :func:`read`."""
        return json.dumps({**asdict(self), "begun": self.begun.isoformat(), "updated": self.updated.isoformat()})


def read(folder: Path) -> Live | None:
    """What a run under way has written into its folder.

    Returns
    -------
    Live or None
        None where nothing is: the run has ended, has not begun to work, or cannot write there. A process that was
        killed leaves what it wrote last: see :attr:`Live.is_old`.
    """
    try:
        said = json.loads((folder / PROGRESS_FILE).read_text(encoding="utf-8"))
        times = {name: datetime.fromisoformat(said[name]) for name in ("begun", "updated")}
        steps = tuple(LiveStep(**_known(LiveStep, step)) for step in said["steps"])
        return Live(**{**_known(Live, said), **times, "steps": steps})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _known(kind: type[Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """What ``kind`` has a field for; a later version may write more."""
    names = {f.name for f in fields(kind)}
    return {name: value for name, value in said.items() if name in names}


class Estimate:
    """When a step will have ended, by its rate since its first sign of progress."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None
        self._last = (0.0, 0.0)
        self._end: float | None = None

    def left(self, fraction: float | None, now: float) -> float | None:
        """Seconds left at ``now``, in seconds of any clock; None where that cannot be known.

        Examples
        --------
        >>> estimate = Estimate()
        >>> [estimate.left(done, now) for done, now in [(0.0, 0), (0.1, 10), (0.2, 11), (0.3, 12), (None, 13)]]
        [None, None, None, 7.0, None]
        """
        if not fraction or fraction >= ALL:
            return None
        if self._first is None or fraction < self._last[1]:
            self._first, self._last, self._end = (now, fraction), (now, fraction), None
        seconds, done = now - self._first[0], fraction - self._first[1]
        if seconds < LEAST_SECONDS or done < LEAST_FRACTION:
            return None
        if self._end is None or fraction > self._last[1]:
            end = now + seconds * (1 - fraction) / done
            share = 1 - 0.5 ** ((now - self._last[0]) / HALF_LIFE_SECONDS)
            self._end = end if self._end is None else self._end + share * (end - self._end)
            self._last = (now, fraction)
        left = self._end - now
        return round(left, 1) if left > 0 else None


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


class Looking(Observer):
    """Looks at a board now and then, on a thread of its own, from the first job of a run to the run's end.

    A run whose steps are all cached has ended before anybody could look, and no thread is started for it.

    Parameters
    ----------
    board
        Told before this observer is.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self._news = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """Look, once a second and when a job begins; not any more when :meth:`finish` is called."""

    def finish(self, state: RunState) -> None:
        """The run has ended."""

    def job(self, steps: Collection[str]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_looking, name="progress", daemon=True)
            self._thread.start()
        self._news.set()

    def ended(self, state: RunState) -> None:
        self._over.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(OLD_SECONDS)  # for ever, if a disk does not answer
        self.finish(state)

    def _keep_looking(self) -> None:
        while not self._over.is_set():
            self._news.clear()
            self.look()
            self._over.wait(0.1)  # steps of a job change together
            self._news.wait(LOOK_SECONDS)


class Writer(Looking):
    """Leaves what a board says in the folder of a run, until the run ends."""

    def __init__(self, board: Board, folder: Path) -> None:
        super().__init__(board)
        self._file = folder / PROGRESS_FILE

    def look(self) -> None:
        """Write it, by one rename; at a change of a step too."""
        with suppress(OSError):  # on a full disk the run has other worries
            unfinished = self._file.with_suffix(".unfinished")
            unfinished.write_text(self.board.now().to_json(), encoding="utf-8")
            unfinished.replace(self._file)

    def changed(self, step: str, state: StepState, *, seconds: float | None = None, note: str = "") -> None:
        self._news.set()

    def finish(self, state: RunState) -> None:
        """Take it away: what has ended is told by the store."""
        if self._thread is not None:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)


class Observers(Observer):
    """Several observers, told in turn."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def started(self, steps: Collection[str]) -> None:
        for observer in self._observers:
            observer.started(steps)

    def job(self, steps: Collection[str]) -> None:
        for observer in self._observers:
            observer.job(steps)

    def changed(self, step: str, state: StepState, *, seconds: float | None = None, note: str = "") -> None:
        for observer in self._observers:
            observer.changed(step, state, seconds=seconds, note=note)

    def said(self, step: str, words: str) -> None:
        for observer in self._observers:
            observer.said(step, words)

    def ended(self, state: RunState) -> None:
        for observer in self._observers:
            observer.ended(state)
