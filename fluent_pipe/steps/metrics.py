"""Metrics by name: which there are, how TFMA calls them, and which kind of label each fits.

A plain table, so that a name can be checked without loading TFMA. Metrics that need arguments (a threshold, a
query key), pictures or other tasks (translation, object detection) are left out.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from fluent_pipe.errors import ArgumentError, EvaluationError

Task = Literal["binary", "multiclass", "regression"]
TASKS: tuple[str, ...] = get_args(Task)


@dataclass(frozen=True)
class Metric:
    """One metric.

    Parameters
    ----------
    class_name
        TFMA's class; where TFMA has none, that of Keras.
    name
        The metric's key in TFMA's results.
    tasks
        Kinds of label that it fits.
    """

    class_name: str
    name: str
    tasks: frozenset[str]


_BINARY = {
    "AUC": "auc", "AUCPrecisionRecall": "auc_precision_recall", "BalancedAccuracy": "balanced_accuracy",
    "BinaryAccuracy": "binary_accuracy", "BinaryCrossEntropy": "binary_crossentropy",
    "CoefficientOfDiscrimination": "coefficient_of_discrimination", "DiagnosticOddsRatio": "diagnostic_odds_ratio",
    "F1Score": "f1_score", "FN": "fn", "FNR": "fnr", "FP": "fp", "FPR": "fpr", "FallOut": "fall_out",
    "FalseDiscoveryRate": "false_discovery_rate", "FalseNegatives": "false_negatives",
    "FalseOmissionRate": "false_omission_rate", "FalsePositives": "false_positives",
    "FowlkesMallowsIndex": "fowlkes_mallows_index", "Hinge": "hinge", "Informedness": "informedness",
    "Markedness": "markedness", "MatthewsCorrelationCoefficient": "matthews_correlation_coefficient",
    "MissRate": "miss_rate", "NPV": "npv", "NegativeLikelihoodRatio": "negative_likelihood_ratio",
    "NegativePredictiveValue": "negative_predictive_value", "PPV": "ppv",
    "PositiveLikelihoodRatio": "positive_likelihood_ratio", "Precision": "precision",
    "PredictedPositiveRate": "predicted_positive_rate", "Prevalence": "prevalence",
    "PrevalenceThreshold": "prevalence_threshold", "Recall": "recall",
    "RelativeCoefficientOfDiscrimination": "relative_coefficient_of_discrimination", "Specificity": "specificity",
    "SquaredHinge": "squared_hinge", "TN": "tn", "TNR": "tnr", "TP": "tp", "TPR": "tpr", "ThreatScore": "threat_score",
    "TrueNegatives": "true_negatives", "TruePositives": "true_positives",
}  # fmt: skip
_MULTICLASS = {
    "SparseCategoricalAccuracy": "sparse_categorical_accuracy",
    "SparseCategoricalCrossentropy": "sparse_categorical_crossentropy",
    "SparseTopKCategoricalAccuracy": "sparse_top_k_categorical_accuracy",
}
_REGRESSION = {
    "LogCoshError": "log_cosh_error", "MeanAbsolutePercentageError": "mean_absolute_percentage_error",
    "MeanSquaredLogarithmicError": "mean_squared_logarithmic_error", "Poisson": "poisson",
    "RootMeanSquaredError": "root_mean_squared_error", "SquaredPearsonCorrelation": "squared_pearson_correlation",
}  # fmt: skip
_BINARY_AND_REGRESSION = {
    "Calibration": "calibration", "MeanAbsoluteError": "mean_absolute_error", "MeanLabel": "mean_label",
    "MeanPrediction": "mean_prediction", "MeanSquaredError": "mean_squared_error",
}  # fmt: skip
_EVERY_TASK = {"ExampleCount": "example_count", "WeightedExampleCount": "weighted_example_count"}

METRICS: tuple[Metric, ...] = tuple(
    Metric(class_name, name, frozenset(tasks))
    for table, tasks in (
        (_EVERY_TASK, TASKS),
        (_BINARY, ("binary",)),
        (_MULTICLASS, ("multiclass",)),
        (_REGRESSION, ("regression",)),
        (_BINARY_AND_REGRESSION, ("binary", "regression")),
    )
    for class_name, name in table.items()
)

_DEFAULTS: dict[str, tuple[str, ...]] = {
    "binary": (
        "auc", "auc_precision_recall", "binary_accuracy", "precision", "recall", "mean_label", "mean_prediction",
        "calibration",
    ),
    "multiclass": ("sparse_categorical_accuracy", "sparse_categorical_crossentropy"),
    "regression": (
        "root_mean_squared_error", "mean_squared_error", "mean_absolute_error", "squared_pearson_correlation",
        "mean_label", "mean_prediction",
    ),
}  # fmt: skip
_OTHER_NAMES = {
    "logcosh": "log_cosh_error", "mae": "mean_absolute_error", "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error", "msle": "mean_squared_logarithmic_error", "rmse": "root_mean_squared_error",
    "prauc": "auc_precision_recall", "aucpr": "auc_precision_recall", "logloss": "binary_crossentropy",
}  # fmt: skip
_BY_TASK = {
    "accuracy": {"binary": "binary_accuracy", "multiclass": "sparse_categorical_accuracy"},
    "crossentropy": {"binary": "binary_crossentropy", "multiclass": "sparse_categorical_crossentropy"},
}
COUNTS = frozenset(_EVERY_TASK.values())
_BY_NAME = {m.name: m for m in METRICS}


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


_BY_PLAIN_NAME = {
    **{_plain(m.class_name): m for m in METRICS},
    **{_plain(m.name): m for m in METRICS},
    **{other: _BY_NAME[name] for other, name in _OTHER_NAMES.items()},
}


def known(task: str | None = None) -> list[str]:
    """Names of all metrics, or of those that fit a kind of label, as they stand in results.

    Examples
    --------
    >>> known("multiclass")[:2]
    ['example_count', 'sparse_categorical_accuracy']
    """
    return sorted(m.name for m in METRICS if task is None or task in m.tasks)


def resolve(name: str, *, task: str) -> Metric:
    """The metric that a person means by ``name``.

    Parameters
    ----------
    name
        A class name or a name in results, of TFMA or Keras; case and underscores do not matter. ``"accuracy"`` is
        the accuracy that fits the task.
    task
        Kind of label: ``"binary"``, ``"multiclass"`` or ``"regression"``.

    Raises
    ------
    EvaluationError
        If there is no such metric, or it does not fit the task.

    Examples
    --------
    >>> resolve("AUC", task="binary").name, resolve("accuracy", task="multiclass").name
    ('auc', 'sparse_categorical_accuracy')
    """
    plain = _plain(name)
    metric = _BY_NAME.get(_BY_TASK.get(plain, {}).get(task, "")) or _BY_PLAIN_NAME.get(plain)
    if metric is None and plain not in _BY_TASK:
        near = difflib.get_close_matches(plain, _BY_PLAIN_NAME, n=1)
        raise EvaluationError(
            f"There is no metric {name!r}.",
            got=_BY_PLAIN_NAME[near[0]].name if near else name,  # so that 'AUK' is matched as 'auk' would be
            valid=_nearest_first(plain, known(task)),
        )
    if metric is None or task not in metric.tasks:
        raise EvaluationError(
            f"Metric {name!r} does not fit a {task} label.",
            valid=_nearest_first(plain, known(task)),
            fix="Name metrics that fit, or none for the defaults.",
        )
    return metric


def check_known(name: str) -> None:
    """Check a name before the kind of label is known.

    Raises
    ------
    ArgumentError
        If there is no such metric.
    """
    plain = _plain(str(name))
    if plain in _BY_TASK or plain in _BY_PLAIN_NAME:
        return
    try:
        resolve(str(name), task="")
    except EvaluationError as error:
        raise ArgumentError(error.fact, got=error.got, valid=_nearest_first(plain, known())) from None


def _nearest_first(plain: str, names: list[str]) -> list[str]:
    near = {_plain(n): n for n in names}
    first = [near[p] for p in difflib.get_close_matches(plain, near, n=5, cutoff=0.5)]
    return [*first, *(n for n in names if n not in first)]


def chosen(names: tuple[str, ...], also: tuple[str, ...], *, task: str, weighted: bool) -> tuple[Metric, ...]:
    """Metrics to compute, without repeats: counts first.

    Parameters
    ----------
    names
        What was asked for; empty for the task's defaults.
    also
        Metrics that only requirements name.
    task
        Kind of label.
    weighted
        Whether rows have weights; if not, asking for ``weighted_example_count`` is an error.

    Raises
    ------
    EvaluationError
        As :func:`resolve`.
    """
    counts = ["example_count", "weighted_example_count"] if weighted else ["example_count"]
    metrics = [resolve(n, task=task) for n in (*counts, *(names or _DEFAULTS[task]), *also)]
    if not weighted and _BY_NAME["weighted_example_count"] in metrics:
        raise EvaluationError(
            "Metric 'weighted_example_count' needs weights, and preprocess() was given none.",
            fix="Ask for example_count, or name a weight: preprocess(..., weight=...).",
        )
    return tuple(dict.fromkeys(metrics))


def primary(metrics: tuple[Metric, ...], *, task: str) -> str:
    """The one metric to sort slices and name models by: the task's first default if computed, else the first named."""
    names = [m.name for m in metrics if m.name not in COUNTS]
    default = _DEFAULTS[task][0]
    return default if default in names or not names else names[0]


def check_columns(slices: Iterable[Iterable[str]], available: Iterable[str]) -> None:
    """Check that all columns to slice by exist.

    Parameters
    ----------
    available
        Columns of the input, then transformed features.

    Raises
    ------
    EvaluationError
        If one does not.
    """
    there = list(dict.fromkeys(available))
    for column in (c for columns in slices for c in columns):
        if column not in there:
            raise EvaluationError(
                f"Slice column {column!r} is neither a column of the input nor a transformed feature.",
                got=column,
                valid=there,
            )


_ERRORS = (
    "loss",
    "error",
    "crossentropy",
    "hinge",
    "false_",
    "miss_rate",
    "fall_out",
    "negative_likelihood",
    "poisson",
)
_ERROR_NAMES = frozenset({"fn", "fp", "fnr", "fpr"})


def lower_is_better(name: str) -> bool:
    """Whether a metric, by its key in TFMA's results, is one that a better model has less of.

    Examples
    --------
    >>> lower_is_better("root_mean_squared_error"), lower_is_better("auc")
    (True, False)
    """
    return name in _ERROR_NAMES or any(part in name for part in _ERRORS)


_KERAS_ERRORS = frozenset({"ce", "kl_divergence", "log_cosh", "mae", "mape", "mse", "msle", "rmse"})
_KERAS_GAINS = frozenset(
    {"acc", "accuracy", "auc", "f1", "fbeta", "iou", "precision", "r2", "recall", "sensitivity", "specificity"}
)
_NEITHER = frozenset(
    {
        "calibration",
        "example_count",
        "mean_label",
        "mean_prediction",
        "predicted_positive_rate",
        "prevalence",
        "prevalence_threshold",
        "weighted_example_count",
    }
)


def direction(objective: str) -> Literal["min", "max"] | None:
    """Whether a metric that Keras reports is better when lower or higher, as its name tells; None where it does not.

    KerasTuner tells it too, but takes every class of ``keras.metrics`` that it has no entry for as better when lower:
    ``F1Score`` and ``R2Score`` among them.

    Parameters
    ----------
    objective
        As in Keras' logs: ``"val_"`` in front for the validation split, a number behind for a repeated metric.

    Examples
    --------
    >>> direction("val_auc_1"), direction("val_loss"), direction("val_f1_score"), direction("profit")
    ('max', 'min', 'max', None)
    """
    name = re.sub(r"_\d+$", "", objective.lower().removeprefix("val_").removeprefix("weighted_"))
    metric = _BY_PLAIN_NAME.get(_plain(name))
    if metric is not None and metric.name in _NEITHER:
        return None
    if lower_is_better(metric.name if metric else name) or name in _KERAS_ERRORS:
        return "min"
    words = set(name.replace("io_u", "iou").split("_"))
    return "max" if metric is not None or words & _KERAS_GAINS else None


_SIGNED_UNIT = frozenset(
    {
        "coefficient_of_discrimination",
        "informedness",
        "markedness",
        "matthews_correlation_coefficient",
        "cosine_similarity",
    }
)
_UNBOUNDED_ABOVE = (
    "loss",
    "error",
    "crossentropy",
    "hinge",
    "poisson",
    "likelihood_ratio",
    "odds_ratio",
    "count",
    "positives",
    "negatives",
)
_COUNTED = frozenset({"tp", "fp", "tn", "fn", "calibration", "relative_coefficient_of_discrimination"})


def value_range(name: str) -> tuple[float, float]:
    """The least and greatest value that a metric, by its key in TFMA's results, can have.

    Names that are not known may have any value.

    Examples
    --------
    >>> value_range("auc"), value_range("mean_squared_error"), value_range("mean_label")
    ((0.0, 1.0), (0.0, inf), (-inf, inf))
    """
    metric = _BY_NAME.get(name)
    if metric is None or name in ("mean_label", "mean_prediction", "calibration", "poisson"):
        return -math.inf, math.inf
    if name in _SIGNED_UNIT:
        return -1.0, 1.0
    if name in _COUNTED or any(part in name for part in _UNBOUNDED_ABOVE):
        return 0.0, math.inf
    return 0.0, 1.0
