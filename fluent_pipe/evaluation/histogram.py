"""Calibration histograms as arrays, and the confusion matrices that TFMA derives from them, without its loops.

An evaluation of AUC has some ten thousand buckets and as many thresholds in every slice; TFMA walks them in Python.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
from tensorflow_model_analysis.metrics import binary_confusion_matrices, calibration_histogram, metric_types

from fluent_pipe.arrow.arrays import Floats, Integers

BUCKETS = calibration_histogram.DEFAULT_NUM_BUCKETS
EPSILON = 1e-7


@dataclass(frozen=True, eq=False)
class Histogram(Sequence[Any]):
    """TFMA's list of buckets, made of arrays; a bucket becomes an object only when somebody looks at it.

    Parameters
    ----------
    ids
        Shape [buckets], ascending: 0 is below the range, the number of buckets + 1 above it.
    totals
        Shape [buckets, 3]: weighted labels, weighted predictions, weighted examples.
    """

    ids: Integers
    totals: Floats

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return calibration_histogram.Bucket(int(self.ids[index]), *self.totals[index].tolist())

    def __iter__(self) -> Iterator[Any]:
        for bucket, totals in zip(self.ids.tolist(), self.totals.tolist(), strict=True):
            yield calibration_histogram.Bucket(bucket, *totals)


@dataclass(frozen=True)
class MatricesOfHistogram:
    """Binary confusion matrices at many thresholds, out of a histogram.

    Equal to ``calibration_histogram.rebin`` followed by the sums of
    ``binary_confusion_matrices._histogram_to_binary_confusion_matrices``.

    Parameters
    ----------
    thresholds
        As TFMA has them.
    histogram, matrices
        Keys of what is read and of what is made.
    """

    thresholds: tuple[float, ...]
    histogram: metric_types.MetricKey
    matrices: metric_types.MetricKey

    def __call__(self, metrics: dict[metric_types.MetricKey, Any]) -> dict[metric_types.MetricKey, Any]:
        found: Histogram = metrics[self.histogram]
        cell = self._cells[found.ids]
        positive = np.bincount(cell, weights=found.totals[:, 0], minlength=len(self._edges))
        every = np.bincount(cell, weights=found.totals[:, 2], minlength=len(self._edges))
        negative = every - positive
        window = slice(self._skipped, self._skipped + len(self.thresholds))
        tp, fp = (np.cumsum(part[::-1])[::-1][window] for part in (positive, negative))
        fn, tn = (np.concatenate([[0.0], np.cumsum(part)[:-1]])[window] for part in (positive, negative))
        beyond = np.array(self.thresholds) >= 1.0 + EPSILON
        tp, fp = np.where(beyond, 0.0, tp), np.where(beyond, 0.0, fp)
        fn, tn = np.where(beyond, tp[0], fn), np.where(beyond, fp[0], tn)
        made = binary_confusion_matrices.Matrices(list(self.thresholds), tp, tn, fp, fn)
        return {self.matrices: made}

    @cached_property
    def _edges(self) -> Floats:
        # TFMA nudges thresholds so that "greater than" becomes "at least", and adds fence posts at both ends.
        edges = [t + EPSILON if t != 0 else t for t in self.thresholds]
        first = [-EPSILON] if self.thresholds[0] >= 0 else []
        last = [1.0 + EPSILON] if self.thresholds[-1] < 1.0 else []
        return np.array([*first, *edges, *last])

    @property
    def _skipped(self) -> int:
        return int(self.thresholds[0] >= 0 or len(self.thresholds) == 1)

    @cached_property
    def _cells(self) -> Integers:
        """The cell between two edges that a bucket falls into, by id of the bucket."""
        lower = np.concatenate([[-np.inf], np.arange(BUCKETS) / BUCKETS, [np.inf]])
        cells: Integers = np.maximum(np.searchsorted(self._edges, lower, side="right") - 1, 0)
        return cells


def quick(computation: metric_types.DerivedMetricComputation) -> Callable[..., Any]:
    """The function of a derived computation; where it makes confusion matrices out of a histogram, a quick one."""
    result: Callable[..., Any] = computation.result
    if not getattr(result, "__qualname__", "").startswith(
        f"{binary_confusion_matrices.binary_confusion_matrices.__name__}.<locals>"
    ):
        return result
    told = inspect.getclosurevars(result).nonlocals
    thresholds = told.get("thresholds")
    if not told.get("use_histogram") or not thresholds or len(thresholds) < 2:
        return result
    return MatricesOfHistogram(tuple(thresholds), told["input_metric_key"], told["matrices_key"])
