"""What filters and maps of the user's are to each batch: called, and what they return checked."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from fluent_pipe.arrow.hashing import hash_values
from fluent_pipe.arrow.parquet_source import flat_schema
from fluent_pipe.components.user_code import Carried
from fluent_pipe.errors import InputError, UserCodeError
from fluent_pipe.steps.own import RowExpression

_A_MASK = "Return a truth value for each row, as an Arrow or numpy array of booleans."
Work = Callable[[pa.RecordBatch], pa.RecordBatch]

# How Arrow and pandas say that there is no such column.
_NO_COLUMN = re.compile(r"""(?:Field "|Column )(.+?)"? does not exist|FieldRef\.Name\((.+?)\)|KeyError: '([^'"]+)'""")


@dataclass(frozen=True)
class Whose:
    """Whose rows they are, for errors."""

    name: str
    where: str | None = None


class Expression:
    """The truth values of an expression, by row."""

    def __init__(self, expression: RowExpression) -> None:
        self._expression = expression

    def __call__(self, batch: pa.RecordBatch) -> pa.ChunkedArray:
        return _truth(pickle.loads(self._expression.pickled), batch, Whose(self._expression.text))


class RowFilter:
    """The rows of a batch whose truth value is true."""

    def __init__(self, keep: Callable[[pa.RecordBatch], Any], whose: Whose) -> None:
        self._keep = keep
        self._whose = whose

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        mask = self._mask(batch)
        kept = pc.sum(mask).as_py() or 0
        return batch if kept == batch.num_rows else batch.filter(mask, null_selection_behavior="drop")

    def _mask(self, batch: pa.RecordBatch) -> pa.Array:
        whose = self._whose
        returned = _asked(self._keep, batch)
        if isinstance(returned, pc.Expression):
            returned = _truth(returned, batch, whose)
        if isinstance(returned, pa.ChunkedArray):
            returned = returned.combine_chunks()
        mask = returned if isinstance(returned, pa.Array) else _array(returned, whose)
        if not pa.types.is_boolean(mask.type):
            raise UserCodeError(f"{whose.name} returned {mask.type} values.", where=whose.where, fix=_A_MASK)
        if len(mask) != batch.num_rows:
            fact = f"{whose.name} returned {len(mask):,} truth values for {batch.num_rows:,} rows."
            raise UserCodeError(fact, where=whose.where, fix="Return one for each row, in their order.")
        return mask


class RowMap:
    """A batch as the user's function returns it."""

    def __init__(self, function: Carried, partition_by: str | None) -> None:
        self._function = function
        self._whose = Whose(function.name, function.where)
        self._partition_by = partition_by

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = _batch(_asked(self._function, batch), self._whose)
        if rows.num_rows != batch.num_rows:
            raise UserCodeError(
                f"{self._whose.name} returned {rows.num_rows:,} rows for {batch.num_rows:,}.",
                where=self._whose.where,
                fix="A map keeps every row, in its place; filter() drops rows.",
            )
        self._check_partition(batch, rows)
        return rows

    def _check_partition(self, before: pa.RecordBatch, after: pa.RecordBatch) -> None:
        column = self._partition_by
        if column not in before.schema.names:
            return
        at = after.schema.get_all_field_indices(column)
        if len(at) > 1:
            return  # which is told with all other columns
        same = at and np.array_equal(
            hash_values(before.column(before.schema.get_field_index(column))), hash_values(after.column(at[0]))
        )
        if not same:
            raise UserCodeError(
                f"{self._whose.name} {'changed' if at else 'dropped'} column {column!r}, which decides the split "
                "of a row (partition_by=).",
                where=self._whose.where,
                fix=f"Leave {column!r} as it is, and put the result in another column.",
            )


class Returned:
    """A batch that a component of the user's own made by Beam transforms."""

    def __init__(self, whose: Whose) -> None:
        self._whose = whose

    def __call__(self, batch: Any) -> pa.RecordBatch:
        return _batch(batch, self._whose)


def _asked(function: Callable[[pa.RecordBatch], Any], batch: pa.RecordBatch) -> Any:
    """What the user's function returns; for a column that is not there, the error lists those that are."""
    try:
        return function(batch)
    except UserCodeError as error:
        asked = _NO_COLUMN.search(error.fact)
        name = next(filter(None, asked.groups()), None) if asked else None
        if name is not None and name not in batch.schema.names and not error.valid:
            error.got, error.valid = name, tuple(batch.schema.names)
        raise


def _batch(returned: Any, whose: Whose) -> pa.RecordBatch:
    if isinstance(returned, pa.Table):
        parts = returned.combine_chunks().to_batches()
        returned = parts[0] if parts else pa.RecordBatch.from_pylist([], returned.schema)
    if not isinstance(returned, pa.RecordBatch):
        raise UserCodeError(
            f"{whose.name} returned {'nothing' if returned is None else type(returned).__name__}.",
            where=whose.where,
            fix="Return a pyarrow.RecordBatch, such as pa.RecordBatch.from_pandas(frame, preserve_index=False).",
        )
    if not returned.num_columns:
        raise UserCodeError(f"{whose.name} returned no column.", where=whose.where)
    return returned


def _array(returned: Any, whose: Whose) -> pa.Array:
    values = None if isinstance(returned, (pa.RecordBatch, pa.Table)) else np.asarray(returned)
    if values is None or values.ndim != 1 or values.dtype == object:
        what = "nothing" if returned is None else type(returned).__name__
        raise UserCodeError(f"{whose.name} returned {what}.", where=whose.where, fix=_A_MASK)
    return pa.array(values)


def _truth(expression: pc.Expression, batch: pa.RecordBatch, whose: Whose) -> pa.ChunkedArray:
    rows = ds.dataset(pa.Table.from_batches([batch]))
    try:
        return rows.to_table(columns={"keep": expression}).column("keep")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        text = str(error).partition("\n")[0]
        raise UserCodeError(f"{whose.name} cannot be computed: {text}.", where=whose.where) from error


def flat_columns(schema: pa.Schema, whose: Whose) -> pa.Schema:
    """The schema that columns are written as.

    Raises
    ------
    UserCodeError
        If one is nested, has no name or that of another.
    """
    try:
        return flat_schema(schema, None, None)
    except InputError as error:
        fix = "Give flat columns, or lists of flat values."
        raise UserCodeError(f"{whose.name}: {error.fact}", where=whose.where, fix=fix) from error


def difference(whose: Whose, first: pa.Schema, other: pa.Schema, *, parts: str = "batches") -> str:
    """What is different between the columns of two batches, in words."""
    missing = [repr(n) for n in first.names if n not in other.names]
    more = [repr(n) for n in other.names if n not in first.names]
    changed = [n for n in first.names if n in other.names and other.field(n) != first.field(n)]
    says = [f"lacks {', '.join(missing)}"] if missing else []
    says += [f"has also {', '.join(more)}"] if more else []
    says += [f"has {n!r} as {other.field(n).type}, another as {first.field(n).type}" for n in changed]
    return f"{whose.name} gives {parts} of different columns: one {' and '.join(says) or 'has them in another order'}."
