"""Sums behind counts, means and errors of labels and predictions."""

# TFMA's combiners and accumulators are private classes and keep what they were told in private fields.
# ruff: noqa: SLF001

from __future__ import annotations

from typing import Any

import numpy as np
from tensorflow_model_analysis.metrics import calibration, mean_regression_error, squared_pearson_correlation

from fluent_pipe.arrow.arrays import Floats
from fluent_pipe.evaluation.judgements import weights
from fluent_pipe.evaluation.keras_metrics import row_values
from fluent_pipe.evaluation.summed_metrics import Batch, SummedMetric, filled, moments, totals
from fluent_pipe.evaluation.sums import Contributions, Sums


class Count(SummedMetric):
    """Rows, or the sum of their weights."""

    def contributions(self, batch: Batch) -> Contributions:
        return moments(np.arange(batch.rows), weights(batch.extracts, self.wanted, rows=batch.rows).sum(axis=1))

    def accumulator(self, sums: Sums) -> Any:
        return totals(sums)[0]


class LabelsPredictionsExamples(SummedMetric):
    """Weighted sums behind mean label, mean prediction and calibration."""

    fields = 3

    def contributions(self, batch: Batch) -> Contributions:
        found = batch.pairs(self.wanted, self.class_weights)
        weight = found.weight
        return moments(found.rows, found.label * weight, found.prediction * weight, weight)

    def accumulator(self, sums: Sums) -> Any:
        return filled(calibration._WeightedLabelsPredictionsExamples(), sums)


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
        return moments(found.rows[counts], weight, error[counts] * weight)

    def accumulator(self, sums: Sums) -> Any:
        return mean_regression_error._MeanRegressionErrorAccumulator(*totals(sums))


class SquaredPearson(SummedMetric):
    """Moments behind the squared Pearson correlation."""

    fields = 6

    def contributions(self, batch: Batch) -> Contributions:
        found = batch.pairs(self.wanted, self.class_weights)
        y, p, w = found.label, found.prediction, found.weight
        return moments(found.rows, w * y, w * p, w * y**2, w * p**2, w * y * p, w)

    def accumulator(self, sums: Sums) -> Any:
        return filled(squared_pearson_correlation._SquaredPearsonCorrelationAccumulator(), sums)


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
        return moments(rows, *fields)

    def accumulator(self, sums: Sums) -> Any:
        made, summed = self.combiner.create_accumulator(), np.array(totals(sums), np.float32)
        for number in range(len(summed) // 2):
            made.add_weights(0, number, [summed[2 * number], summed[2 * number + 1]])
        return made
