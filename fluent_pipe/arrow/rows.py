"""Rows that come one by one, as dictionaries, to record batches; and one schema for batches of many types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from fluent_pipe.arrow.parquet_source import conform, flat_schema
from fluent_pipe.arrow.types import common
from fluent_pipe.errors import InputError

_WHERE = "the transform's rows"
_FIX = "Give every row the same names, with None for what is missing."


def to_batch(rows: Sequence[Any]) -> pa.RecordBatch:
    """Rows as a batch of the types that Arrow infers for them, columns in the order of their names.

    Parameters
    ----------
    rows
        At least one; mappings of equal keys, named tuples or ``beam.Row``.

    Raises
    ------
    InputError
        If a row is something else, has other names than the first one, or a column holds values of several types.

    Examples
    --------
    >>> to_batch([{"b": 1, "a": None}, {"a": "x", "b": 2}]).to_pydict()
    {'a': [None, 'x'], 'b': [1, 2]}
    """
    mappings = [row if isinstance(row, dict) else _mapping(row) for row in rows]
    names = mappings[0].keys()
    for row in mappings:
        if row.keys() != names:
            raise _other_names(list(names), list(row))
    if not names:
        raise InputError("A row has no column.", where=_WHERE)
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"A column is named by {name!r}, not by a text.", where=_WHERE)
    arrays = [_column([row[name] for row in mappings], name) for name in names]
    return in_order(pa.RecordBatch.from_arrays(arrays, names=list(names)))


def in_order(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with its columns in the order of their names, dictionaries decoded.

    Raises
    ------
    InputError
        If a column is nested, or has no name or that of another.
    """
    return conform(batch, flat_schema(batch.schema, sorted(batch.schema.names), _WHERE))


def unify(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """The schema that holds batches of all ``schemas``, whatever their order.

    Raises
    ------
    InputError
        If they differ in names or in kinds of types.
    """
    first, *others = sorted(schemas, key=str)
    kinds = dict(zip(first.names, first.types, strict=True))
    for schema in others:
        if schema.names != first.names:
            raise _other_names(first.names, schema.names)
        for field in schema:
            kind = common(kinds[field.name], field.type)
            if kind is None:
                raise InputError(
                    f"Column {field.name!r} is {field.type} in some rows and {kinds[field.name]} in others.",
                    where=_WHERE,
                    fix="Give it one type in all rows.",
                )
            kinds[field.name] = kind
    return pa.schema(list(kinds.items()))


def _mapping(row: Any) -> Mapping[Any, Any]:
    if isinstance(row, Mapping):
        return row
    if hasattr(row, "_asdict"):  # named tuples and beam.Row
        return dict(row._asdict())
    raise InputError(
        f"A row is {type(row).__name__}: {repr(row)[:100]}.",
        where=_WHERE,
        valid=("dict", "NamedTuple", "beam.Row", "pyarrow.RecordBatch"),
    )


def _column(values: list[Any], name: str) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        kinds = sorted({type(value).__name__ for value in values if value is not None})
        raise InputError(
            f"Column {name!r} holds values that Arrow cannot read as one type: {', '.join(kinds)} ({error}).",
            where=_WHERE,
        ) from error


def _other_names(first: Sequence[Any], other: Sequence[Any]) -> InputError:
    lacks = [repr(name) for name in first if name not in other]
    more = [repr(name) for name in other if name not in first]
    parts = [f"lack {', '.join(lacks)}"] if lacks else []
    parts += [f"have also {', '.join(more)}"] if more else []
    return InputError(f"Some rows {' and '.join(parts)}, compared with others.", where=_WHERE, fix=_FIX)
