"""TFMA's results as ``metrics.json`` and ``reasons.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma

from fluent_pipe.evaluation import reasons
from fluent_pipe.evaluation.config import BASELINE, Plan

BLESSED = "BLESSED"
NOT_BLESSED = "NOT_BLESSED"

Number = float | int | None


@dataclass(frozen=True)
class SliceMetrics:
    """Metrics of one slice, by name; None for what is not a number. ``baseline`` is empty without an earlier model."""

    slice: dict[str, Any]
    candidate: dict[str, Number]
    baseline: dict[str, Number]


def read(folder: Path) -> list[SliceMetrics]:
    """What TFMA wrote into ``folder``: the overall slice first, then by columns and values."""
    return sorted((_slice(found) for found in tfma.load_metrics(str(folder))), key=_order)


def _slice(found: Any) -> SliceMetrics:
    key = {k.column: _slice_value(k) for k in found.slice_key.single_slice_keys}
    candidate: dict[str, Number] = {}
    baseline: dict[str, Number] = {}
    for entry in found.metric_keys_and_values:
        if entry.key.is_diff or entry.key.HasField("sub_key") or entry.value.WhichOneof("type") != "double_value":
            continue
        into = baseline if entry.key.model_name == BASELINE else candidate
        into[entry.key.name] = _number(entry.key.name, entry.value.double_value.value)
    return SliceMetrics(key, candidate, baseline)


def _slice_value(key: Any) -> Any:
    kind = key.WhichOneof("kind")
    if kind == "bytes_value":
        return key.bytes_value.decode("utf-8", errors="replace")
    # TFMA keeps float values of slices in 32 bits; the shortest text that means the same is the value as written.
    return key.int64_value if kind == "int64_value" else float(str(np.float32(key.float_value)))


def _number(name: str, value: float) -> Number:
    if not math.isfinite(value):
        return None
    return int(value) if name == "example_count" else value


def _order(found: SliceMetrics) -> tuple[Any, ...]:
    columns = tuple(found.slice)
    # Numbers before text, so that a column of both can be sorted.
    return len(columns), columns, tuple((isinstance(v, str), v) for v in found.slice.values())


def verdict(plan: Plan, found: list[SliceMetrics], *, baseline: str | None) -> dict[str, Any]:
    """``reasons.json``: every requirement in every slice that it is for."""
    entries = [entry for requirement in plan.requirements for entry in _judged(plan, requirement, found)]
    notes = [] if plan.requirements else [reasons.NOTHING_REQUIRED]
    if baseline is None:
        notes.append(reasons.NO_BASELINE)
    note = " ".join(notes)
    return {"blessed": all(e["ok"] for e in entries), "baseline": baseline, "note": note, "reasons": entries}


def _judged(plan: Plan, requirement: Any, found: Iterable[SliceMetrics]) -> list[dict[str, Any]]:
    metric, limit = requirement.metric, requirement.limit
    matching = [s for s in found if set(s.slice) == set(requirement.columns)]
    if not matching:
        return [reasons.no_rows(metric, limit, columns=requirement.columns)]
    return [
        reasons.judge(
            metric, limit, where=s.slice, candidate=s.candidate, baseline=s.baseline if plan.baseline else None
        )
        for s in matching
    ]


def _facts(found: SliceMetrics, plan: Plan) -> dict[str, Any]:
    def in_order(metrics: dict[str, Number]) -> dict[str, Number]:
        return {m.name: metrics.get(m.name) for m in plan.metrics}

    facts: dict[str, Any] = {"slice": found.slice, "metrics": in_order(found.candidate)}
    return {**facts, "baseline_metrics": in_order(found.baseline)} if plan.baseline else facts


def write(folder: Path, plan: Plan, *, baseline: str | None) -> dict[str, Any]:
    """Read TFMA's results in ``folder`` and write the facts and the verdict beside them.

    Parameters
    ----------
    baseline
        Path of the earlier model, for the record.

    Returns
    -------
    dict
        The content of ``reasons.json``.
    """
    found = read(folder)
    slices = [_facts(s, plan) for s in found]
    facts = {"slices": slices, "baseline": baseline, "task": plan.task, "primary_metric": plan.primary_metric}
    judged = verdict(plan, found, baseline=baseline)
    (folder / "metrics.json").write_text(json.dumps(facts, indent=1, allow_nan=False))
    (folder / "reasons.json").write_text(json.dumps(judged, indent=1, allow_nan=False))
    (folder / (BLESSED if judged["blessed"] else NOT_BLESSED)).touch()
    return judged
