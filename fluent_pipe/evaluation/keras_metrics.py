"""Keras metrics inside TFMA: those that are a mean of one value a row, and the rest."""

# The function of a Keras metric and the configuration in TFMA's combiner are private fields.
# ruff: noqa: SLF001

from __future__ import annotations

import copy
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
from tensorflow_model_analysis.metrics import tf_metric_wrapper
from tensorflow_model_analysis.utils import model_util
from tensorflow_model_analysis.utils.keras_lib import tf_keras

from fluent_pipe.arrow.arrays import Floats, Values


def split_metrics(combiner: beam.CombineFn) -> tuple[list[beam.CombineFn], beam.CombineFn | None]:
    """A combiner of Keras metrics as several: for each output one of means of a value a row; and one of the rest."""
    spec = model_util.get_model_spec(combiner._eval_config, combiner._model_name) if combiner._eval_config else None
    if spec is not None and spec.HasField("padding_options"):
        return [], combiner
    means: list[list[Any]] = []
    others: list[list[Any]] = []
    with tf_keras.utils.custom_object_scope(tf_metric_wrapper._load_custom_objects(combiner._custom_objects)):
        for configs in combiner._metric_configs:
            kinds = [_is_mean(metric) for metric in tf_metric_wrapper._deserialize_metrics(configs)]
            means.append([c for c, mean in zip(configs, kinds, strict=True) if mean])
            others.append([c for c, mean in zip(configs, kinds, strict=True) if not mean])
    names = combiner._output_names
    of_outputs = [
        _with(combiner, [name], [configs], [[]]) for name, configs in zip(names, means, strict=True) if configs
    ]
    has_rest = any(others) or any(combiner._loss_configs)
    return of_outputs, _with(combiner, names, others, combiner._loss_configs) if has_rest else None


def _with(combiner: beam.CombineFn, outputs: list[str], metrics: Any, losses: Any) -> beam.CombineFn:
    changed = copy.copy(combiner)
    changed._output_names, changed._metric_configs, changed._loss_configs = outputs, metrics, losses
    return changed


def _is_mean(metric: Any) -> bool:
    base = tf_keras.metrics.MeanMetricWrapper
    if type(metric) is tf_keras.metrics.RootMeanSquaredError:
        return True
    return (
        isinstance(metric, base)
        and type(metric).update_state is base.update_state
        and type(metric).result is tf_keras.metrics.Mean.result
        and metric.dtype == "float32"
    )


def row_values(metric: Any, label: Values, prediction: Values) -> Floats:
    """The values that a metric is the mean of: shape [rows, 1], or [rows, n] where it has several a row.

    Parameters
    ----------
    label, prediction
        Shape [rows, ...], as the metric's ``update_state`` takes them.
    """
    from tf_keras.src.utils import losses_utils

    y_true, y_pred = tf.cast(label, metric.dtype), tf.cast(prediction, metric.dtype)
    y_pred, y_true = losses_utils.squeeze_or_expand_dimensions(y_pred, y_true)
    if isinstance(metric, tf_keras.metrics.RootMeanSquaredError):
        values = tf.math.squared_difference(y_pred, y_true)
    else:
        values = metric._fn(y_true, y_pred, **metric._fn_kwargs)
    return np.asarray(values, np.float64).reshape(len(label), -1)
