"""Transformed features of raw batches: the label, the weight, and what slices need, by the TFT graph itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader
from tfx_bsl.tfxio import tensor_adapter, tensor_representation_util

from fluent_pipe.arrow.tfx import raw_columns_of, to_tfx


def source_columns(graph: str, names: list[str]) -> set[str]:
    """The raw columns that transformed features are computed from.

    Parameters
    ----------
    graph
        Folder of a ``TransformGraph`` artifact.
    """
    return raw_columns_of(SavedModelLoader(tft.TFTransformOutput(graph).transform_savedmodel_dir), names)


_TYPES = {schema_pb2.INT: pa.int64(), schema_pb2.FLOAT: pa.float32(), schema_pb2.BYTES: pa.binary()}


class TransformedColumns:
    """Runs a TFT graph over whole batches.

    Parameters
    ----------
    graph
        Folder of a ``TransformGraph`` artifact.
    names
        Transformed features wanted; the others are not computed.
    """

    def __init__(self, graph: str, names: list[str]) -> None:
        output = tft.TFTransformOutput(graph)
        schema = output.raw_metadata.schema
        self._arrow_schema = pa.schema([(f.name, pa.list_(_TYPES[f.type])) for f in schema.feature])
        representations = tensor_representation_util.InferTensorRepresentationsFromMixedSchema(schema)
        config = tensor_adapter.TensorAdapterConfig(self._arrow_schema, representations)
        self._adapter = tensor_adapter.TensorAdapter(config)
        layer = output.transform_features_layer()

        # There is no Python to convert in it, and looking for some takes AutoGraph seconds.
        @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
        def transform(raw: dict[str, Any]) -> dict[str, Any]:
            features = layer(raw)
            return {name: features[name] for name in names}

        self._transform = transform

    def of(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """The features of a raw batch: flat for one value a row, lists for other shapes."""
        tensors = self._adapter.ToBatchTensors(self._conformed(to_tfx(batch)))
        return {name: _arrow(tensor, batch.num_rows) for name, tensor in self._transform(tensors).items()}

    def _conformed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = []
        for field in self._arrow_schema:
            index = batch.schema.get_field_index(field.name)
            column = batch.column(index) if index >= 0 else pa.nulls(batch.num_rows)
            columns.append(_as_list(column, field.type))
        return pa.RecordBatch.from_arrays(columns, schema=self._arrow_schema)


def _as_list(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), kind)
    if pa.types.is_large_list(column.type):  # Arrow has no cast to narrower offsets
        missing = np.append(column.is_null().to_numpy(zero_copy_only=False), [False])
        offsets = pa.array(column.offsets.to_numpy().astype(np.int32), mask=missing)
        column = pa.ListArray.from_arrays(offsets, column.values)
    return column.cast(kind, safe=not pa.types.is_floating(kind.value_type))


def _arrow(tensor: Any, rows: int) -> pa.Array:
    if isinstance(tensor, tf.RaggedTensor):
        tensor = tensor.to_sparse()
    if isinstance(tensor, tf.SparseTensor):
        counts = np.bincount(tensor.indices.numpy()[:, 0], minlength=rows)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), _flat(tensor.values))
    flat = _flat(tf.reshape(tensor, [-1]))
    if len(flat) == rows:
        return flat
    return pa.FixedSizeListArray.from_arrays(flat, len(flat) // max(rows, 1)).cast(pa.list_(flat.type))


def _flat(tensor: Any) -> pa.Array:
    values = tensor.numpy()
    return pa.array(values.tolist(), pa.binary()) if values.dtype == object else pa.array(values)
