"""How columns are cut into slices: each value of a column with few, buckets of a numeric column with many."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fluent_pipe.arrow.arrays import Floats
from fluent_pipe.arrow.opening import parquet_file
from fluent_pipe.arrow.parquet import ROWS_PER_BATCH
from fluent_pipe.arrow.tfx import plain

RowGroup: TypeAlias = tuple[str | Path, int, int]

# Row groups are read whole to take rows from all over them; this many rows are read for one that is kept.
_READ_PER_ROW = 10
_FEWEST_GROUPS = 8


@dataclass(frozen=True)
class Cut:
    """How one column is cut into slices; pickles, so that it travels with DoFns.

    Parameters
    ----------
    column
        Name of a flat column. Missing values, NaN among them, belong to no slice.
    edges
        Numbers, ascending, where a bucket ends and the next one starts; a number on an edge belongs to the upper
        bucket, and the outer buckets are open-ended. None: each distinct value is a slice.

    Examples
    --------
    >>> Cut("distance", (100.0, 250.0)).labels
    ('< 100', '[100, 250)', '>= 250')
    """

    column: str
    edges: tuple[float, ...] | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the buckets, in order; none where each value is a slice."""
        if not self.edges:
            return ()
        texts = [_short(e) for e in self.edges]
        inner = [f"[{low}, {high})" for low, high in itertools.pairwise(texts)]
        return (f"< {texts[0]}", *inner, f">= {texts[-1]}")


def cuts(
    files: Sequence[str | Path], columns: Sequence[str], *, most_values: int = 30, buckets: int = 5, rows: int = 100_000
) -> tuple[Cut, ...]:
    """Look at stored rows and decide how their columns are cut.

    A column with few values is cut by value, a numeric one with more into buckets of about as many rows each. Texts
    with many values are not cut, nor are lists, constants and columns that are absent: none of them makes slices that
    help.

    Parameters
    ----------
    files
        The Parquet files of one split: paths or URLs.
    columns
        Candidates; cuts come in this order.
    most_values
        Most distinct values of a column that is cut by value.
    buckets
        Most buckets of a numeric column; fewer where many rows share a value.
    rows
        Most rows to look at, drawn from all over the files; the same ones each time.

    Returns
    -------
    tuple of Cut
        At most one for each column.
    """
    seen = sample(files, tuple(dict.fromkeys(columns)), rows)
    found = (_cut(name, chunks, most_values, buckets) for name, chunks in seen.items())
    return tuple(cut for cut in found if cut is not None)


def slice_values(batch: pa.RecordBatch, cuts: Sequence[Cut]) -> dict[str, pa.Array]:
    """The slice of each row by each cut: buckets by their labels, other columns as they are.

    Examples
    --------
    >>> flights = pa.RecordBatch.from_pydict({"carrier": ["AA", "UA"], "distance": [733, None]})
    >>> values = slice_values(flights, [Cut("carrier"), Cut("distance", (500.0,))])
    >>> [values[name].to_pylist() for name in ("carrier", "distance")]
    [['AA', 'UA'], ['>= 500', None]]
    """
    columns = {cut.column: batch.columns[batch.schema.names.index(cut.column)] for cut in cuts}
    return {cut.column: columns[cut.column] if not cut.edges else _bucketed(columns[cut.column], cut) for cut in cuts}


def _bucketed(column: pa.Array, cut: Cut) -> pa.Array:
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.string())
    numbers = _numbers(plain(column))
    places = np.searchsorted(np.array(cut.edges), numbers, side="right")
    return pa.array(cut.labels, pa.string()).take(pa.array(places, mask=np.isnan(numbers)))


def _numbers(column: pa.Array) -> Floats:
    """Shape [rows]; NaN where a value is missing."""
    numbers: Floats = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def sample(files: Sequence[str | Path], columns: tuple[str, ...], rows: int) -> dict[str, list[pa.Array]]:
    """The flat columns, in chunks, of at most so many rows drawn from all over the files; the same ones each time."""
    groups: list[RowGroup] = []
    for path in files:
        with parquet_file(path) as file:
            metadata = file.metadata
            counts = [(group, metadata.row_group(group).num_rows) for group in range(metadata.num_row_groups)]
            groups += [(path, group, count) for group, count in counts if count]
    chosen = _spread(groups, rows)
    ends = np.cumsum([count for _, _, count in chosen])
    total = int(ends[-1]) if chosen else 0
    # How many rows come from each group, so that they add up.
    shares = np.diff(ends * min(rows, total) // max(total, 1), prepend=0)
    # Drawn at random, not each n-th: rows often come in turns, such as one a shop.
    random = np.random.default_rng(0)
    seen: dict[str, list[pa.Array]] = {name: [] for name in columns}
    for (path, group, count), share in zip(chosen, shares, strict=True):
        picked = np.sort(random.choice(count, share, replace=False))
        for name, column in _picked(path, group, columns, picked):
            seen[name].append(column)
    return seen


def _spread(groups: list[RowGroup], rows: int) -> list[RowGroup]:
    """Row groups, evenly spread over the files, that hold enough rows to draw from."""
    total = sum(count for _, _, count in groups)
    if total <= rows * _READ_PER_ROW:
        return groups
    fitting = len(groups) * rows * _READ_PER_ROW // total
    most = min(max(fitting, _FEWEST_GROUPS), len(groups))
    return [groups[place] for place in np.linspace(0, len(groups) - 1, most).astype(int)]


def _picked(
    path: str | Path, group: int, columns: tuple[str, ...], rows: npt.NDArray[np.int64]
) -> Iterator[tuple[str, pa.Array]]:
    """The picked rows of the flat columns of a row group, by name, a batch at a time."""
    with parquet_file(path) as file:
        schema = file.schema_arrow
        flat = [name for name in columns if name in schema.names and not pa.types.is_nested(schema.field(name).type)]
        start = 0
        for batch in file.iter_batches(ROWS_PER_BATCH, row_groups=[group], columns=flat):
            first, last = np.searchsorted(rows, [start, start + batch.num_rows])
            places = pa.array(rows[first:last] - start)
            start += batch.num_rows
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                yield name, column.take(places)


def _cut(name: str, chunks: list[pa.Array], most_values: int, buckets: int) -> Cut | None:
    present: list[pa.Array] = []
    for chunk in chunks:
        try:
            values = plain(chunk.drop_null())
        except pa.ArrowException:  # what no integer, float or text holds cannot name a slice
            return None
        present.append(values.filter(pc.invert(pc.is_nan(values))) if pa.types.is_floating(values.type) else values)
    distinct: set[Any] = set()
    for values in present:
        distinct.update(pc.unique(values).to_pylist())
    if len(distinct) < 2:
        return None
    if len(distinct) <= most_values:
        return Cut(name)
    if not all(pa.types.is_integer(v.type) or pa.types.is_floating(v.type) for v in present if len(v)):
        return None
    edges = _edges(np.concatenate([_numbers(v) for v in present]), buckets)
    return Cut(name, edges) if edges else None


def _edges(numbers: Floats, buckets: int) -> tuple[float, ...]:
    """Ends of buckets of about as many rows each; none if all finite numbers are equal."""
    # Adding zero makes -0.0 a 0.0.
    ordered = np.sort(numbers[np.isfinite(numbers)]) + 0.0
    distinct = np.unique(ordered)
    if len(distinct) < 2 or buckets < 2:
        return ()
    quantiles = np.quantile(ordered, np.arange(1, buckets) / buckets, method="higher")
    # The lowest value as an edge has nothing below it. Where many rows share it, such as 0, it is a bucket of its own.
    return _rounded(np.unique(np.maximum(quantiles, distinct[1])), ordered)


def _rounded(edges: Floats, ordered: Floats) -> tuple[float, ...]:
    """Edges in three digits, or as many more as it takes to move at most a twentieth of a bucket's rows."""
    most_moved = len(ordered) / (len(edges) + 1) / 20
    below = np.searchsorted(ordered, edges)
    for digits in range(3, 17):
        rounded = np.array([float(f"{edge:.{digits - 1}e}") for edge in edges])
        moved = np.abs(np.searchsorted(ordered, rounded) - below)
        if np.all(np.diff(rounded) > 0) and moved.max() <= most_moved:
            return tuple(rounded.tolist())
    return tuple(edges.tolist())


def _short(number: float) -> str:
    text = f"{number:.15g}"
    return text if float(text) == number else repr(number)
