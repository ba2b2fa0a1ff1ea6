"""Sums behind the metrics of labels that are classes: calibration, curves, confusion matrices, cross entropy."""

# TFMA's combiners and accumulators are private classes and keep what they were told in private fields.
# ruff: noqa: SLF001

from __future__ import annotations

from typing import Any

import numpy as np
from tensorflow_model_analysis.contrib.aggregates import binary_confusion_matrices as matrix_accumulator
from tensorflow_model_analysis.metrics import (
    cross_entropy_metrics,
    metric_types,
    multi_class_confusion_matrix_metrics,
    tjur_discrimination,
)

from fluent_pipe.arrow.arrays import Floats
from fluent_pipe.errors import EvaluationError
from fluent_pipe.evaluation.histogram import Histogram
from fluent_pipe.evaluation.judgements import Judgements
from fluent_pipe.evaluation.summed_metrics import Batch, SummedMetric, filled, moments, totals
from fluent_pipe.evaluation.sums import Contributions, Sums


class CalibrationHistogram(SummedMetric):
    """Weighted labels, predictions and examples by bucket of the prediction: behind AUC and all curves."""

    fields = 3

    def contributions(self, batch: Batch) -> Contributions:
        told = self.combiner
        found = batch.pairs(self.wanted, self.class_weights, fractional=told._fractional_labels)
        by = found.prediction if told._prediction_based_bucketing else found.label
        if np.isnan(by).any():
            raise EvaluationError("A prediction is not a number (NaN).")
        bucket = (by - told._left) / told._range * told._num_buckets + 1
        bins = np.clip(np.trunc(bucket), 0, told._num_buckets + 1).astype(np.int64)
        weight = found.weight
        with np.errstate(invalid="ignore"):  # a hidden prediction is minus infinity
            values = np.stack([found.label * weight, found.prediction * weight, weight], axis=-1)
        return Contributions(found.rows, bins, values)

    def accumulator(self, sums: Sums) -> Any:
        return {bucket.bucket_id: bucket for bucket in Histogram(sums.bins, sums.fields)}

    def output(self, sums: Sums) -> dict[metric_types.MetricKey, Any]:
        return {self.combiner._key: Histogram(sums.bins, sums.fields)}


class ConfusionAtThresholds(SummedMetric):
    """Binary confusion matrices: weights by label and by how many thresholds the prediction is above."""

    def contributions(self, batch: Batch) -> Contributions:
        found = batch.pairs(self.wanted, self.class_weights, fractional=True)
        above = np.searchsorted(self._thresholds, found.prediction, side="left")
        above[np.isnan(found.prediction)] = 0
        return Contributions(found.rows, 2 * above + (found.label == 1.0), found.weight[:, None])

    @property
    def _thresholds(self) -> Floats:
        return np.unique(np.asarray(self.combiner._binary_confusion_matrices._thresholds, np.float64))

    def accumulator(self, sums: Sums) -> Any:
        thresholds = self._thresholds
        weight = np.zeros((len(thresholds) + 1, 2))
        weight[sums.bins // 2, sums.bins % 2] = sums.fields[:, 0]
        below = np.cumsum(weight, axis=0)
        # A prediction is positive when it is greater than the threshold, so those above the i-th are in i + 1 and up.
        above = np.cumsum(weight[::-1], axis=0)[::-1]
        return {
            threshold: matrix_accumulator._ThresholdEntry(
                matrix_accumulator.Matrix(
                    tp=float(above[i + 1, 1]), tn=float(below[i, 0]), fp=float(above[i + 1, 0]), fn=float(below[i, 1])
                ),
                [], [], [], [],
            )
            for i, threshold in enumerate(thresholds.tolist())
        }  # fmt: skip


CLASSES = 1 << 20


class MultiClassConfusion(SummedMetric):
    """Multi-class confusion matrices: weights by threshold, class and predicted class."""

    def contributions(self, batch: Batch) -> Contributions:
        found = batch.judgements(self.wanted)
        label, prediction = found.label, found.prediction
        if prediction.shape[1] == 1:
            raise EvaluationError("A multi-class confusion matrix needs several predictions a row, and there is one.")
        actual = label.argmax(axis=1) if label.shape[1] > 1 else label[:, 0].astype(np.int64)
        predicted = prediction.argmax(axis=1)
        weight = found.weight[:, :1]
        beyond = (actual < -1) | (np.maximum(actual, prediction.shape[1]) >= CLASSES - 1)
        counts = ~beyond | (weight[:, 0] != 0)  # a row that weighs nothing may have no label
        if (beyond & counts).any():
            bad = actual[beyond & counts][0]
            raise EvaluationError(f"Classes are counted from -1 to {CLASSES - 2}; a label is {bad}.")
        top = np.take_along_axis(prediction, predicted[:, None], axis=1)[:, 0].astype(np.float64)
        # Thresholds are passed through in the order given; a row that fails one has no predicted class from there on.
        passed = np.searchsorted(np.maximum.accumulate(self.combiner._thresholds), top, side="left")
        bins = (passed * CLASSES + actual + 1) * CLASSES + predicted + 1
        return Contributions(np.flatnonzero(counts), bins[counts].astype(np.int64), weight[counts])

    def accumulator(self, sums: Sums) -> Any:
        made = multi_class_confusion_matrix_metrics.Matrices()
        passed, actual = sums.bins // CLASSES**2, sums.bins // CLASSES % CLASSES - 1
        predicted, weight = sums.bins % CLASSES - 1, sums.fields[:, 0]
        none = multi_class_confusion_matrix_metrics.NO_PREDICTED_CLASS_ID
        for number, threshold in enumerate(self.combiner._thresholds):
            entries = made.setdefault(threshold, {})
            seen = np.where(passed > number, predicted, none)
            for key, total in zip(zip(actual.tolist(), seen.tolist(), strict=True), weight.tolist(), strict=True):
                entry = multi_class_confusion_matrix_metrics.MatrixEntryKey(*key)
                entries[entry] = entries.get(entry, 0.0) + total
        return made


class CrossEntropy(SummedMetric):
    """Binary and categorical cross entropy, as the combiner's own formula has it for a row."""

    fields = 2

    def contributions(self, batch: Batch) -> Contributions:
        found = batch.judgements(self.wanted)
        binary = isinstance(self.combiner, cross_entropy_metrics._BinaryCrossEntropyCombiner)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            entropy = self._binary(found) if binary else self._categorical(found)
            weight = found.weight[:, 0]
            return moments(np.arange(len(entropy)), entropy * weight, weight)

    def _binary(self, found: Judgements) -> Floats:
        told = self.combiner
        label = found.label * (1.0 - told._label_smoothing) + 0.5 * told._label_smoothing
        if told._from_logits:
            prediction = found.prediction.astype(np.float64)
            entropy = np.maximum(prediction, 0) - prediction * label + np.log1p(np.exp(-np.abs(prediction)))
        else:
            # In the precision of the predictions, as row by row: 1 - 0.99999999 is 0 in 32 bits.
            given = found.prediction
            entropy = -label * np.log(given) - (1 - label) * np.log(1 - given)
        return entropy.mean(axis=1)  # type: ignore[no-any-return]

    def _categorical(self, found: Judgements) -> Floats:
        told, prediction = self.combiner, found.prediction.astype(np.float64)
        label = found.label * (1.0 - told._label_smoothing) + told._label_smoothing / prediction.shape[1]
        if told._from_logits:
            prediction = np.exp(prediction)
        share = prediction / prediction.sum(axis=1, keepdims=True)
        logarithm = np.log(np.where(share > 0, share, 1.0))  # classes of no probability do not count, as in TFMA
        return -(label * logarithm).sum(axis=1)  # type: ignore[no-any-return]

    def accumulator(self, sums: Sums) -> Any:
        return cross_entropy_metrics._CrossEntropyAccumulator(*totals(sums))


class Tjur(SummedMetric):
    """Sums behind Tjur's coefficients of discrimination."""

    fields = 4

    def contributions(self, batch: Batch) -> Contributions:
        found = batch.pairs(self.wanted, self.class_weights)
        y, p, w = found.label, found.prediction, found.weight
        return moments(found.rows, (1 - y) * p * w, (1 - y) * w, y * p * w, y * w)

    def accumulator(self, sums: Sums) -> Any:
        return filled(tjur_discrimination._TjurDiscriminationAccumulator(), sums)
