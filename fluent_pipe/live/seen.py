"""How far a run is, as one may look at it: of steps, and of the whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fluent_pipe.execution import RunState, StepState

PROGRESS_FILE = "progress.json"
OLD_SECONDS = 20.0
"""A process that has written nothing for so long is dead or stopped; imports of libraries may take some seconds."""


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
