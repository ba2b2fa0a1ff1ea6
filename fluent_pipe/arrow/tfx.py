"""Flat Arrow columns to the ``list<primitive>`` columns that TFDV, TFT and tfx-bsl read.

Rows rest and travel as flat columns, as people have them. The TFX libraries want every column as a list of values per
row, with null for "missing". The change is a recount of offsets: no value is touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fluent_pipe.errors import InputError


def to_tfx(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with every column as ``list<int64 | float32 | float64 | binary>``; null rows stay null.

    Parameters
    ----------
    batch
        Any number of rows; columns flat, lists of flat, or null.

    Returns
    -------
    pa.RecordBatch
        As many rows; column names as they were. Floats keep their width.

    Raises
    ------
    InputError
        If a column holds what none of these types can, such as unsigned integers above 2**63.

    Examples
    --------
    >>> to_tfx(pa.RecordBatch.from_pydict({"fare": [1.5, None]})).column(0).to_pylist()
    [[1.5], None]
    """
    columns = [_named(c, name) for c, name in zip(batch.columns, batch.schema.names, strict=True)]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _named(column: pa.Array, name: str) -> pa.Array:
    try:
        return _column(column)
    except pa.ArrowException as error:
        raise InputError(
            f"Column {name!r} of type {column.type} cannot be used: {error}.",
            fix="Convert it to int64, float or text before, or leave it out.",
        ) from error


def _column(column: pa.Array) -> pa.Array:
    if pa.types.is_null(column.type):
        return column
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        if pa.types.is_null(column.type.value_type):
            return pa.nulls(len(column))
        values = plain(column.values)
        return (
            type(column).from_arrays(column.offsets, values)
            if column.null_count == 0
            else column.cast(pa.list_(values.type))
        )
    values = plain(column)
    if values.null_count == 0:
        return pa.ListArray.from_arrays(pa.array(np.arange(len(values) + 1, dtype=np.int32)), values)
    present = values.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(present, dtype=np.int32)])
    missing = np.concatenate([~present, [False]])
    return pa.ListArray.from_arrays(pa.array(offsets, mask=missing), values.drop_null())


def plain(values: pa.Array) -> pa.Array:
    """A flat column in a type that the TFX libraries know: integers, floats and bytes stay; the rest is converted.

    Booleans become 0 and 1; dates and times become ISO text; durations become integers of their unit; dictionaries are
    decoded; decimals become floats.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        return plain(values.dictionary_decode())
    if pa.types.is_boolean(kind) or pa.types.is_uint64(kind) or pa.types.is_duration(kind):
        return values.cast(pa.int64())
    if pa.types.is_integer(kind):
        return values if kind == pa.int64() else values.cast(pa.int64())
    if pa.types.is_float16(kind):
        return values.cast(pa.float32())
    if pa.types.is_floating(kind):
        return values
    if pa.types.is_decimal(kind):
        return values.cast(pa.float64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return values.cast(pa.binary() if pa.types.is_string(kind) else pa.large_binary())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return values
    return pc.cast(values, pa.string()).cast(pa.binary())


def raw_columns_of(graph: Any, outputs: Iterable[str]) -> set[str]:
    """The raw columns that transformed features are computed from.

    Parameters
    ----------
    graph
        TFT's ``SavedModelLoader`` of a transform graph.
    outputs
        Transformed features; those that the graph does not make come from nothing.
    """
    import tensorflow as tf

    # TFT keeps which placeholders each output comes from, to drop outputs whose inputs are not given.
    sources = {id(source) for name in outputs for source in graph._output_to_inputs_map.get(name, ())}  # noqa: SLF001
    return {
        name
        for name, tensor in graph._structured_inputs.items()  # noqa: SLF001
        if any(id(part) in sources for part in tf.nest.flatten(tensor, expand_composites=True))
    }
