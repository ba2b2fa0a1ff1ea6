"""Predictions read back from the files that they were written to."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pyarrow.parquet as pq

from fluent_pipe.arrow.opening import open_binary, parquet_file
from fluent_pipe.errors import ArgumentError


def read_predictions(files: Sequence[Path | str], form: str) -> pa.Table:
    """All rows of the files.

    Raises
    ------
    ArgumentError
        If they are TFRecord files.
    """
    if form == "tfrecord":
        raise ArgumentError(
            "Predictions in TFRecord files are not read as a table.",
            fix="Read the files with tf.data.TFRecordDataset(..., 'GZIP'), or write another format.",
        )
    read = {"parquet": pq.read_table, "csv": pacsv.read_csv, "jsonl": pajson.read_json}[form]
    tables = []
    for file in files:
        with open_binary(str(file)) as opened:
            tables.append(read(opened))
    return pa.concat_tables(tables, promote=True) if tables else pa.table({})


def first_rows(files: Sequence[Path | str], form: str, count: int) -> list[dict[str, Any]]:
    """Up to ``count`` rows; none of TFRecord files."""
    if not files or form == "tfrecord":
        return []
    if form == "parquet":
        with parquet_file(files[0]) as file:
            batch = next(file.iter_batches(batch_size=count), None)
        rows: list[dict[str, Any]] = [] if batch is None else batch.to_pylist()
        return rows
    with open_binary(str(files[0])) as lines:
        head = io.BytesIO(b"".join(islice(lines, count + (form == "csv"))))
    return list((pacsv.read_csv(head) if form == "csv" else pajson.read_json(head)).to_pylist())
