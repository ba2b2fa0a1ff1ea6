"""Parquet in whole record batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fluent_pipe.arrow.opening import parquet_file

ROWS_PER_BATCH = 16_384


def read_batches(
    path: str | Path, *, columns: list[str] | None = None, rows: int = ROWS_PER_BATCH
) -> Iterator[pa.RecordBatch]:
    """The file's rows, in order, in batches of up to ``rows``.

    Parameters
    ----------
    path
        A Parquet file: a path or a URL.
    columns
        Which columns; None for all.
    rows
        Most rows a batch.
    """
    with parquet_file(path) as file:
        yield from file.iter_batches(batch_size=rows, columns=columns)


def spread_rows(files: Sequence[str | Path], count: int, *, groups: int = 8) -> pa.RecordBatch | None:
    """About ``count`` rows from all over the files, in order; None if they hold none.

    Parameters
    ----------
    files
        Parquet files of one schema.
    count
        Most rows.
    groups
        Most row groups that are read, evenly spread.
    """
    there = [(file, g) for file in files for g in _groups_with_rows(file)]
    if not there:
        return None
    chosen = [there[i] for i in np.unique(np.linspace(0, len(there) - 1, min(groups, count, len(there))).astype(int))]
    parts = []
    for (file, group), wanted in zip(chosen, _shares(count, len(chosen)), strict=True):
        with parquet_file(file) as parquet:
            table = parquet.read_row_group(group)
        parts.append(table.take(np.unique(np.linspace(0, len(table) - 1, min(wanted, len(table))).astype(int))))
    (batch,) = pa.concat_tables(parts).combine_chunks().to_batches()
    return batch


def row_count(file: str | Path) -> int:
    """Rows of a file."""
    with parquet_file(file) as parquet:
        return int(parquet.metadata.num_rows)


def _groups_with_rows(file: str | Path) -> list[int]:
    with parquet_file(file) as parquet:
        metadata = parquet.metadata
    return [g for g in range(metadata.num_row_groups) if metadata.row_group(g).num_rows]


def _shares(count: int, parts: int) -> list[int]:
    return [count // parts + (n < count % parts) for n in range(parts)]


class BatchWriter:
    """Writes batches of one schema to one Parquet file, created at the first batch.

    Small batches are gathered into row groups of ``rows_per_group``, so that memory stays bounded and readers get
    groups worth reading.
    """

    def __init__(self, path: str | Path, *, rows_per_group: int = 8 * ROWS_PER_BATCH) -> None:
        self.path = Path(path)
        self.rows = 0
        self._rows_per_group = rows_per_group
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._writer: pq.ParquetWriter | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Add a batch."""
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        self.rows += batch.num_rows
        if self._waiting_rows >= self._rows_per_group:
            self._flush()

    def close(self) -> None:
        """Write what waits and end the file."""
        self._flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _flush(self) -> None:
        if not self._waiting:
            return
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Version 2.6 keeps times in nanoseconds as they are.
            self._writer = pq.ParquetWriter(
                self.path, self._waiting[0].schema, version="2.6", compression="zstd", compression_level=1
            )
        try:
            self._writer.write_table(pa.Table.from_batches(self._waiting))
        except BaseException:
            # The error would keep the file open, and a full disk full although the file is removed.
            with suppress(OSError):
                self._writer.file_handle.close()
            raise
        self._waiting, self._waiting_rows = [], 0
