"""TFMA's metrics by kind of label, with the settings that change what they compute."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import confusion_matrix_metrics, metric_types
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.utils import config_util


def metric(class_name: str, /, *, module: str = "", threshold: Any = None, **settings: Any) -> tfma.MetricConfig:
    """A metric with settings; named after them, so that many of one class live side by side."""
    if settings and "name" not in settings:
        said = "_".join(f"{k}_{v}" for k, v in settings.items())
        settings["name"] = f"{class_name}_{said}".lower()
    made = tfma.MetricConfig(class_name=class_name, config=json.dumps(settings) if settings else "")
    if module:
        made.module = module
    if threshold is not None:
        made.threshold.CopyFrom(threshold)
    return made


def config(
    *specs: tfma.MetricsSpec,
    slices: Iterable[tfma.SlicingSpec] = (),
    models: Sequence[tfma.ModelSpec] = (),
    weighted: bool = True,
    **others: Any,
) -> tfma.EvalConfig:
    """An evaluation of one model unless ``models`` are given, with TFMA's defaults filled in."""
    key = {"example_weight_key": "weight"} if weighted else {}
    models = models or [tfma.ModelSpec(label_key="label", **key)]
    given = tfma.EvalConfig(model_specs=models, metrics_specs=specs, slicing_specs=slices, **others)
    compared = any(m.is_baseline for m in models)
    return config_util.update_eval_config_with_defaults(given, has_baseline=compared)


def spec(metrics: Iterable[tfma.MetricConfig], *, both: bool = False, **settings: Any) -> tfma.MetricsSpec:
    """Metrics with the same settings; ``both`` for with weights and without."""
    made = tfma.MetricsSpec(metrics=metrics, **settings)
    if both:
        made.example_weights.CopyFrom(config_pb2.ExampleWeightOptions(weighted=True, unweighted=True))
    return made


def confusion_matrix_classes() -> list[str]:
    """Every metric of TFMA's that is computed from a confusion matrix, with nothing but thresholds to choose."""
    return sorted(
        name
        for name, made in metric_types.registered_metrics().items()
        if inspect.getmodule(made) is confusion_matrix_metrics
        # TFMA divides by zero where both rates are the same.
        and name != "PrevalenceThreshold"
        and all(p.default is not p.empty for n, p in inspect.signature(made).parameters.items() if n != "kwargs")
    )


THRESHOLDS = [0.0, 0.1, 0.5, 0.7, 1.0]


def confusion_matrix_metrics_at(**settings: Any) -> list[tfma.MetricConfig]:
    """The confusion matrix metrics that take these settings, with them."""
    classes = metric_types.registered_metrics()
    return [
        metric(name, **settings)
        for name in confusion_matrix_classes()
        if set(settings) <= set(inspect.signature(classes[name]).parameters)
    ]


AT_A_POINT = [
    metric("SensitivityAtSpecificity", specificity=0.4, num_thresholds=21),
    metric("SpecificityAtSensitivity", sensitivity=0.6, num_thresholds=21),
    metric("PrecisionAtRecall", recall=0.5, num_thresholds=21),
    metric("PrecisionAtRecall", recall=[0.2, 0.9], thresholds=[0.0, 0.25, 0.5]),
    metric("RecallAtPrecision", precision=0.5, num_thresholds=21),
    metric("RecallAtFalsePositiveRate", false_positive_rate=0.3, num_thresholds=21),
    metric("ThresholdAtRecall", recall=0.5, thresholds=[0.1, 0.5, 0.9]),
    metric("ConfusionMatrixAtThresholds", thresholds=THRESHOLDS),
    metric("ConfusionMatrixAtThresholds", thresholds=[0.9, 0.1, 0.5]),
    metric("ConfusionMatrixAtThresholds", thresholds=[0.25]),
]

AREAS = [
    metric("AUC", curve=curve, summation_method=method, **points)
    for curve in ("ROC", "PR")
    for method in ("interpolation", "majoring", "minoring")
    for points in ({"num_thresholds": 2}, {"num_thresholds": 21}, {"thresholds": [0.25, 0.5, 0.75]})
] + [metric("AUCPrecisionRecall", num_thresholds=21), metric("AUCPrecisionRecall", thresholds=[0.2, 0.6])]

COUNTS_AND_MEANS = [
    metric(n) for n in ("ExampleCount", "WeightedExampleCount", "MeanLabel", "MeanPrediction", "Calibration")
]

CROSS_ENTROPIES = [
    metric("BinaryCrossEntropy"),
    metric("BinaryCrossEntropy", from_logits=True),
    metric("BinaryCrossEntropy", label_smoothing=0.2),
    metric("BinaryCrossEntropy", from_logits=True, label_smoothing=0.5),
]

OTHERS = [metric(n) for n in ("CoefficientOfDiscrimination", "RelativeCoefficientOfDiscrimination")]

KERAS_BINARY = [
    metric(name)
    for name in ("BinaryCrossentropy", "Hinge", "SquaredHinge", "CosineSimilarity", "KLDivergence", "Accuracy")
] + [
    metric("BinaryCrossentropy", from_logits=True),
    metric("BinaryCrossentropy", label_smoothing=0.2),
    metric("MeanSquaredError"),
]

BINARY_PLOTS = [
    metric("CalibrationPlot"),
    metric("CalibrationPlot", num_buckets=7),
    metric("ConfusionMatrixPlot", num_thresholds=11),
    metric("ScoreDistributionPlot", num_thresholds=11),
]

REGRESSION = [
    *COUNTS_AND_MEANS,
    *(
        metric(n)
        for n in (
            "MeanSquaredError",
            "MeanAbsoluteError",
            "MeanAbsolutePercentageError",
            "SquaredPearsonCorrelation",
            "RootMeanSquaredError",
            "LogCoshError",
            "CosineSimilarity",
            "Hinge",
        )
    ),
    metric("CalibrationPlot", left=-2.0, right=2.5, num_buckets=9),
    metric("CalibrationPlot", left=-10.0, right=10.0),
]

LOGARITHMIC = [metric("MeanSquaredLogarithmicError"), metric("Poisson")]

MULTI_CLASS = [
    metric("ExampleCount"),
    metric("WeightedExampleCount"),
    *(metric("MultiClassConfusionMatrixAtThresholds", thresholds=t) for t in ([0.5], [0.25, 0.5, 0.75], [0.75, 0.25])),
    metric("MultiClassConfusionMatrixPlot"),
    metric("MultiClassConfusionMatrixPlot", num_thresholds=5),
    metric("MultiClassConfusionMatrixPlot", thresholds=[0.0, 0.25, 0.5]),
    metric("AUC", class_id=2, num_thresholds=11),
    metric("Recall", class_id=1),
    metric("Precision", class_id=0, thresholds=[0.25, 0.5]),
]

TOP_K = [
    metric("Precision", top_k=1),
    metric("Precision", top_k=3),
    metric("Recall", top_k=2),
    metric("F1Score", top_k=2),
    metric("TruePositives", top_k=2),
]

SPARSE_ONLY = [
    metric("SparseCategoricalAccuracy"),
    metric("SparseCategoricalCrossentropy"),
    metric("SparseTopKCategoricalAccuracy", k=2),
]

ONE_HOT_ONLY = [
    metric("CategoricalAccuracy"),
    metric("CategoricalCrossentropy"),
    metric("TopKCategoricalAccuracy", k=2),
    metric("CategoricalCrossEntropy", name="tfma_cross_entropy"),
    metric("CategoricalCrossEntropy", name="smooth_cross_entropy", label_smoothing=0.1),
    metric("CategoricalCrossEntropy", name="logits_cross_entropy", from_logits=True),
]

BINARIZED = [
    metric("ExampleCount"),
    metric("AUC", num_thresholds=11),
    metric("Precision"),
    metric("Recall", thresholds=[0.25, 0.5]),
    metric("ConfusionMatrixAtThresholds", thresholds=[0.1, 0.5]),
    metric("MeanLabel"),
    metric("MeanPrediction"),
    metric("Calibration"),
    metric("BinaryAccuracy"),
    metric("CoefficientOfDiscrimination"),
    metric("CalibrationPlot", num_buckets=8),
    metric("ConfusionMatrixPlot", num_thresholds=5),
]
