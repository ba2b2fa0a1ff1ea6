"""Which of TFMA's combiners can be filled from whole batches, and what each of them reads."""

# TFMA's combiners and accumulators are private classes and keep what they were told in private fields.
# ruff: noqa: SLF001

from __future__ import annotations

import copy
from typing import Any

import apache_beam as beam
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import (
    binary_confusion_matrices,
    calibration,
    calibration_histogram,
    cross_entropy_metrics,
    example_count,
    metric_types,
    metric_util,
    multi_class_confusion_matrix_metrics,
    squared_pearson_correlation,
    tf_metric_wrapper,
    tjur_discrimination,
)
from tensorflow_model_analysis.utils import model_util

from fluent_pipe.evaluation.judgements import Wanted
from fluent_pipe.evaluation.keras_metrics import split_metrics
from fluent_pipe.evaluation.summed_classification import (
    CalibrationHistogram,
    ConfusionAtThresholds,
    CrossEntropy,
    MultiClassConfusion,
    Tjur,
)
from fluent_pipe.evaluation.summed_means import (
    REGRESSION_ERRORS,
    Count,
    KerasMeans,
    LabelsPredictionsExamples,
    MeanRegressionError,
    SquaredPearson,
)
from fluent_pipe.evaluation.summed_metrics import SummedMetric

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
