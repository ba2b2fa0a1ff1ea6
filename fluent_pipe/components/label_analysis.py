"""What the label looks like after the transform: its task, its classes, and whether it can be learnt at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fluent_pipe.errors import InputError, TrainingError

MOST_VALUES = 1000

MISSING = int(np.iinfo(np.int64).min)
"""What default features give for an integer label that the row does not have."""
UNKNOWN = MISSING + 1
"""What default features give for a label value that the first split does not have."""


@dataclass
class LabelSummary:
    """Counts over rows whose weight is not 0; merges. Bounded: at most ``MOST_VALUES`` distinct values are kept.

    Parameters
    ----------
    rows, ignored
        Rows that count, and rows of weight 0.
    missing
        Rows without a value: NaN, none, or ``MISSING``.
    unknown
        Rows that hold ``UNKNOWN``.
    several
        Rows with more than one value where one is expected.
    low, high
        Extremes; None if there is no value.
    counts
        Rows by value; None once there are more than ``MOST_VALUES``.
    """

    rows: int = 0
    ignored: int = 0
    missing: int = 0
    unknown: int = 0
    several: int = 0
    low: float | None = None
    high: float | None = None
    counts: dict[float, int] | None = field(default_factory=dict)

    def add(self, values: npt.NDArray[Any]) -> None:
        """Add present values; exact for integers below 2**53."""
        if not len(values):
            return
        distinct, counts = np.unique(values, return_counts=True)
        few = len(distinct) <= MOST_VALUES
        by_value = dict(zip(distinct.tolist(), counts.tolist(), strict=True)) if few else None
        self.merge(LabelSummary(low=distinct[0].item(), high=distinct[-1].item(), counts=by_value))

    def merge(self, other: LabelSummary) -> None:
        """Add what ``other`` has seen."""
        for name in ("rows", "ignored", "missing", "unknown", "several"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.low = min((v for v in (self.low, other.low) if v is not None), default=None)
        self.high = max((v for v in (self.high, other.high) if v is not None), default=None)
        if self.counts is None or other.counts is None:
            self.counts = None
            return
        for value, count in other.counts.items():
            self.counts[value] = self.counts.get(value, 0) + count
        if len(self.counts) > MOST_VALUES:
            self.counts = None


@dataclass(frozen=True)
class Roles:
    """Which transformed features are the label and the weight; None where there is none."""

    label: str | None = None
    weight: str | None = None

    def summarize(self, batch: pa.RecordBatch, summary: LabelSummary) -> None:
        """Add the label of a batch of transformed rows to ``summary``."""
        if self.label is None:
            return
        column = _column(batch, self.label)
        if self.weight is not None:
            counted = _counted(_column(batch, self.weight))
            summary.ignored += int(np.sum(~counted))
            column = column.filter(pa.array(counted))
        _add(summary, column)


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    return batch.column(batch.schema.get_field_index(name))


def _counted(weights: pa.Array) -> npt.NDArray[np.bool_]:
    if pa.types.is_list(weights.type) or pa.types.is_large_list(weights.type):
        return np.array([bool(w and w[0]) for w in weights.to_pylist()], dtype=np.bool_)
    return np.asarray(weights.fill_null(0).to_numpy(zero_copy_only=False) != 0)


def _add(summary: LabelSummary, column: pa.Array) -> None:
    summary.rows += len(column)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        summary.missing += int(np.sum(lengths == 0))
        summary.several += int(np.sum(lengths > 1))
        column = column.flatten()
    values = column.drop_null().to_numpy(zero_copy_only=False)
    summary.missing += column.null_count
    if values.dtype.kind == "f":
        absent = np.isnan(values)
        unknown = 0
    else:
        absent = values == MISSING
        unknown = int(np.sum(values == UNKNOWN))
    summary.missing += int(np.sum(absent))
    summary.unknown += unknown
    summary.add(values[~absent & (values != UNKNOWN)] if unknown else values[~absent])


@dataclass(frozen=True)
class Label:
    """What is known of the label before rows are seen.

    Parameters
    ----------
    name
        Of the transformed feature.
    dtype
        ``"int64"`` or ``"float32"``.
    scalar
        One value a row; False for vectors (one-hot, several outputs).
    classes
        Texts of the classes, where default features made indices of them.
    vocabulary_size
        Size of the vocabulary that it came through.
    default
        Whether default features made it; the advice differs.
    """

    name: str
    dtype: str
    scalar: bool
    classes: tuple[str, ...] | None = None
    vocabulary_size: int | None = None
    default: bool = False


def label_facts(label: Label, summaries: Mapping[str, LabelSummary]) -> dict[str, Any]:
    """Task, classes and counts, for ``transform.json``.

    Parameters
    ----------
    label
        The label.
    summaries
        By split; the first is the training split.

    Raises
    ------
    InputError
        If the training split has no row that counts.
    TrainingError
        If the label has missing values, one class only, or class indices that are negative or leave gaps.
    """
    train, summary = next(iter(summaries.items()))
    if summary.rows == 0:
        why = f"all {summary.ignored:,} rows have weight 0" if summary.ignored else "no rows"
        raise InputError(f"Split {train!r} has nothing to learn from: {why}.")
    if not label.scalar:
        return {"task": None, "classes": None, "class_count": None, "class_counts": None}
    _check_present(label, summaries)
    _check_varies(label, train, summary)
    values = summary.counts
    binary = values is not None and set(values) <= {0, 1}
    if label.dtype != "int64" and not binary:
        return {"task": "regression", "classes": None, "class_count": None, "class_counts": None}
    if label.dtype == "int64":
        _check_indices(label, train, summary)
    high = max(int(s.high) for s in summaries.values() if s.high is not None)
    count = max(2, label.vocabulary_size or 0, len(label.classes or ()), high + 1)
    return {
        "task": "binary" if binary and count == 2 else "multiclass",
        "classes": list(label.classes) if label.classes is not None else None,
        "class_count": count,
        "class_counts": None if values is None else [values.get(i, 0) for i in range(count)],
    }


def _check_present(label: Label, summaries: Mapping[str, LabelSummary]) -> None:
    drop = "Drop these rows" if label.default else "Drop these rows, fill them in preprocessing_fn"
    remedies = {
        "missing": ("has no value in", f"{drop}, or give them weight 0 with weight=."),
        "unknown": ("has values that the first split lacks, in", f"{drop}, or split the data so that it has them."),
        "several": ("has several values in", "Return one value for each row."),
    }
    for kind, (fact, fix) in remedies.items():
        by_split = {s: getattr(v, kind) for s, v in summaries.items() if getattr(v, kind)}
        if by_split:
            where = ", ".join(f"{n:,} of {summaries[s].rows:,} rows of split {s!r}" for s, n in by_split.items())
            if label.default:
                fix += " Or give preprocess() a function that decides."
            raise TrainingError(f"Label {label.name!r} {fact} {where}.", fix=fix)


def _check_varies(label: Label, train: str, summary: LabelSummary) -> None:
    if summary.low != summary.high:
        return
    value = summary.low
    shown = label.classes[int(value)] if label.classes and value is not None else f"{value:g}"
    raise TrainingError(
        f"Label {label.name!r} has one value only: {shown!r} in all {summary.rows:,} rows of split {train!r}"
        + (f" that have a weight ({summary.ignored:,} have weight 0)." if summary.ignored else "."),
        fix="Use data with at least two, or another label.",
    )


def _check_indices(label: Label, train: str, summary: LabelSummary) -> None:
    name = label.name
    fix = (
        f"Class indices are 0, 1, 2, ... For regression return tf.cast({name}, tf.float32); "
        "for classes use tft.compute_and_apply_vocabulary."
    )
    if summary.low is not None and summary.low < 0:
        shown = f"as low as {int(summary.low)}"
        if summary.counts is not None:
            bad = sorted(int(v) for v in summary.counts if v < 0)
            shown = f"{', '.join(map(str, bad[:10]))} ({sum(summary.counts[v] for v in bad):,} rows)"
        raise TrainingError(f"Label {name!r} holds negative classes: {shown} in split {train!r}.", fix=fix)
    if summary.counts is None or label.vocabulary_size is not None or label.classes is not None:
        return
    absent = [i for i in range(min(int(summary.high or 0), 10 * MOST_VALUES)) if i not in summary.counts]
    if absent:
        some = ", ".join(map(str, absent[:10])) + (f" and {len(absent) - 10:,} more" if len(absent) > 10 else "")
        fact = f"Label {name!r} holds classes up to {int(summary.high or 0)} and none of {some} in split {train!r}."
        raise TrainingError(fact, fix=fix)
