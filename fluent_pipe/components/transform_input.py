"""Rows as TensorFlow Transform reads them: the columns that the schema knows, in the types that it gives them."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.tfxio import tensor_representation_util
from tfx_bsl.tfxio.tensor_adapter import TensorAdapterConfig

from fluent_pipe import progress
from fluent_pipe.arrow.tfx import to_tfx
from fluent_pipe.components.base import Context
from fluent_pipe.errors import InputError

_VALUE_TYPES = {schema_pb2.INT: pa.int64(), schema_pb2.FLOAT: pa.float32(), schema_pb2.BYTES: pa.binary()}

# The stages whose features TFX keeps from a model.
_UNUSED_STAGES = frozenset(
    {
        schema_pb2.DEPRECATED,
        schema_pb2.DISABLED,
        schema_pb2.PLANNED,
        schema_pb2.ALPHA,
        schema_pb2.DEBUG_ONLY,
    }
)


def used_schema(schema: schema_pb2.Schema) -> schema_pb2.Schema:
    """The schema without features that a model does not see: deprecated ones, structs, those that never had a value.

    Raises
    ------
    InputError
        If nothing is left.
    """
    used = schema_pb2.Schema()
    used.CopyFrom(schema)
    del used.feature[:]
    used.feature.extend(f for f in schema.feature if f.type in _VALUE_TYPES and f.lifecycle_stage not in _UNUSED_STAGES)
    if not used.feature:
        raise InputError("The schema has no feature that can be transformed.", fix="Look at run.schema.")
    return used


def adapter_config(used: schema_pb2.Schema) -> TensorAdapterConfig:
    """How Arrow columns become tensors: dense where the schema gives a shape, sparse or ragged elsewhere."""
    fields = [pa.field(f.name, pa.list_(_VALUE_TYPES[f.type])) for f in used.feature]
    representations = tensor_representation_util.InferTensorRepresentationsFromMixedSchema(used)
    return TensorAdapterConfig(pa.schema(fields), representations)


class ToTransformInput(beam.DoFn):  # type: ignore[misc]
    """Flat batches to batches of exactly the adapter's Arrow schema.

    Parameters
    ----------
    context
        Of the step.
    split
        Whose rows; named in errors.
    config
        From :func:`adapter_config`.
    part
        Of the step's work that is done when a row is analysed; None for rows that are not.
    """

    def __init__(self, context: Context, split: str, config: TensorAdapterConfig, *, part: float | None = None) -> None:
        self._context = context
        self._part = part
        self._split = split
        self._schema = config.arrow_schema
        self._always = frozenset(
            name
            for name, kind in config.tensor_representations.items()
            if kind.HasField("dense_tensor") and kind.dense_tensor.default_value.WhichOneof("kind") is None
        )

    def process(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        with self._context.explained():
            if self._part is None:
                progress.check()
            else:
                progress.report(self._context.step, detail="analysing", part=batch.num_rows * self._part)
            columns = [self._column(batch, field) for field in self._schema]
            yield pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _column(self, batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
        index = batch.schema.get_field_index(field.name)
        if index < 0:
            column = pa.nulls(batch.num_rows, field.type)
        else:
            column = to_tfx(pa.record_batch([batch.column(index)], names=[field.name])).column(0)
            column = self._cast(column, field)
        if column.null_count and field.name in self._always:
            raise InputError(
                f"Column {field.name!r} has missing values in split {self._split!r} ({column.null_count:,} among "
                f"{batch.num_rows:,} rows looked at), and the schema says that every row has a value.",
                fix="In curate_schema(), clear the feature's shape and lower its presence.min_fraction.",
            )
        return column

    def _cast(self, column: pa.Array, field: pa.Field) -> pa.Array:
        if column.type == field.type:
            return column
        if pa.types.is_null(column.type):
            return pa.nulls(len(column), field.type)
        if pa.types.is_large_list(column.type):
            column = _narrow(column)
        try:
            # Rounding to float32 is what the type asks for; an integer column must not lose a fraction.
            return column.cast(field.type, safe=not pa.types.is_floating(field.type.value_type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(
                f"Column {field.name!r} of split {self._split!r} holds {column.type.value_type}, and the schema says "
                f"{field.type.value_type}: {error}",
                fix="Give the column one type where it is read (types=), or change its type in curate_schema().",
            ) from error


def _narrow(column: pa.LargeListArray) -> pa.ListArray:
    """The same lists with 32-bit offsets; missing rows stay missing."""
    offsets = column.offsets.cast(pa.int32())
    if column.null_count:
        missing = np.append(column.is_null().to_numpy(zero_copy_only=False), False)
        offsets = pa.array(offsets.to_numpy(), mask=missing)
    return pa.ListArray.from_arrays(offsets, column.values)
