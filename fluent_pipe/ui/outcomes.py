"""What a list of runs says of each: how good, pushed or why not, how much came from the cache.

Read from the folders of the run's steps. A published folder never changes, so what was read of it is kept.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from fluent_pipe import live
from fluent_pipe.artifacts import Artifact, Evaluation, Predictions, PushedModel
from fluent_pipe.mirror import Root
from fluent_pipe.store import approvals
from fluent_pipe.store.metadata import StoredRun
from fluent_pipe.ui.history import run_folder

WAITING = "waiting for approval"
COUNTS = ("example_count", "weighted_example_count")
"""Metrics that say how much was evaluated, not how good the model is."""


@dataclass(frozen=True)
class Outcome:
    """How one run went, in a line.

    Parameters
    ----------
    run
        Its record.
    state
        As recorded, or ``"waiting for approval"``.
    metrics
        Overall metrics of its evaluation; None is a metric that could not be computed.
    primary
        Name of the metric that it is judged by; empty without an evaluation.
    version
        What was pushed; empty if nothing was.
    why
        Why it failed, or why nothing was pushed or scored; empty where all went well.
    at
        What it is at, while it is under way.
    """

    run: StoredRun
    state: str
    metrics: Mapping[str, float | None]
    primary: str
    version: str
    why: str
    at: str = ""

    @property
    def value(self) -> float | None:
        """The primary metric."""
        return self.metrics.get(self.primary)

    @property
    def cached(self) -> int:
        """How many steps came from the cache."""
        return sum(step.state == "cached" for step in self.run.steps)

    @property
    def seconds(self) -> float | None:
        """How long the run took; None while it is under way, or if its process died."""
        return (self.run.finished - self.run.started).total_seconds() if self.run.finished else None


def outcome_of(run: StoredRun, root: Root) -> Outcome:
    """How a run went, as far as its folders are on this machine."""
    evaluation: Mapping[str, Any] = {}
    pushed: Mapping[str, Any] = {}
    scored: Mapping[str, Any] = {}
    for step in run.steps:
        for name, facts in _facts_in(step.path).items():
            if name == Evaluation.facts_file:
                evaluation = facts
            elif name == PushedModel.facts_file:
                pushed = facts
            elif name == Predictions.facts_file:
                scored = facts
    version = pushed.get("version")
    reasons = [run.properties.get("reason"), *pushed.get("reasons", ()), *scored.get("reasons", ())]
    return Outcome(
        run,
        WAITING if _waits(run, root) else run.state,
        evaluation.get("metrics", {}),
        str(evaluation.get("primary", "")),
        "" if version is None else f"version {version}",
        " ".join(str(reason) for reason in dict.fromkeys(reasons) if reason),
        _at(run, root),
    )


def _at(run: StoredRun, root: Root) -> str:
    """Which steps run now, and how far they are, as the run says itself."""
    folder = run_folder(root, run) if run.state == "running" else None
    said = live.read(folder) if folder is not None else None
    steps = [step for step in said.steps if step.state == "running"] if said is not None else []
    return ", ".join(step.step + (f" {step.fraction:.0%}" if step.fraction is not None else "") for step in steps)


def metric_names(outcomes: Iterator[Outcome] | list[Outcome]) -> list[str]:
    """Metrics that may be followed over time: the primary one of the newest run first, counts last."""
    found = dict.fromkeys(name for o in outcomes for name in (o.primary, *o.metrics) if name)
    return sorted(found, key=lambda name: name in COUNTS)


def _waits(run: StoredRun, root: Root) -> bool:
    """Whether a person is to decide; only for runs that may wait, since all requests are read for it."""
    may = run.state in ("waiting", "running")
    return may and approvals.waiting_for(root.home / run.pipeline, run.id) is not None


def _facts_in(folder: Path | None) -> Mapping[str, Mapping[str, Any]]:
    """By the name of their file, what a folder says; nothing for one that is gone, or whose files cannot be read."""
    if folder is None:
        return {}
    try:
        return _kept_facts(folder)
    except OSError:  # gone, or not here yet: not kept
        return {}


@lru_cache(maxsize=100_000)
def _kept_facts(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    there = {entry.name for entry in folder.iterdir()}
    kinds: list[type[Artifact]] = [Evaluation, PushedModel, Predictions]
    for name in {kind.facts_file for kind in kinds} & there:
        try:
            facts = json.loads((folder / name).read_bytes())
            found[name] = _overall(facts) if name == Evaluation.facts_file else _verdict(facts)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):  # a component of the user's own wrote it
            found[name] = {}
    return found


def _overall(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Overall metrics alone: with all slices, the facts of a thousand runs would fill the memory."""
    metrics = {str(name): _number(value) for name, value in facts["slices"][0]["metrics"].items()}
    return {"metrics": metrics, "primary": facts["primary_metric"]}


def _verdict(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"version": facts.get("version"), "reasons": [str(reason) for reason in facts["reasons"]]}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
