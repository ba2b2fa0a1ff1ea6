"""TFMA's results as ``metrics.json``, ``curves.json`` and ``reasons.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma

from fluent_pipe.evaluation import curves, reasons
from fluent_pipe.evaluation.config import BASELINE, Plan
from fluent_pipe.evaluation.discovery import Found

BLESSED = "BLESSED"
NOT_BLESSED = "NOT_BLESSED"

Number = float | int | None


@dataclass(frozen=True)
class SliceMetrics:
    """Metrics of one slice, by name; None for what is not a number. ``baseline`` is empty without an earlier model.

    ``intervals`` are of the candidate's metrics: lower and upper end.
    """

    slice: dict[str, Any]
    candidate: dict[str, Number]
    baseline: dict[str, Number]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)


def read(folder: Path) -> list[SliceMetrics]:
    """What TFMA wrote into ``folder``: the overall slice first, then by columns and values."""
    return sorted((_slice(found) for found in tfma.load_metrics(str(folder))), key=_order)


def _slice(found: Any) -> SliceMetrics:
    key = {k.column: _slice_value(k) for k in found.slice_key.single_slice_keys}
    made = SliceMetrics(key, {}, {})
    for entry in found.metric_keys_and_values:
        if entry.key.is_diff or entry.value.WhichOneof("type") != "double_value":
            continue
        name, of_baseline = metric_name(entry.key), entry.key.model_name == BASELINE
        into = made.baseline if of_baseline else made.candidate
        into[name] = _number(name, entry.value.double_value.value)
        if entry.HasField("confidence_interval") and not of_baseline:
            interval = entry.confidence_interval
            made.intervals[name] = interval.lower_bound.double_value.value, interval.upper_bound.double_value.value
    return made


def metric_name(key: Any) -> str:
    """A metric's name in one word: with its output and class where it has them.

    Examples
    --------
    >>> from tensorflow_model_analysis.proto import metrics_for_slice_pb2
    >>> key = metrics_for_slice_pb2.MetricKey(name="recall", sub_key={"top_k": {"value": 3}})
    >>> metric_name(key)
    'recall[top_k=3]'
    """
    parts = [f"{kind.name}={value.value}" for kind, value in key.sub_key.ListFields()]
    parts += [kind.name for kind, _ in key.aggregation_type.ListFields()]
    return f"{key.output_name + '/' if key.output_name else ''}{key.name}" + (f"[{', '.join(parts)}]" if parts else "")


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


def _add_config_failures(judged: dict[str, Any], validation: Any) -> None:
    """Thresholds of a person's own ``tfma.EvalConfig`` count too; TFMA has judged them."""
    known = {(entry["metric"], tuple(sorted(entry["slice"]))) for entry in judged["reasons"]}
    for of_slice in validation.metric_validations_per_slice:
        columns = {k.column: _slice_value(k) for k in of_slice.slice_key.single_slice_keys}
        for failure in of_slice.failures:
            name = metric_name(failure.metric_key)
            if (name, tuple(sorted(columns))) not in known:
                limit = str(failure.metric_threshold).replace("\n", " ").strip()
                got = failure.metric_value.double_value.value
                judged["reasons"].append(reasons.threshold(name, columns, got=_number(name, got), limit=limit))
    judged_columns = {columns for _, columns in known}
    for spec in validation.missing_slices:
        if tuple(sorted(spec.feature_keys)) not in judged_columns:
            judged["reasons"].append(reasons.threshold("a threshold", dict.fromkeys(spec.feature_keys), limit="rows"))
    judged["blessed"] = all(entry["ok"] for entry in judged["reasons"])


def _facts(found: SliceMetrics, plan: Plan) -> dict[str, Any]:
    def in_order(metrics: dict[str, Number]) -> dict[str, Number]:
        return {**{m.name: metrics.get(m.name) for m in plan.metrics}, **metrics}

    facts: dict[str, Any] = {"slice": found.slice, "metrics": in_order(found.candidate)}
    if found.intervals:
        facts["intervals"] = found.intervals
    return {**facts, "baseline_metrics": in_order(found.baseline)} if plan.baseline else facts


def write(folder: Path, plan: Plan, *, baseline: str | None, found: list[Found] | None = None) -> dict[str, Any]:
    """Read TFMA's results in ``folder`` and write the facts and the verdict beside them.

    Parameters
    ----------
    baseline
        Path of the earlier model, for the record.
    found
        Slices where the model is worse, if they were searched for.

    Returns
    -------
    dict
        The content of ``reasons.json``.
    """
    evaluated = read(folder)
    facts: dict[str, Any] = {
        "slices": [_facts(s, plan) for s in evaluated],
        "baseline": baseline,
        "task": plan.task,
        "primary_metric": plan.primary_metric,
    }
    if found is not None:
        facts["found"] = [asdict(one) for one in found]
    judged = verdict(plan, evaluated, baseline=baseline)
    if plan.config:
        _add_config_failures(judged, tfma.load_validation_result(str(folder)))
    (folder / "metrics.json").write_text(json.dumps(facts, indent=1, allow_nan=False))
    # Thousands of numbers; without spaces and lines they are half as large.
    drawn = json.dumps(curves.facts(folder, plan), separators=(",", ":"), allow_nan=False)
    (folder / "curves.json").write_text(drawn)
    (folder / "reasons.json").write_text(json.dumps(judged, indent=1, allow_nan=False))
    (folder / (BLESSED if judged["blessed"] else NOT_BLESSED)).touch()
    return judged
