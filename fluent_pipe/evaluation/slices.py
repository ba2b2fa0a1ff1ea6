"""Which rows of a batch belong to which slices, with TFMA's meaning, a column at a time.

A missing value belongs to no slice; a row with several values belongs to the slice of each; a cross of columns takes
every combination of a row's values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_model_analysis.slicer import slicer_lib

from fluent_pipe.arrow.arrays import Integers
from fluent_pipe.arrow.tfx import plain
from fluent_pipe.errors import EvaluationError

SliceKey = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Membership:
    """Rows of one batch in the slices of one set of columns.

    Parameters
    ----------
    rows, codes
        Pairs, sorted by row: row ``rows[i]`` is in slice ``keys[codes[i]]``. A row may come often or never.
    keys
        The slices, columns in alphabetical order as TFMA has them.
    """

    rows: Integers
    codes: Integers
    keys: list[SliceKey]


@dataclass(frozen=True)
class Slicing:
    """One of TFMA's slicing specs.

    Parameters
    ----------
    columns
        To slice by, every value of them.
    values
        Columns and the one value that a row must have there.
    only
        The slices wanted of those by ``columns``; None for all.
    """

    columns: tuple[str, ...]
    values: tuple[tuple[str, Any], ...] = ()
    only: frozenset[SliceKey] | None = None

    @staticmethod
    def of(spec: Any) -> Slicing:
        """From a ``tfma.SlicingSpec``.

        Raises
        ------
        EvaluationError
            For slices by SQL.
        """
        if spec.slice_keys_sql:
            raise EvaluationError(
                "Slices by SQL are not known here.", fix="Make the slice a column in preprocess(), and slice by it."
            )
        matches = slicer_lib.SingleSliceSpec(spec=spec)._value_matches  # noqa: SLF001 - texts as the numbers they mean
        return Slicing(tuple(spec.feature_keys), tuple(matches))

    def members(self, batch: pa.RecordBatch) -> Membership:
        """Rows of ``batch`` in these slices; none where a column is not there."""
        columns = (*self.columns, *(column for column, _ in self.values))
        if not set(columns) <= set(batch.schema.names):
            return Membership(np.zeros(0, np.int64), np.zeros(0, np.int64), [])
        found = membership(batch, columns)
        return found if self.only is None and not self.values else self._chosen(found)

    def _chosen(self, found: Membership) -> Membership:
        fixed = dict(self.values)
        chosen = [
            number
            for number, key in enumerate(found.keys)
            if all(column not in fixed or value in (fixed[column], str(fixed[column])) for column, value in key)
            and (self.only is None or key in self.only)
        ]
        codes = np.full(len(found.keys), -1, np.int64)
        codes[chosen] = np.arange(len(chosen))
        inside = codes[found.codes] >= 0 if len(found.keys) else np.zeros(0, bool)
        keys = [tuple((column, fixed.get(column, value)) for column, value in found.keys[n]) for n in chosen]
        return Membership(found.rows[inside], codes[found.codes[inside]] if keys else found.codes[:0], keys)


def membership(batch: pa.RecordBatch, columns: tuple[str, ...]) -> Membership:
    """Rows of ``batch`` in the slices by ``columns``; no columns for the one slice that holds every row.

    Examples
    --------
    >>> carriers = pa.RecordBatch.from_pydict({"carrier": ["AA", None, "UA"]})
    >>> membership(carriers, ("carrier",)).keys
    [(('carrier', 'AA'),), (('carrier', 'UA'),)]
    """
    rows = np.arange(batch.num_rows, dtype=np.int64)
    codes = np.zeros(batch.num_rows, dtype=np.int64)
    keys: list[SliceKey] = [()]
    for name in sorted(columns):
        value_rows, value_codes, values = _values(batch.column(batch.schema.get_field_index(name)))
        counts = np.bincount(value_rows, minlength=batch.num_rows)
        starts = np.cumsum(counts) - counts
        # Every pair so far meets every value of its row.
        repeats = counts[rows]
        left = np.repeat(np.arange(len(rows)), repeats)
        within = np.arange(len(left)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        right = np.repeat(starts[rows], repeats) + within
        combined = codes[left] * max(len(values), 1) + value_codes[right]
        present, new_codes = np.unique(combined, return_inverse=True)
        keys = [(*keys[c // len(values)], (name, values[c % len(values)])) for c in present.tolist()]
        rows, codes = rows[left], new_codes.astype(np.int64)
    return Membership(rows, codes, keys)


def _values(column: pa.Array) -> tuple[Integers, Integers, list[Any]]:
    """Pairs of row and value, sorted by row and without repeats: rows, codes, the values behind the codes."""
    nothing = np.zeros(0, np.int64)
    repeated = pa.types.is_nested(column.type)
    if pa.types.is_null(column.type):
        return nothing, nothing, []
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type):
        rows = pc.list_parent_indices(column).to_numpy(zero_copy_only=False).astype(np.int64)
        column = pc.list_flatten(column)
    else:
        rows = np.arange(len(column), dtype=np.int64)
    if pa.types.is_null(column.type) or len(column) == 0:
        return nothing, nothing, []
    column = plain(column)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    encoded = column.dictionary_encode()
    valid = encoded.is_valid().to_numpy(zero_copy_only=False)
    codes = encoded.indices.to_numpy(zero_copy_only=False)[valid].astype(np.int64)
    values = [_python(v) for v in encoded.dictionary.to_pylist()]
    if not repeated:
        return rows[valid], codes, values
    pairs = np.unique(np.stack([rows[valid], codes], axis=1), axis=0) if len(codes) else np.zeros((0, 2), np.int64)
    return pairs[:, 0], pairs[:, 1], values


def _python(value: Any) -> Any:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value
