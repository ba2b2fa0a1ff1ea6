"""What curves are drawn from, of the overall slice: TFMA's plots, and ``curves.json`` out of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import multi_class_confusion_matrix_plot

from fluent_pipe.arrow.arrays import Floats
from fluent_pipe.evaluation.config import CANDIDATE, Plan, tfma_name
from fluent_pipe.evaluation.cuts import sample

MOST_CLASSES = 100
"""A matrix of more classes cannot be read."""
MOST_THRESHOLDS = 1001
DIGITS = 6
ROWS = 20_000
"""Labels that are looked at for their range."""


def specs(plan: Plan) -> list[tfma.MetricsSpec]:
    """TFMA's plots that fit the task, of the candidate; none where nothing can be drawn."""
    plots = [
        tfma.MetricConfig(class_name=name, config=json.dumps(settings) if settings else "")
        for name, settings in _plots(plan)
    ]
    return [tfma.MetricsSpec(metrics=plots, model_names=[tfma_name(plan, CANDIDATE)])] if plots else []


def _plots(plan: Plan) -> Iterator[tuple[str, dict[str, float]]]:
    if plan.task == "binary":
        yield "ConfusionMatrixPlot", {}
        yield "CalibrationPlot", {}
    elif plan.task == "multiclass" and (plan.class_count or 0) <= MOST_CLASSES:
        yield "MultiClassConfusionMatrixPlot", {}
    elif plan.task == "regression" and plan.label_range is not None:
        left, right = plan.label_range
        yield "CalibrationPlot", {"left": left, "right": right}


def label_range(files: Sequence[str | Path], label: str) -> tuple[float, float] | None:
    """Between which numbers the labels of a regression lie, but for a few far ones; None if there are none.

    TFMA cuts this range into buckets; what is predicted beyond it shares a bucket at each end.

    Parameters
    ----------
    files
        Parquet files of transformed rows: paths or URLs.
    label
        Name of the column.
    """
    chunks = sample(files, (label,), ROWS).get(label, [])
    if not chunks:
        return None
    numbers: Floats = pc.cast(pa.chunked_array(chunks), pa.float64(), safe=False).to_numpy()
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return None
    left, right = np.quantile(numbers, [0.005, 0.995]).tolist()
    # A little wider, so that ends of few digits hold all, and one number alone has a range too.
    margin = max((right - left) / 1000, abs(left) / 1e6, 1e-9)
    left, right = float(f"{left - margin:.7g}"), float(f"{right + margin:.7g}")
    # TFMA takes exactly 0 to 1 for probabilities, and then refuses labels outside.
    return (left, math.nextafter(right, math.inf)) if (left, right) == (0.0, 1.0) else (left, right)


def facts(folder: Path, plan: Plan) -> dict[str, Any]:
    """``curves.json``: what TFMA's plots of the candidate hold, in few digits; without what was not computed.

    Parameters
    ----------
    folder
        Where TFMA wrote.
    """
    found: dict[str, Any] = {}
    for plot in _overall(folder, plan):
        if plot.HasField("confusion_matrix_at_thresholds"):
            found["binary"] = _binary(plot.confusion_matrix_at_thresholds.matrices)
        if plot.HasField("calibration_histogram_buckets"):
            found["calibration"] = _calibration(plot.calibration_histogram_buckets.buckets)
        if plot.HasField("multi_class_confusion_matrix_at_thresholds"):
            matrices = plot.multi_class_confusion_matrix_at_thresholds.matrices
            found |= _classes(min(matrices, key=lambda m: m.threshold).entries, plan)
    return found


def _overall(folder: Path, plan: Plan) -> Iterator[Any]:
    # TFMA leaves out the usual names of two plots, which it puts into one message.
    names = ("", multi_class_confusion_matrix_plot.MULTI_CLASS_CONFUSION_MATRIX_PLOT_NAME)
    for plots in tfma.load_plots(str(folder)):
        if plots.slice_key.single_slice_keys or plots.HasField("cross_slice_key"):
            continue
        for entry in plots.plot_keys_and_values:
            key = entry.key
            whole = not key.HasField("sub_key") and not key.output_name
            weighted = key.example_weighted.value == (plan.weight is not None)
            if key.name in names and key.model_name == tfma_name(plan, CANDIDATE) and whole and weighted:
                yield entry.value


def _binary(matrices: Iterable[Any]) -> dict[str, list[float]]:
    # The first threshold is a little below 0, where every row is positive; 0 itself says hardly more.
    chosen = [m for m in matrices if m.threshold]
    if len(chosen) > MOST_THRESHOLDS:
        chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, MOST_THRESHOLDS).astype(int)]
    return {
        "thresholds": _short(m.threshold for m in chosen),
        "tp": _short(m.true_positives for m in chosen),
        "fp": _short(m.false_positives for m in chosen),
        "tn": _short(m.true_negatives for m in chosen),
        "fn": _short(m.false_negatives for m in chosen),
    }


def _calibration(buckets: Iterable[Any]) -> dict[str, list[float]]:
    filled = [b for b in buckets if b.num_weighted_examples.value > 0]
    weight = [b.num_weighted_examples.value for b in filled]
    predictions = (b.total_weighted_refined_prediction.value for b in filled)
    labels = (b.total_weighted_label.value for b in filled)
    return {
        "prediction": _short(total / w for total, w in zip(predictions, weight, strict=True)),
        "label": _short(total / w for total, w in zip(labels, weight, strict=True)),
        "weight": _short(weight),
    }


def _classes(entries: Sequence[Any], plan: Plan) -> dict[str, Any]:
    seen = max((max(e.actual_class_id, e.predicted_class_id) for e in entries), default=-1)
    count = plan.class_count or seen + 1
    if not 0 < count <= MOST_CLASSES:
        return {}
    counts = np.zeros((count, count))
    for entry in entries:
        # A row without a predicted class has -1 for it.
        if 0 <= entry.actual_class_id < count and 0 <= entry.predicted_class_id < count:
            counts[entry.actual_class_id, entry.predicted_class_id] = entry.num_weighted_examples
    names = plan.classes if plan.classes and len(plan.classes) == count else tuple(map(str, range(count)))
    return {"classes": {"names": list(names), "counts": [_short(row) for row in counts.tolist()]}}


def _short(numbers: Iterable[float]) -> list[float]:
    """In few digits, whole numbers as such."""
    rounded = (float(f"{number:.{DIGITS}g}") for number in numbers)
    return [int(number) if number.is_integer() else number for number in rounded]
