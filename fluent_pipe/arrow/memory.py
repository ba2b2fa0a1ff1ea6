"""Rows that the user holds in memory: a pandas DataFrame, an Arrow table or a record batch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from fluent_pipe.arrow.hashing import hash_values
from fluent_pipe.errors import InputError


def to_table(rows: Any) -> pa.Table:
    """The rows as an Arrow table; of a DataFrame, the index is left out and NaN is missing.

    Raises
    ------
    InputError
        If ``rows`` is none of these, or a column holds values of several types.
    """
    if isinstance(rows, pa.Table):
        return rows
    if isinstance(rows, pa.RecordBatch):
        return pa.Table.from_batches([rows])
    if not (hasattr(rows, "columns") and hasattr(rows, "iloc")):
        raise InputError(
            f"Rows of type {type(rows).__name__} cannot be read.",
            valid=("pandas.DataFrame", "pyarrow.Table", "pyarrow.RecordBatch"),
        )
    names = [str(name) for name in rows.columns]
    return pa.Table.from_arrays([_column(rows.iloc[:, i], name) for i, name in enumerate(names)], names=names)


def fingerprint(rows: Any) -> str:
    """Hash of names, types and values: equal for equal content, however it is chunked or held.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    table = to_table(rows)
    shape = (table.num_rows, [(field.name, str(field.type)) for field in table.schema])
    digest = hashlib.blake2b(repr(shape).encode(), digest_size=16)
    for column in table.columns:
        for chunk in column.chunks:
            digest.update(_cells(chunk).tobytes())
    return digest.hexdigest()


def _cells(chunk: pa.Array) -> Any:
    if pa.types.is_struct(chunk.type) or pa.types.is_map(chunk.type) or _is_nested_list(chunk.type):
        # Reading refuses such columns with a message of its own; here they only need a hash.
        chunk = pa.array([repr(value) for value in chunk.to_pylist()], pa.string())
    return hash_values(chunk)


def _is_nested_list(kind: pa.DataType) -> bool:
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(lists and pa.types.is_nested(kind.value_type))


def _column(series: Any, name: str) -> pa.Array | pa.ChunkedArray:
    try:
        return pa.array(series, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        kinds = _names(type(value).__name__ for value in series if value is not None and value == value)
        raise InputError(
            f"Column {name!r} holds values that Arrow cannot read as one type: {', '.join(kinds)}.",
            fix=f"Convert it, for example with frame[{name!r}] = frame[{name!r}].astype(str).",
        ) from error


def _names(kinds: Iterable[str]) -> list[str]:
    return sorted(set(kinds))
