"""Losses summed up by slice, for every column and every cross of columns: a whole batch at a time, merged by Beam."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fluent_pipe.arrow.arrays import Floats, Integers, Values
from fluent_pipe.arrow.tfx import plain
from fluent_pipe.errors import EvaluationError
from fluent_pipe.evaluation.slices import SliceKey

# What is summed up: rows, w, w**2, w * loss and w * loss**2; the first axis of every array of sums.
ROWS, WEIGHT, SQUARED_WEIGHT, LOSS, SQUARED_LOSS = range(5)

# Most cells of a cross that are counted in place; beyond, the rows are sorted.
_MOST_CELLS = 2**17


@dataclass
class Table:
    """Sums of the slices by one set of columns.

    Parameters
    ----------
    keys
        Codes of the values of each slice, packed into one number; ascending.
    sums
        Shape [5, slices].
    """

    keys: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    sums: Floats = field(default_factory=lambda: np.zeros((5, 0)))

    def add(self, keys: Integers, sums: Floats) -> None:
        """Add sums of slices; ``keys`` without repeats, in any order."""
        if not np.isin(keys, self.keys, assume_unique=True).all():
            every = np.union1d(self.keys, keys)
            grown = np.zeros((5, len(every)))
            grown[:, np.searchsorted(every, self.keys)] = self.sums
            self.keys, self.sums = every, grown
        self.sums[:, np.searchsorted(self.keys, keys)] += sums


@dataclass
class Sums:
    """Sums of losses by slice. It grows with the slices, not with the rows; sums are equal up to rounding in any order.

    Parameters
    ----------
    overall
        Of all rows: shape [5].
    values
        Values seen, by column, with their codes: 1, 2 and so on. Code 0 is a missing value.
    tables
        By the columns of a slice, in alphabetical order.
    """

    overall: Floats = field(default_factory=lambda: np.zeros(5))
    values: dict[str, dict[Any, int]] = field(default_factory=dict)
    tables: dict[tuple[str, ...], Table] = field(default_factory=dict)

    def add(self, columns: pa.RecordBatch, loss: Values, weight: Values | None, *, depth: int) -> None:
        """Add a batch of rows; arguments as in :class:`LossSums`."""
        measures, counted = _measures(loss, weight)
        named = zip(columns.schema.names, columns.columns, strict=True)
        codes = {name: self._codes(name, column)[counted] for name, column in named}
        self.overall += measures.sum(axis=1)
        for size in range(1, depth + 1):
            for names in itertools.combinations(sorted(codes), size):
                sizes = [len(self.values[name]) + 1 for name in names]
                keys, sums = _summed([codes[name] for name in names], sizes, measures, weighted=weight is not None)
                self.tables.setdefault(names, Table()).add(keys, sums)

    def merge(self, other: Sums) -> None:
        """Add what another one holds, and leave that as it is."""
        self.overall = self.overall + other.overall
        renamed = {name: self._known(name, values) for name, values in other.values.items()}
        for names, table in other.tables.items():
            codes = [renamed[n][c] for n, c in zip(names, _unpacked(table.keys, len(names)), strict=True)]
            self.tables.setdefault(names, Table()).add(_packed(codes), table.sums)

    def slice_key(self, names: tuple[str, ...], key: int) -> SliceKey:
        """The slice behind a key of the table of ``names``."""
        codes = _unpacked(np.array([key]), len(names))
        # Values stand in the order of their codes.
        values = (
            next(itertools.islice(self.values[n], int(c[0]) - 1, None)) for n, c in zip(names, codes, strict=True)
        )
        return tuple(zip(names, values, strict=True))

    def _codes(self, name: str, column: pa.Array) -> Integers:
        """Shape [rows]."""
        if pa.types.is_null(column.type):
            self._known(name, ())
            return np.zeros(len(column), np.int64)
        column = plain(column)
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        encoded = column.dictionary_encode()
        values = encoded.dictionary.to_pylist()
        known = self._known(name, (v.decode("utf-8", errors="replace") if isinstance(v, bytes) else v for v in values))
        codes: Integers = known[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False) + 1]
        return codes

    def _known(self, name: str, values: Iterable[Any]) -> Integers:
        """Codes of values, which are learnt; a missing value's before them."""
        codes = self.values.setdefault(name, {})
        return np.array([0, *(codes.setdefault(value, len(codes) + 1) for value in values)], np.int64)


class LossSums(beam.CombineFn):  # type: ignore[misc]
    """Sums up losses by slice. Each element is a batch: its slice columns, losses and weights.

    The columns are flat, a value a row and the same columns in every batch, such as ``slice_values`` makes; a missing
    value is in no slice. Losses and weights have shape [rows] and are finite, and no weight is negative; None for
    weights of 1. Rows of weight 0 do not count.

    Parameters
    ----------
    depth
        Most columns of a slice.
    """

    def __init__(self, depth: int = 2) -> None:
        self._depth = depth

    def create_accumulator(self) -> Sums:
        return Sums()

    def add_input(self, accumulator: Sums, element: tuple[pa.RecordBatch, Values, Values | None]) -> Sums:
        columns, loss, weight = element
        accumulator.add(columns, loss, weight, depth=self._depth)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Sums]) -> Sums:
        merged = Sums()
        for accumulator in accumulators:
            merged.merge(accumulator)
        return merged

    def extract_output(self, accumulator: Sums) -> Sums:
        return accumulator


def _measures(loss: Values, weight: Values | None) -> tuple[Floats, Any]:
    """What is summed up of each row that counts, shape [5, rows]; and which rows do."""
    lost = loss.astype(np.float64)
    weights = np.ones(len(lost)) if weight is None else weight.astype(np.float64)
    usable = np.isfinite(lost) & np.isfinite(weights) & (weights >= 0)
    if not usable.all():
        raise EvaluationError(
            f"The loss or the weight of {int((~usable).sum())} of {len(usable)} rows is not a number, or the weight "
            "is negative.",
            fix="Look for huge predictions and labels, and for weights below 0.",
        )
    counted = slice(None) if weight is None else weights > 0
    lost, weights = lost[counted], weights[counted]
    return np.stack([np.ones(len(lost)), weights, weights**2, weights * lost, weights * lost**2]), counted


def _summed(
    codes: Sequence[Integers], sizes: Sequence[int], measures: Floats, *, weighted: bool
) -> tuple[Integers, Floats]:
    """Keys of the slices in a batch and their sums; ``sizes`` has one more than the highest code of each column."""
    if math.prod(sizes) <= _MOST_CELLS:
        cells = codes[0]
        for more, size in zip(codes[1:], sizes[1:], strict=True):
            cells = cells * size + more
        counts = np.bincount(cells)
        present = np.flatnonzero(counts)
        members: Sequence[Integers] = np.unravel_index(present, sizes)
    else:
        keys, cells = np.unique(_packed(codes), return_inverse=True)
        counts = np.bincount(cells)
        present = np.arange(len(keys))
        members = _unpacked(keys, len(codes))
    whole = np.all([member > 0 for member in members], axis=0)
    # Without weights the first three sums are the same.
    each = [np.bincount(cells, weights=measures[m]) if weighted or m >= LOSS else counts for m in range(len(measures))]
    return _packed([member[whole] for member in members]), np.stack([sums[present[whole]] for sums in each])


def _packed(codes: Sequence[Integers]) -> Integers:
    """One number for the codes of several columns, whatever the number of values is or becomes."""
    bits = 63 // len(codes)
    if any(len(c) and c.max() >> bits for c in codes):
        raise EvaluationError(
            f"A column with more than {2**bits:,} values is too much for slices by {len(codes)} columns.",
            fix="Leave it out, or cut it into buckets.",
        )
    packed = codes[0]
    for more in codes[1:]:
        packed = (packed << bits) | more
    return packed


def _unpacked(keys: Integers, columns: int) -> list[Integers]:
    bits = 63 // columns
    return [(keys >> bits * place) & (2**bits - 1) for place in reversed(range(columns))]
