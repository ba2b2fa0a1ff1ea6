"""Confidence intervals by Poisson bootstrap, in the same pass over the data.

Each row is in each replicate as often as a Poisson number of mean 1 says (Chamandy, Muralidharan, Najmi and Naidu,
"Estimating Uncertainty for Massive Data Streams", 2012). As in TFMA, the interval is that of Student's t distribution
around the mean of the replicates, at 95 %; unlike there, it does not leave the range that the metric can have.
"""

from __future__ import annotations

import hashlib
import math
import numbers
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma
from scipy import stats
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.proto import metrics_for_slice_pb2

from fluent_pipe.arrow.arrays import Floats
from fluent_pipe.steps.metrics import value_range

REPLICATES = 20
CONFIDENCE = 0.95


def multiplicity(extracts: Mapping[str, Any], rows: int, *, replicates: int) -> Floats | None:
    """How often each row is in each replicate: shape [rows, replicates]; None without replicates.

    The numbers are drawn from a seed that depends on the batch alone, so that a repeated run on any runner, with the
    same batches in any order, finds the same.
    """
    if not replicates:
        return None
    seed = hashlib.blake2b(digest_size=16)
    for key in (tfma.LABELS_KEY, tfma.PREDICTIONS_KEY):
        _hash(extracts.get(key), seed)
    random = np.random.default_rng(int.from_bytes(seed.digest(), "little"))
    return random.poisson(1.0, (rows, replicates)).astype(np.float64)


def _hash(value: Any, seed: Any) -> None:
    if isinstance(value, Mapping):
        for name in sorted(value):
            seed.update(str(name).encode())
            _hash(value[name], seed)
    elif isinstance(value, np.ndarray) and value.dtype != object:
        seed.update(np.ascontiguousarray(value).tobytes())
    else:
        seed.update(repr(value).encode())


def with_intervals(
    samples: Sequence[Mapping[metric_types.MetricKey, Any]], skipped: Collection[metric_types.MetricKey]
) -> dict[metric_types.MetricKey, Any]:
    """The metrics of a sample, numbers with an interval.

    Parameters
    ----------
    samples
        Metrics of the sample itself, then of each replicate.
    skipped
        Metrics that get no interval, such as counts.

    Returns
    -------
    dict
        ``BoundedValue`` protos where there is an interval: where a metric is a number in the sample and in every
        replicate. A slice so small that a replicate missed it has none.
    """
    itself, *replicates = samples
    result = dict(itself)
    for key, value in itself.items():
        if key in skipped or isinstance(key, metric_types.PlotKey) or not _is_number(value):
            continue
        found = [replicate.get(key) for replicate in replicates]
        if len(found) > 1 and all(_is_number(v) for v in found):
            result[key] = _bounded(key, float(value), np.array(found, np.float64))
    return result


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Number) and math.isfinite(value)  # type: ignore[arg-type]


def _bounded(key: metric_types.MetricKey, value: float, replicates: Floats) -> Any:
    mean, deviation = float(replicates.mean()), float(replicates.std(ddof=1))
    reach = deviation * float(stats.t.ppf((1 + CONFIDENCE) / 2, len(replicates) - 1))
    low, high = value_range(key.name)
    if key.is_diff:
        low, high = low - high, high - low
    bounds = min(max(mean - reach, low), high), max(min(mean + reach, high), low)
    return metrics_for_slice_pb2.BoundedValue(
        value={"value": value},
        lower_bound={"value": min(bounds[0], value)},
        upper_bound={"value": max(bounds[1], value)},
        methodology=metrics_for_slice_pb2.BoundedValue.POISSON_BOOTSTRAP,
    )
