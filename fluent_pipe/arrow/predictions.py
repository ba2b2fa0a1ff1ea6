"""Rows with their predictions to files: Parquet, CSV or lines of JSON, in whole record batches."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from fluent_pipe.arrow.parquet import BatchWriter


class Writer(Protocol):
    """Writes batches of one schema to one file, created at the first batch."""

    @property
    def path(self) -> Path:
        """Of the file."""

    @property
    def rows(self) -> int:
        """Rows so far."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add a batch."""

    def close(self) -> None:
        """End the file."""


class CsvWriter:
    """CSV with a header; null is an empty field; lists, and bytes of a column that is not all text, are JSON."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._writer: Any = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Add a batch."""
        columns = [_csv_values(column) for column in batch.columns]
        table = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pacsv.CSVWriter(str(self.path), table.schema)
        with _closed_by_failure(self):
            self._writer.write_batch(table)
        self.rows += batch.num_rows

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()


class JsonLinesWriter:
    """One JSON object a line; null, NaN and infinity are ``null``, dates and times ISO text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._file: IO[bytes] | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Add a batch."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("wb")
        with _closed_by_failure(self):
            self._file.write(json_lines(batch))
        self.rows += batch.num_rows

    def close(self) -> None:
        """End the file."""
        if self._file is not None:
            self._file.close()


@contextmanager
def _closed_by_failure(writer: Writer) -> Iterator[None]:
    # The error would keep the file open, and a full disk full although the file is removed.
    try:
        yield
    except BaseException:
        with suppress(OSError):
            writer.close()
        raise


WRITERS: dict[str, tuple[Callable[[Path], Writer], str]] = {
    "parquet": (BatchWriter, ".parquet"),
    "csv": (CsvWriter, ".csv"),
    "jsonl": (JsonLinesWriter, ".jsonl"),
}
"""Writer and ending of the files, by format."""


def json_lines(batch: pa.RecordBatch) -> bytes:
    r"""The rows as JSON objects, each on a line of its own.

    Examples
    --------
    >>> json_lines(pa.RecordBatch.from_pydict({"city": ["Linz", None], "miles": [1.5, 2.0]}))
    b'{"city":"Linz","miles":1.5}\n{"city":null,"miles":2}\n'
    """
    parts: list[Any] = []
    for index, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True)):
        parts += [f"{',' if index else '{'}{json.dumps(name, ensure_ascii=False)}:", json_values(column)]
    lines = pc.binary_join_element_wise(*parts, "}\n", "")
    offsets = np.frombuffer(lines.buffers()[1], np.int32)[lines.offset : lines.offset + len(lines) + 1]
    return bytes(memoryview(lines.buffers()[2])[offsets[0] : offsets[-1]])


def json_values(column: pa.Array) -> pa.Array:
    """Each value as JSON text, ``"null"`` where it is missing."""
    column = _simple(column)
    kind = column.type
    if pa.types.is_null(kind):
        return pa.array(np.full(len(column), "null", object), pa.string())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        text = _lists(column)
    elif pa.types.is_floating(kind):
        text = pc.if_else(pc.is_finite(column), column.cast(pa.string()), pa.scalar(None, pa.string()))
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        text = column.cast(pa.string())
    elif pa.types.is_temporal(kind):
        text = _quoted(column.cast(pa.string()))
    else:
        encoded = column.dictionary_encode()
        text = _texts(encoded.dictionary).take(encoded.indices)
    return text.fill_null("null")


def _simple(column: pa.Array) -> pa.Array:
    """A column in a type that Arrow can turn into text; lists stay lists."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _simple(column.dictionary_decode())
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_float16(kind):
        return column.cast(pa.float32())
    return column.cast(pa.int64()) if pa.types.is_duration(kind) else column


def _csv_values(column: pa.Array) -> pa.Array:
    column = _simple(column)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return _lists(column)
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        return column
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:  # bytes that are no text
        encoded = column.dictionary_encode()
        return pa.array(map(_bytes_as_json, encoded.dictionary.to_pylist()), pa.string()).take(encoded.indices)


def _lists(column: pa.Array) -> pa.Array:
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), json_values(column.flatten())), ",")
    text = pc.binary_join_element_wise("[", joined, "]", "")
    return pc.if_else(column.is_valid(), text, pa.scalar(None, pa.string()))


def _texts(words: pa.Array) -> pa.Array:
    try:
        texts = words.cast(pa.string())
    except pa.ArrowInvalid:  # bytes that are no text
        return pa.array([_bytes_as_json(word) for word in words.to_pylist()], pa.string())
    if pc.any(pc.match_substring_regex(texts, r'[\x00-\x1f"\\]')).as_py():
        return pa.array([json.dumps(word, ensure_ascii=False) for word in texts.to_pylist()], pa.string())
    return _quoted(texts)


def _bytes_as_json(word: bytes) -> str:
    """Text where it is, else as TensorFlow Serving's REST API has bytes: ``{"b64": ...}``."""
    try:
        return json.dumps(word.decode(), ensure_ascii=False)
    except UnicodeDecodeError:
        return json.dumps({"b64": base64.b64encode(word).decode()})


def _quoted(texts: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise('"', texts, '"', "")
