"""The model that is trained when none is given: wide and deep over the transformed features."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import keras
import keras_tuner

from fluent_pipe.errors import TrainingError
from fluent_pipe.training.data import TrainingData


def build_model(data: TrainingData, hp: keras_tuner.HyperParameters) -> keras.Model:
    """A compiled wide-and-deep model.

    Every id of every categorical feature is one row of one table. Most of a row is the id's embedding and feeds the
    dense layers (deep), the rest are its weights in a linear model (wide). One table, so one lookup a batch and one
    variable to update a step.

    Parameters
    ----------
    data
        The transformed features and the label.
    hp
        Gives ``learning_rate``, ``layers``, ``units``, ``dropout`` and ``embedding``.

    Returns
    -------
    keras.Model
        Output ``[batch, 1]``: a probability (binary) or a quantity (regression); ``[batch, classes]`` probabilities
        (multiclass).

    Raises
    ------
    TrainingError
        If no transformed feature is a number.
    """
    inputs = {name: tensor for name, tensor in data.inputs().items() if data.feature(name).dtype != "string"}
    if not inputs:
        raise TrainingError(
            "No transformed feature is a number, so there is nothing to learn from.",
            fix="Turn text into ids with tft.compute_and_apply_vocabulary in preprocessing_fn.",
        )
    outputs = _output_size(data)
    embedding = hp.Int("embedding", 2, 32, default=8, sampling="log")
    wide, deep = [], []
    ids = [name for name in data.categorical_features if name in inputs]
    if ids:
        rows = _embedded_ids(data, {n: inputs[n] for n in ids}, embedding + outputs)
        wide.append(keras.ops.sum(rows[:, :, embedding:], axis=1))
        deep.append(keras.layers.Flatten()(rows[:, :, :embedding]))
    numbers = [_number(data, name, inputs[name]) for name in inputs if name not in ids]
    if numbers:
        joined = _joined(numbers)
        wide.append(keras.layers.Dense(outputs, use_bias=False, name=_free("wide_numbers", inputs))(joined))
        deep.append(joined)
    wide.append(_tower(_joined(deep), outputs, hp))
    output = _output(data, keras.layers.Add()(wide), _free("prediction", inputs))
    model = keras.Model(inputs, output, name="wide_and_deep")
    _compile(model, data, hp.Float("learning_rate", 1e-4, 3e-2, default=3e-3, sampling="log"))
    return model


def _output_size(data: TrainingData) -> int:
    return max(data.class_count or 2, 2) if data.task == "multiclass" else data.label_size


def _embedded_ids(data: TrainingData, inputs: dict[str, Any], width: int) -> Any:
    """``[batch, ids, width]``: the table's row for each id; the mean over the ids of a multi-valued feature."""
    starts: dict[str, int] = {}
    total = 0
    for name in inputs:
        starts[name] = total
        total += data.cardinality(name) + 1  # its first row stands for -1, and for ids that training never saw
    table = keras.layers.Embedding(total, width, name=_free("table", data.features))

    def rows_of(name: str) -> Any:
        ids = inputs[name]
        known = keras.ops.logical_and(ids >= 0, ids < data.cardinality(name))
        return keras.ops.where(known, ids + (starts[name] + 1), starts[name])

    single = [name for name in inputs if not data.feature(name).multi_valued]
    parts = []
    if single:
        parts.append(table(_joined([keras.layers.Flatten()(rows_of(name)) for name in single])))
    for name in inputs:
        if data.feature(name).multi_valued:
            present = keras.ops.expand_dims(keras.ops.cast(inputs[name] >= 0, "float32"), -1)
            total_row = keras.ops.sum(table(rows_of(name)) * present, axis=1, keepdims=True)
            parts.append(total_row / keras.ops.maximum(keras.ops.sum(present, axis=1, keepdims=True), 1.0))
    return parts[0] if len(parts) == 1 else keras.layers.Concatenate(axis=1)(parts)


def _number(data: TrainingData, name: str, tensor: Any) -> Any:
    if data.feature(name).multi_valued:
        return keras.ops.sum(keras.ops.cast(tensor, "float32"), axis=1, keepdims=True)
    tensor = tensor if data.feature(name).dtype == "float32" else keras.ops.cast(tensor, "float32")
    return keras.layers.Flatten()(tensor) if len(data.feature(name).row_shape) > 1 else tensor


def _joined(tensors: list[Any]) -> Any:
    return tensors[0] if len(tensors) == 1 else keras.layers.Concatenate()(tensors)


def _tower(tensor: Any, outputs: int, hp: keras_tuner.HyperParameters) -> Any:
    units = hp.Int("units", 16, 256, default=64, sampling="log")
    dropout = hp.Float("dropout", 0.0, 0.5, default=0.0)
    for layer in range(hp.Int("layers", 1, 3, default=2)):
        tensor = keras.layers.Dense(max(units >> layer, 8), activation="relu")(tensor)
        if dropout:
            tensor = keras.layers.Dropout(dropout)(tensor)
    return keras.layers.Dense(outputs)(tensor)


def _free(name: str, features: Collection[str]) -> str:
    """A layer's name that is no feature's."""
    while name in features:
        name += "_"
    return name


def _output(data: TrainingData, tensor: Any, name: str) -> Any:
    if data.task == "regression":
        # The layers then work with numbers around 0 and 1, whatever the unit of the label is.
        mean, deviation = data.label_moments()
        return keras.layers.Rescaling(deviation, offset=mean, name=name)(tensor)
    return keras.layers.Activation("softmax" if data.task == "multiclass" else "sigmoid", name=name)(tensor)


def _compile(model: keras.Model, data: TrainingData, learning_rate: float) -> None:
    losses = {"binary": "binary_crossentropy", "multiclass": "sparse_categorical_crossentropy", "regression": "mse"}
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=losses[data.task],
        weighted_metrics=_metrics(data),
        jit_compile=False,  # compiling takes longer than it saves on a model this small, once for each batch size
    )


def _metrics(data: TrainingData) -> list[keras.metrics.Metric]:
    if data.task == "binary":
        return [keras.metrics.AUC(name="auc"), keras.metrics.BinaryAccuracy(name="binary_accuracy")]
    if data.task == "multiclass":
        return [keras.metrics.SparseCategoricalAccuracy(name="sparse_categorical_accuracy")]
    return [keras.metrics.RootMeanSquaredError(name="rmse"), keras.metrics.MeanAbsoluteError(name="mae")]
