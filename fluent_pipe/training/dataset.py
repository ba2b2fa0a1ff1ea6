"""Parquet to ``tf.data`` in whole batches, in bounded memory.

Row groups are read into a window of rows. The window is shuffled as a whole with one permutation, and leaves Python as
a few large blocks of shape ``[batches, rows, ...]``; TensorFlow takes these apart into batches. So the work in Python
is a few calls for tens of thousands of rows, and no row is ever touched alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from fluent_pipe.arrow.parquet import ROWS_PER_BATCH
from fluent_pipe.errors import FluentPipeError, TrainingError
from fluent_pipe.training.columns import Feature, to_array

WINDOW_ROWS = 262_144
FIRST_WINDOW_ROWS = 65_536
"""The first window of a pass is smaller, so that training starts before much is read."""
WINDOW_BYTES = 128 * 2**20
BLOCK_ROWS = 16_384

Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Batches:
    """Rows of Parquet files, to be read in batches.

    Parameters
    ----------
    files
        Parquet files of transformed rows.
    features
        The columns that go to the model.
    batch_size
        Rows a batch; the last one may be smaller.
    label, weight
        Columns that go beside the features.
    class_weights
        Weight by class index; multiplies ``weight``.
    shuffle_seed
        Shuffle within windows of up to :data:`WINDOW_ROWS` rows (fewer where rows are wide, see
        :data:`WINDOW_BYTES`) of row groups in random order, anew for each pass; None for the order of the files.
    failures
        Errors met while a dataset was read: TensorFlow hands them on as text alone.
    """

    files: tuple[Path, ...]
    features: tuple[Feature, ...]
    batch_size: int
    label: Feature | None = None
    weight: Feature | None = None
    class_weights: Mapping[int, float] | None = None
    shuffle_seed: int | None = None
    failures: list[FluentPipeError] = field(default_factory=list, compare=False, repr=False)

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return row_count(self.files)

    @property
    def count(self) -> int:
        """Batches of one pass."""
        return math.ceil(self.rows / self.batch_size)

    def dataset(self, *, passes: int = 1) -> tf.data.Dataset:
        """Batches of ``features``, ``(features, label)`` or ``(features, label, weight)``.

        The next pass over the files is read ahead while the last one ends. ``features`` is a dict of
        ``[batch, *row_shape]`` tensors, ``label`` ``[batch, 1]`` (``[batch, k]`` for a vector), ``weight`` ``[batch]``.

        Raises
        ------
        TrainingError
            If there are no rows.
        """
        if not self.rows:
            raise TrainingError("There are no rows to train on.", fix="Look at the splits: each needs rows.")
        blocks = tf.data.Dataset.from_generator(_Passes(self, passes), output_signature=self._signature())
        count = tf.data.experimental.assert_cardinality(passes * self.count)
        options = tf.data.Options()
        options.experimental_warm_start = True  # reading starts while Keras still traces the first step
        return blocks.prefetch(2).unbatch().apply(count).prefetch(4).with_options(options)

    def blocks(self, number: int = 0) -> Iterator[Any]:
        """Blocks of whole batches of one pass, as arrays ``[batches, rows, ...]``; the last batch has its own.

        Parameters
        ----------
        number
            Which pass; each is shuffled differently.
        """
        random = None if self.shuffle_seed is None else np.random.default_rng([self.shuffle_seed, number])
        columns = [f.name for f in self._columns()]
        for window in windows(self.files, columns, multiple_of=self.batch_size, random=random):
            yield from self._blocks_of(window, random)

    def _columns(self) -> list[Feature]:
        return [*self.features, *(f for f in (self.label, self.weight) if f is not None)]

    def _blocks_of(self, window: pa.Table, random: np.random.Generator | None) -> Iterator[Any]:
        arrays = {f.name: to_array(window.column(f.name), f) for f in self._columns()}
        order = None if random is None else random.permutation(window.num_rows)
        whole = window.num_rows - window.num_rows % self.batch_size
        step = max(1, BLOCK_ROWS // self.batch_size) * self.batch_size
        bounds = [*range(0, whole, step), whole]
        for start, end in itertools.pairwise(bounds):
            yield self._element(_take(arrays, order, start, end), self.batch_size)
        if whole < window.num_rows:
            yield self._element(_take(arrays, order, whole, window.num_rows), window.num_rows - whole)

    def _element(self, arrays: Arrays, batch_size: int) -> Any:
        features = {f.name: _batched(arrays[f.name], batch_size) for f in self.features}
        if self.label is None:
            return features
        label = arrays[self.label.name]
        weight = None
        if self.weight is not None:
            weight = arrays[self.weight.name].reshape(-1).astype(np.float32)
            # A row that does not count may have no label, and NaN times 0 is NaN.
            label = np.where((weight == 0).reshape(-1, *(1 for _ in label.shape[1:])), label.dtype.type(0), label)
        if self.class_weights is not None:
            by_class = np.ones(max(self.class_weights) + 1, np.float32)
            by_class[list(self.class_weights)] = list(self.class_weights.values())
            classes = np.minimum(label.reshape(-1).astype(np.int64), len(by_class) - 1)
            weight = by_class[classes] * (1 if weight is None else weight)
        if weight is None:
            return features, _batched(label, batch_size)
        return features, _batched(label, batch_size), _batched(weight, batch_size)

    def _signature(self) -> Any:
        features = {f.name: _spec(f) for f in self.features}
        if self.label is None:
            return features
        if self.weight is None and self.class_weights is None:
            return features, _spec(self.label)
        return features, _spec(self.label), tf.TensorSpec([None, None], tf.float32)


class _Passes:
    """One call, some passes; each is shuffled differently, and the same again for the same seed."""

    def __init__(self, batches: Batches, passes: int) -> None:
        self._batches = batches
        self._passes = passes
        self._first = 0

    def __call__(self) -> Iterator[Any]:
        first, self._first = self._first, self._first + self._passes
        try:
            for number in range(first, first + self._passes):
                yield from self._batches.blocks(number)
        except FluentPipeError as error:
            self._batches.failures.append(error)
            raise


def row_count(files: Sequence[Path]) -> int:
    """Rows of Parquet files, from their footers."""
    return sum(pq.read_metadata(file).num_rows for file in files)


def windows(
    files: Sequence[Path], columns: list[str], *, multiple_of: int = 1, random: np.random.Generator | None = None
) -> Iterator[pa.Table]:
    """Tables of up to about :data:`WINDOW_BYTES`, whole ``multiple_of`` but the last.

    Shuffled ones have up to about :data:`WINDOW_ROWS` rows, others and the first :data:`FIRST_WINDOW_ROWS`.

    Parameters
    ----------
    columns
        Which columns.
    random
        Puts the row groups, of all files, in random order.
    """
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    most = FIRST_WINDOW_ROWS
    for batch in _row_groups(files, columns, random):
        waiting.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= multiple_of and (rows >= most or size >= WINDOW_BYTES):
            table = pa.Table.from_batches(waiting)
            rest = rows % multiple_of
            yield table.slice(0, rows - rest)
            most = FIRST_WINDOW_ROWS if random is None else WINDOW_ROWS
            waiting = table.slice(rows - rest).combine_chunks().to_batches()
            rows, size = rest, sum(b.nbytes for b in waiting)
    if rows:
        yield pa.Table.from_batches(waiting)


def _row_groups(
    files: Sequence[Path], columns: list[str], random: np.random.Generator | None
) -> Iterator[pa.RecordBatch]:
    groups = [(file, group) for file in files for group in range(pq.read_metadata(file).num_row_groups)]
    if random is not None:
        groups = [groups[i] for i in random.permutation(len(groups))]
    for file, group in groups:
        with pq.ParquetFile(file) as parquet:
            yield from parquet.iter_batches(batch_size=ROWS_PER_BATCH, row_groups=[group], columns=columns)


def _take(arrays: Arrays, order: np.ndarray[Any, Any] | None, start: int, end: int) -> Arrays:
    chosen: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]
    chosen = (lambda a: a[start:end]) if order is None else (lambda a: a[order[start:end]])
    return {name: chosen(array) for name, array in arrays.items()}


def _batched(array: np.ndarray[Any, Any], batch_size: int) -> np.ndarray[Any, Any]:
    return array.reshape((-1, batch_size, *array.shape[1:]))


def _spec(feature: Feature) -> tf.TensorSpec:
    return tf.TensorSpec([None, None, *feature.row_shape], tf.dtypes.as_dtype(feature.dtype))
