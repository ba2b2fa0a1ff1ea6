"""What differs between two past runs, as rows: one function for each thing that may differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fluent_pipe.artifacts import Artifact, Evaluation, Examples, Model, Schema, Statistics
from fluent_pipe.report.distances import distances
from fluent_pipe.report.past import PastRun
from fluent_pipe.report.schema_changes import schema_changes
from fluent_pipe.results import SchemaResult, StatisticsResult, slice_name
from fluent_pipe.steps.metrics import lower_is_better

Rows = list[dict[str, Any]]

COUNTS = ("example_count", "weighted_example_count")
NEITHER = (*COUNTS, "mean_label", "mean_prediction", "calibration", "prevalence", "predicted_positive_rate")
"""Metrics of which neither more nor less is better."""


def metrics(before: PastRun, after: PastRun) -> Rows:
    """Slice, metric, value before and after, change; ``better`` and ``certain`` where they can be known.

    ``certain`` is true where the two 95 % intervals do not meet, false where they do, None without intervals.
    """
    old, new = before.artifact(Evaluation), after.artifact(Evaluation)
    if old is None or new is None:
        return []
    others = {slice_name(s["slice"]): s for s in old.facts()["slices"]}
    return [
        {"slice": name, **row}
        for s in new.facts()["slices"]
        if (name := slice_name(s["slice"])) in others
        for row in _metrics_of_slice(others[name], s)
    ]


def _metrics_of_slice(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for metric, value in new["metrics"].items():
        earlier = old["metrics"].get(metric)
        known = all(isinstance(v, int | float) and v == v for v in (earlier, value))
        change = value - earlier if known else None
        better = (change < 0) == lower_is_better(metric) if change and metric not in NEITHER else None
        ends = [side.get("intervals", {}).get(metric) for side in (old, new)]
        certain = ends[0][1] < ends[1][0] or ends[1][1] < ends[0][0] if all(ends) else None
        yield {
            "metric": metric, "before": earlier, "after": value, "change": change, "better": better, "certain": certain
        }  # fmt: skip


def drift(before: PastRun, after: PastRun) -> Rows:
    """Split, column, measure and distance between the statistics of both runs; what differs most comes first.

    Beside it ``by chance``, which two samples of the same data seldom exceed, and the shares of missing values.
    """
    pair = _other_content(before, after, Statistics)
    if pair is None:
        return []
    from fluent_pipe.components.statistics_protos import all_rows

    old, new = (StatisticsResult(artifact) for artifact in pair)
    found = []
    for split in new.splits:
        if split in old.splits:
            sides = all_rows(old.proto(split)), all_rows(new.proto(split))
            missing = [_missing(side) for side in sides]
            found += [
                {
                    "column": row["column"],
                    "split": split,
                    **row,
                    "missing before": missing[0].get(row["column"]),
                    "missing after": missing[1].get(row["column"]),
                }
                for row in distances(*sides)
            ]
    return sorted(found, key=lambda row: row["by chance"] - row["distance"])


def _missing(dataset: Any) -> dict[str, float]:
    from fluent_pipe.components.statistics_protos import common, name_of

    counts = {name_of(f): common(f) for f in dataset.features}
    return {name: c.num_missing / rows for name, c in counts.items() if (rows := c.num_missing + c.num_non_missing) > 0}


def schema(before: PastRun, after: PastRun) -> Rows:
    """Column, what of it changed, before and after: columns, types, presence, values of domains."""
    pair = _other_content(before, after, Schema)
    return [] if pair is None else schema_changes(*(SchemaResult(artifact).proto() for artifact in pair))


def row_counts(before: PastRun, after: PastRun) -> Rows:
    """Split and its rows."""
    sides = [_facts(run, Examples).get("splits", {}) for run in (before, after)]
    if not all(sides):
        return []
    counts = [{name: split["rows"] for name, split in side.items()} for side in sides]
    return _pairs("split", *counts)


def parameters(before: PastRun, after: PastRun) -> Rows:
    """Step, argument, and what it was and is; also steps that only one of them has."""
    old, new = (_asked(run) for run in (before, after))
    if not old or not new:
        return []
    rows: Rows = []
    for step in {**old, **new}:
        if step not in old or step not in new:
            there = ("no such step", "in the pipeline") if step not in old else ("in the pipeline", "no such step")
            rows.append({"step": step, "argument": "", "before": there[0], "after": there[1]})
            continue
        pairs = _pairs("argument", old[step]["arguments"], new[step]["arguments"])
        rows += [{"step": step, **pair} for pair in pairs]
    return rows


def hyperparameters(before: PastRun, after: PastRun) -> Rows:
    """Name and value of those that the model was trained with."""
    sides = [_facts(run, Model).get("hyperparameters") or {} for run in (before, after)]
    return _pairs("hyperparameter", *sides) if all(sides) else []


def steps(before: PastRun, after: PastRun) -> Rows:
    """Step, how it went and its seconds, and why it was done anew where that is known."""
    old, new = ({s.step: s for s in run.stored.steps} for run in (before, after))
    return [
        {
            "step": step,
            "before": old[step].state if step in old else None,
            "seconds before": old[step].seconds if step in old else None,
            "after": new[step].state if step in new else None,
            "seconds after": new[step].seconds if step in new else None,
            "why": _why(step, before, after),
        }
        for step in {**new, **old}
    ]


def _why(step: str, before: PastRun, after: PastRun) -> str:
    """Why the cache key of a step is another."""
    keys = before.keys.get(step), after.keys.get(step)
    if None in keys or keys[0] == keys[1]:
        return ""
    old, new = (_asked(run).get(step) for run in (before, after))
    if old is None or new is None:
        return "something that it depends on changed"
    if old["arguments"] != new["arguments"]:
        return "its arguments changed"
    made = [{a.step: a.fingerprint for a in run.artifacts} for run in (before, after)]
    changed = [i for i in new["inputs"] if made[0].get(i) != made[1].get(i)]
    if changed:
        return f"{', '.join(changed)} changed"
    return "its code, its files or what it compares with changed"


def versions(before: PastRun, after: PastRun) -> Rows:
    """Package and version."""
    sides = [_json(run, "versions") for run in (before, after)]
    return _pairs("package", *sides) if all(sides) else []


def circumstances(before: PastRun, after: PastRun) -> Rows:
    """State, time, commit, runner, host and command of both."""
    sides = [
        {
            "state": run.stored.state,
            "seconds": _seconds(run),
            **{name: run.stored.properties.get(name) for name in ("commit", "runner", "host", "command")},
        }
        for run in (before, after)
    ]
    return _pairs("what", *sides)


def _seconds(run: PastRun) -> float | None:
    seconds = run.stored.properties.get("seconds")
    return round(float(seconds), 2) if isinstance(seconds, int | float) else None


def _pairs(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Rows:
    return [{what: name, "before": old.get(name), "after": new.get(name)} for name in {**old, **new}]


def _other_content(before: PastRun, after: PastRun, kind: type[Artifact]) -> tuple[Any, Any] | None:
    pair = before.artifact(kind), after.artifact(kind)
    if pair[0] is None or pair[1] is None or pair[0].fingerprint == pair[1].fingerprint:
        return None
    return pair


def _facts(run: PastRun, kind: type[Artifact]) -> Mapping[str, Any]:
    found = run.artifact(kind)
    return found.facts() if found is not None else {}


def _asked(run: PastRun) -> dict[str, Any]:
    return _json(run, "asked")


def _json(run: PastRun, name: str) -> dict[str, Any]:
    found = json.loads(str(run.stored.properties.get(name) or "{}"))
    return found if isinstance(found, dict) else {}
