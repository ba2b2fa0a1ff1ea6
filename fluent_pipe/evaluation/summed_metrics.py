"""TFMA's metric computations as sums over whole batches.

Every metric of TFMA is an accumulator (a Beam ``CombineFn``, fed one row at a time) and functions on what has been
accumulated. Here the accumulators of the common metrics are filled from whole batches instead: each says what a batch
adds to which bin, and how the totals become TFMA's own accumulator. Everything after that is TFMA's own code, so names
and results are the same. What is not in :func:`summed_metric` stays with TFMA, row by row.
"""

# TFMA's combiners are private classes and keep what they were told in private fields; this file is where that shows.
# ruff: noqa: SLF001

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.contrib.aggregates import binary_confusion_matrices as matrix_accumulator
from tensorflow_model_analysis.metrics import (
    binary_confusion_matrices,
    calibration,
    calibration_histogram,
    cross_entropy_metrics,
    example_count,
    mean_regression_error,
    metric_types,
    metric_util,
    multi_class_confusion_matrix_metrics,
    squared_pearson_correlation,
    tf_metric_wrapper,
    tjur_discrimination,
)
from tensorflow_model_analysis.utils import model_util

from fluent_pipe.errors import EvaluationError
from fluent_pipe.evaluation.histogram import Histogram
from fluent_pipe.evaluation.judgements import Floats, Judgements, Pairs, Wanted, judgements, pairs, weights
from fluent_pipe.evaluation.keras_metrics import row_values, split_metrics
from fluent_pipe.evaluation.sums import Contributions, Sums


@dataclass
class Batch:
    """One batch of extracts; metrics that read the same share the work."""

    extracts: Mapping[str, Any]
    rows: int
    _found: dict[Any, Any] = field(default_factory=dict)

    def judgements(self, wanted: Wanted) -> Judgements:
        """See :func:`fluent_pipe.evaluation.judgements.judgements`."""
        return self._once(wanted, lambda: judgements(self.extracts, wanted))  # type: ignore[no-any-return]

    def pairs(self, wanted: Wanted, class_weights: Mapping[int, float] | None, *, fractional: bool = False) -> Pairs:
        """See :func:`fluent_pipe.evaluation.judgements.pairs`."""
        key = (wanted, tuple(class_weights.items()) if class_weights else None, fractional)
        return self._once(  # type: ignore[no-any-return]
            key, lambda: pairs(self.judgements(wanted), class_weights=class_weights, fractional=fractional)
        )

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._found:
            self._found[key] = make()
        return self._found[key]


@dataclass(frozen=True)
class SummedMetric(ABC):
    """One of TFMA's combiners, filled from whole batches.

    Parameters
    ----------
    combiner
        TFMA's own; it makes the results.
    wanted
        What it reads.
    class_weights
        By class index, for averages over classes.
    """

    combiner: beam.CombineFn
    wanted: Wanted
    class_weights: Mapping[int, float] | None = None

    fields: ClassVar[int] = 1
    """Numbers in a contribution."""

    @abstractmethod
    def contributions(self, batch: Batch) -> Contributions:
        """What a batch adds."""

    @abstractmethod
    def accumulator(self, sums: Sums) -> Any:
        """TFMA's accumulator with these totals."""

    def nothing(self) -> Sums:
        """The sums of no rows."""
        return Sums(np.zeros(0, np.int64), np.zeros((0, 1, self.fields)))

    def output(self, sums: Sums) -> dict[metric_types.MetricKey, Any]:
        """What TFMA makes of these totals."""
        return dict(self.combiner.extract_output(self.accumulator(sums)))


def _moments(rows: Any, *columns: Any) -> Contributions:
    values = np.stack(columns, axis=-1).astype(np.float64)
    return Contributions(np.asarray(rows), np.zeros(len(values), np.int64), values)


def _totals(sums: Sums) -> list[float]:
    """Totals of a metric that has one bin; 0 where nothing was added."""
    return [float(v) for v in sums.fields.sum(axis=0)]


class Count(SummedMetric):
    """Rows, or the sum of their weights."""

    def contributions(self, batch: Batch) -> Contributions:
        return _moments(np.arange(batch.rows), weights(batch.extracts, self.wanted, rows=batch.rows).sum(axis=1))

    def accumulator(self, sums: Sums) -> Any:
        return _totals(sums)[0]


class LabelsPredictionsExamples(SummedMetric):
    """Weighted sums behind mean label, mean prediction and calibration."""

    fields = 3

    def contributions(self, batch: Batch) -> Contributions:
        found = batch.pairs(self.wanted, self.class_weights)
        weight = found.weight
        return _moments(found.rows, found.label * weight, found.prediction * weight, weight)

    def accumulator(self, sums: Sums) -> Any:
        made = calibration._WeightedLabelsPredictionsExamples()
        made.total_weighted_labels, made.total_weighted_predictions, made.total_weighted_examples = _totals(sums)
        return made


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
        if actual.min(initial=0) < -1 or max(actual.max(initial=0), prediction.shape[1]) >= CLASSES - 1:
            raise EvaluationError(f"Classes are counted from -1 to {CLASSES - 2}; a label is {actual.min()}.")
        top = np.take_along_axis(prediction, predicted[:, None], axis=1)[:, 0].astype(np.float64)
        # Thresholds are passed through in the order given; a row that fails one has no predicted class from there on.
        passed = np.searchsorted(np.maximum.accumulate(self.combiner._thresholds), top, side="left")
        bins = (passed * CLASSES + actual + 1) * CLASSES + predicted + 1
        return Contributions(np.arange(len(label)), bins.astype(np.int64), found.weight[:, :1])

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


def _absolute(label: Floats, prediction: Floats) -> Floats:
    return np.abs(label - prediction)  # type: ignore[no-any-return]


def _squared(label: Floats, prediction: Floats) -> Floats:
    return np.square(label - prediction)  # type: ignore[no-any-return]


def _percentage(label: Floats, prediction: Floats) -> Floats:
    return np.where(label == 0, np.nan, 100 * np.abs((label - prediction) / np.where(label == 0, np.nan, label)))


def _logarithmic(label: Floats, prediction: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        difference: Floats = np.log(label + 1) - np.log(prediction + 1)
    return np.square(difference)


REGRESSION_ERRORS = {
    mean_regression_error._MeanAbsoluteErrorCombiner: _absolute,
    mean_regression_error._MeanSquaredErrorCombiner: _squared,
    mean_regression_error._MeanAbsolutePercentageErrorCombiner: _percentage,
    mean_regression_error._MeanSquaredLogarithmicErrorCombiner: _logarithmic,
}


class MeanRegressionError(SummedMetric):
    """Means of errors; rows where the error is undefined do not count."""

    fields = 2

    def contributions(self, batch: Batch) -> Contributions:
        found = batch.pairs(self.wanted, self.class_weights)
        error = REGRESSION_ERRORS[type(self.combiner)](found.label, found.prediction)
        counts = ~np.isnan(error)
        weight = found.weight[counts]
        return _moments(found.rows[counts], weight, error[counts] * weight)

    def accumulator(self, sums: Sums) -> Any:
        return mean_regression_error._MeanRegressionErrorAccumulator(*_totals(sums))


class CrossEntropy(SummedMetric):
    """Binary and categorical cross entropy, as the combiner's own formula has it for a row."""

    fields = 2

    def contributions(self, batch: Batch) -> Contributions:
        found = batch.judgements(self.wanted)
        binary = isinstance(self.combiner, cross_entropy_metrics._BinaryCrossEntropyCombiner)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            entropy = self._binary(found) if binary else self._categorical(found)
            weight = found.weight[:, 0]
            return _moments(np.arange(len(entropy)), entropy * weight, weight)

    def _binary(self, found: Judgements) -> Floats:
        told, prediction = self.combiner, found.prediction.astype(np.float64)
        label = found.label * (1.0 - told._label_smoothing) + 0.5 * told._label_smoothing
        if told._from_logits:
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
        return cross_entropy_metrics._CrossEntropyAccumulator(*_totals(sums))


class SquaredPearson(SummedMetric):
    """Moments behind the squared Pearson correlation."""

    fields = 6

    def contributions(self, batch: Batch) -> Contributions:
        found = batch.pairs(self.wanted, self.class_weights)
        y, p, w = found.label, found.prediction, found.weight
        return _moments(found.rows, w * y, w * p, w * y**2, w * p**2, w * y * p, w)

    def accumulator(self, sums: Sums) -> Any:
        made = squared_pearson_correlation._SquaredPearsonCorrelationAccumulator()
        for name, total in zip(type(made).__slots__, _totals(sums), strict=True):
            setattr(made, name, total)
        return made


class Tjur(SummedMetric):
    """Sums behind Tjur's coefficients of discrimination."""

    fields = 4

    def contributions(self, batch: Batch) -> Contributions:
        found = batch.pairs(self.wanted, self.class_weights)
        y, p, w = found.label, found.prediction, found.weight
        return _moments(found.rows, (1 - y) * p * w, (1 - y) * w, y * p * w, y * w)

    def accumulator(self, sums: Sums) -> Any:
        made = tjur_discrimination._TjurDiscriminationAccumulator()
        for name, total in zip(type(made).__slots__, _totals(sums), strict=True):
            setattr(made, name, total)
        return made


class KerasMeans(SummedMetric):
    """Keras metrics that are means of a value a row: field 2i is the total and field 2i + 1 the count of metric i."""

    @property
    def fields(self) -> int:  # type: ignore[override]
        return 2 * len(self.combiner._metric_configs[0])

    def contributions(self, batch: Batch) -> Contributions:
        told = self.combiner
        if told._aggregation_type and told._aggregation_type.micro_average:
            flat = batch.pairs(self.wanted, self.class_weights)
            label, prediction, weight, rows = flat.label[:, None], flat.prediction[:, None], flat.weight, flat.rows
        else:
            found = batch.judgements(self.wanted)
            label = found.dense_label() if told._sub_key_in_config else found.label
            prediction, weight, rows = found.prediction, found.weight[:, 0], np.arange(batch.rows)
        values = [row_values(metric, label, prediction) for metric in told._metrics[self.wanted.output]]
        fields = [field for value in values for field in (value.sum(axis=1) * weight, value.shape[1] * weight)]
        return _moments(rows, *fields)

    def accumulator(self, sums: Sums) -> Any:
        made, totals = self.combiner.create_accumulator(), np.array(_totals(sums), np.float32)
        for number in range(len(totals) // 2):
            made.add_weights(0, number, [totals[2 * number], totals[2 * number + 1]])
        return made


_BY_COMBINER: dict[type, type[SummedMetric]] = {
    example_count._ExampleCountCombiner: Count,
    calibration._WeightedLabelsPredictionsExamplesCombiner: LabelsPredictionsExamples,
    calibration_histogram._CalibrationHistogramCombiner: CalibrationHistogram,
    binary_confusion_matrices._BinaryConfusionMatrixCombiner: ConfusionAtThresholds,
    multi_class_confusion_matrix_metrics._MultiClassConfusionMatrixCombiner: MultiClassConfusion,
    **dict.fromkeys(REGRESSION_ERRORS, MeanRegressionError),
    cross_entropy_metrics._BinaryCrossEntropyCombiner: CrossEntropy,
    cross_entropy_metrics._CategoricalCrossEntropyCombiner: CrossEntropy,
    squared_pearson_correlation._SquaredPearsonCorrelationCombiner: SquaredPearson,
    tjur_discrimination._TjurDiscriminationCombiner: Tjur,
    tf_metric_wrapper._CompilableMetricsCombiner: KerasMeans,
}


def summed_metrics(
    computation: metric_types.MetricComputation, eval_config: tfma.EvalConfig
) -> tuple[list[SummedMetric], list[metric_types.MetricComputation]]:
    """A computation of TFMA's as sums, and what of it stays row by row."""
    combiner = computation.combiner
    if type(combiner) is tf_metric_wrapper._CompilableMetricsCombiner:
        means, others = split_metrics(combiner)
        rest = [metric_types.MetricComputation(computation.keys, computation.preprocessors, others)] if others else []
        return [_summed(mean, eval_config) for mean in means], rest
    if type(combiner) in _BY_COMBINER and _plain_inputs(computation):
        return [_summed(combiner, eval_config)], []
    return [], [computation]


def _plain_inputs(computation: metric_types.MetricComputation) -> bool:
    """Whether labels, predictions and weights are all that the computation reads, as they come."""
    combiner = computation.combiner
    own = getattr(combiner, "_extract_label_prediction_and_weight", None)
    if own not in (None, metric_util.to_label_prediction_example_weight):
        return False
    if not getattr(combiner, "_enable_fractional_labels", True) or getattr(combiner, "_example_id_key", None):
        return False
    key: Any = getattr(combiner, "_key", None)
    if type(combiner) is calibration._WeightedLabelsPredictionsExamplesCombiner and key.sub_key and key.sub_key.top_k:
        return False  # TFMA counts the last of the top classes alone there, which is best left to it
    return all(type(p) is metric_types.StandardMetricInputsPreprocessor for p in computation.preprocessors)


def _summed(combiner: beam.CombineFn, eval_config: tfma.EvalConfig) -> SummedMetric:
    told = vars(combiner)
    key = told.get("_key") or told.get("_metric_key") or (told.get("_keys") or [None])[0]
    if key is None:
        key = metric_types.MetricKey("", told["_model_name"] or "", told["_output_names"][0], told["_sub_key"])
    in_config = told.get("_sub_key_in_config", False)
    spec = model_util.get_model_spec(eval_config, key.model_name)
    wanted = Wanted(
        model=key.model_name,
        output=key.output_name,
        label_key=spec.label_key if spec else "",
        prediction_key=spec.prediction_key if spec else "",
        sub_key=None if in_config else _sub_key(combiner, key),
        aggregated=told.get("_aggregation_type") is not None,
        weighted=told["_example_weighted"],
    )
    return _BY_COMBINER[type(combiner)](copy.copy(combiner), wanted, told.get("_class_weights"))


def _sub_key(combiner: beam.CombineFn, key: metric_types.MetricKey) -> metric_types.SubKey | None:
    """Some combiners take no notice of binarization."""
    ignoring = (
        multi_class_confusion_matrix_metrics._MultiClassConfusionMatrixCombiner,
        squared_pearson_correlation._SquaredPearsonCorrelationCombiner,
        tjur_discrimination._TjurDiscriminationCombiner,
    )
    return None if isinstance(combiner, ignoring) else key.sub_key
