"""A trained model as a SavedModel that takes raw rows.

Three signatures, which answer alike in eager mode and in a session:

``serving_default``
    Takes ``examples``, serialized ``tf.Example`` ``[batch]``; gives ``predictions``, the model's output:
    ``[batch, 1]``, or ``[batch, classes]`` for multiclass.
``serving_raw``
    Takes one tensor for each raw column (see :mod:`fluent_pipe.training.raw_inputs`); gives the same.
``transform_features``
    Takes ``examples``; gives the transformed features, shaped as ``data.inputs()`` has them.

Each takes the raw columns that its outputs depend on and no others, so label and weight, and columns that they alone
come from, are not asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

from fluent_pipe.arrow.tfx import raw_columns_of
from fluent_pipe.training.columns import Feature
from fluent_pipe.training.data import TrainingData
from fluent_pipe.training.raw_inputs import OUTPUT, argument_name, missing_value

Spec = Mapping[str, Any]
"""Raw columns as ``tf.io`` feature specs."""


def export_model(
    model: keras.Model,
    data: TrainingData,
    folder: Path,
    *,
    features: Collection[str],
    multi_valued: Collection[str] = (),
) -> None:
    """Write the SavedModel.

    Parameters
    ----------
    folder
        Where to; made.
    features
        Transformed features that the model takes.
    multi_valued
        Raw columns with more than one value a row; a raw column of fixed shape tells it by itself.
    """
    # Not TFT's Keras layer around this loader: tracking that one traces its call again, four seconds of it.
    graph = data.transform_graph
    spec = data.transform_output.raw_feature_spec()
    described = {name: data.feature(name) for name in data.features}
    for_model = _needed(graph, spec, features)
    for_all = _needed(graph, spec, data.features)

    def transformed(raw: Mapping[str, Any], names: Collection[str]) -> dict[str, tf.Tensor]:
        made = graph.apply_transform_model(dict(raw))
        return {name: _as_input(made[name], described[name]) for name in names}

    def predictions(raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        return {OUTPUT: model(transformed(raw, features), training=False)}

    def serving_default(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return predictions(tf.io.parse_example(examples, for_model))

    def serving_raw(columns: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return predictions({name: _as_parsed(columns[argument_name(name)], for_model[name]) for name in for_model})

    def transform_features(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return transformed(tf.io.parse_example(examples, for_all), data.features)

    serialized = [tf.TensorSpec([None], tf.string, name="examples")]
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.track(graph._imported)  # noqa: SLF001 - its vocabulary tables are no variables: no endpoint would bring them along
    archive.add_endpoint("serving_default", serving_default, serialized)
    raw_signature = _raw_signature(for_model, multi_valued)
    if raw_signature is not None:
        archive.add_endpoint("serving_raw", serving_raw, [raw_signature])
    archive.add_endpoint("transform_features", transform_features, serialized)
    archive.write_out(str(folder), verbose=False)


def _needed(graph: SavedModelLoader, spec: Spec, outputs: Collection[str]) -> dict[str, Any]:
    """The raw columns that ``outputs`` depend on."""
    sources = raw_columns_of(graph, outputs)
    found = {name: kind for name, kind in sorted(spec.items()) if name in sources}
    return found or dict(spec)


def _as_input(tensor: Any, feature: Feature) -> tf.Tensor:
    """A transformed feature as ``data.inputs()`` has it."""
    if isinstance(tensor, tf.SparseTensor):
        tensor = tf.sparse.to_dense(tensor, default_value=feature.padding)
    elif isinstance(tensor, tf.RaggedTensor):
        tensor = tensor.to_tensor(default_value=feature.padding)
    tensor = tf.cast(tensor, feature.dtype) if feature.dtype != "string" else tensor
    if feature.multi_valued:
        return tensor
    return tf.reshape(tensor, [-1, *feature.row_shape])


def _raw_signature(spec: Spec, multi_valued: Collection[str]) -> dict[str, tf.TensorSpec] | None:
    if any(isinstance(kind, tf.io.SparseFeature) for kind in spec.values()):
        return None  # one feature of several columns: only an example can hold it
    return {
        argument: tf.TensorSpec([None, *_raw_row_shape(kind, many=name in multi_valued)], kind.dtype, name=argument)
        for name, kind in spec.items()
        for argument in (argument_name(name),)
    }


def _raw_row_shape(kind: Any, *, many: bool) -> list[int | None]:
    if isinstance(kind, tf.io.FixedLenFeature) and list(kind.shape) not in ([], [1]):
        return list(kind.shape)
    return [None] if many else []


def _as_parsed(column: tf.Tensor, kind: Any) -> Any:
    """A raw column as ``tf.io.parse_example`` would have made it; missing values left out."""
    missing = missing_value(kind.dtype)
    present = tf.logical_not(tf.math.is_nan(column)) if kind.dtype.is_floating else tf.not_equal(column, missing)
    if isinstance(kind, tf.io.FixedLenFeature):
        if kind.default_value is not None:
            default = tf.reshape(tf.constant(kind.default_value, kind.dtype), [-1])[0]
            column = tf.where(present, column, default)
        return tf.reshape(column, [-1, *kind.shape])
    if column.shape.rank == 1:
        column, present = column[:, None], present[:, None]
    if isinstance(kind, tf.io.RaggedFeature):
        return tf.ragged.boolean_mask(column, present).with_row_splits_dtype(kind.row_splits_dtype)
    # Values move to the front of their row, as a parsed example has them.
    return tf.ragged.boolean_mask(column, present).to_sparse()
