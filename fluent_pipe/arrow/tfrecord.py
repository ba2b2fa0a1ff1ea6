"""TFRecord files of ``tf.Example`` as a source: one schema for all, decided by all records.

A feature is a flat column if no record has more than one value of it, else a list. Bytes are text if all are UTF-8.
A feature that a record leaves out is missing there.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa

from fluent_pipe import progress
from fluent_pipe.arrow import tf_example
from fluent_pipe.arrow.csv import LONGEST_TEXT, TypesTooNarrow
from fluent_pipe.arrow.csv_survey import check_names
from fluent_pipe.arrow.files import Piece, Rejected
from fluent_pipe.arrow.tf_example import Conflict, Decoded
from fluent_pipe.arrow.tfrecord_file import read_records
from fluent_pipe.errors import InputError

HEADS = 3
"""Types are guessed by the first records of the first ``HEADS`` files that have any."""

THREADS = min(4, os.cpu_count() or 1)
"""Blocks of one file that are decoded at once."""

LEAST_BYTES = 16
"""Of a record in a file: what lies around it."""

Types = dict[str, tuple[pa.DataType, str]]
"""Type by feature, and where it was seen first."""


@dataclass(frozen=True)
class TfRecordReader:
    """Reads TFRecord files into batches of one schema. Pickles.

    Parameters
    ----------
    schema
        Of every batch.
    origins
        Where each feature's type was seen first.
    columns
        The features that were asked for; None for all.
    """

    schema: pa.Schema
    origins: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None

    def read(self, piece: Piece) -> Iterator[pa.RecordBatch | Rejected]:
        """The rows of a file, in order, in batches of one block; and records that are no ``tf.Example``.

        Raises
        ------
        InputError
            If the file is damaged, or a feature has values of two types.
        TypesTooNarrow
            If a feature does not fit its column, or there is none for it.
        """
        for records, first, decoded in _decoded(piece):
            for place, reason in decoded.bad:
                text = records[place].decode(errors="backslashreplace")[:LONGEST_TEXT]
                yield Rejected(piece.file, first + place, reason, text)
            if decoded.batch.num_rows:
                yield self._conform(decoded, piece, first)

    def _conform(self, decoded: Decoded, piece: Piece, first: int) -> pa.RecordBatch:
        batch = decoded.batch
        if self.columns is None:
            new = next((name for name in batch.schema.names if name not in self.schema.names), None)
            if new is not None:
                raise TypesTooNarrow(f"Feature {new!r} is not in the first records.", where=piece.file)
        arrays = []
        for wanted in self.schema:
            index = batch.schema.get_field_index(wanted.name)
            if index < 0:
                arrays.append(pa.nulls(batch.num_rows, wanted.type))
                continue
            array = tf_example.to_column(batch.column(index), wanted.type)
            if array is None:
                kind = tf_example.column_type(batch.column(index))
                self._join(wanted, kind, _where(piece, first, decoded, index))
                raise TypesTooNarrow(f"Feature {wanted.name!r} is {kind}, not {wanted.type}.", where=piece.file)
            arrays.append(array)
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _join(self, wanted: pa.Field, kind: pa.DataType, where: str) -> None:
        _join({wanted.name: (wanted.type, self.origins.get(wanted.name, "other records"))}, wanted.name, kind, where)


def survey(files: Sequence[Piece], columns: Sequence[str] | None = None) -> tuple[TfRecordReader, list[Piece]]:
    """A reader of the schema that the files' first records suggest, and the files.

    Parameters
    ----------
    files
        All files.
    columns
        Which features; None for all, in the order of their names.

    Raises
    ------
    InputError
        If a file is not TFRecord or is damaged, no file has a record, none of the first records is a ``tf.Example``,
        or a feature has values of two types.
    """
    heads: list[tuple[Piece, list[bytes]]] = []
    for piece in files:
        if piece.member:
            raise InputError("TFRecord files in a zip are not read.", where=piece.name, fix="Unpack it first.")
        head = next(read_records(piece.file), None)
        if head:
            heads.append((piece, head))
        if len(heads) == HEADS:
            break
    if not heads:
        raise InputError("There is no record.", where=", ".join(piece.name for piece in files[:3]))
    types: Types = {}
    for piece, records in heads:
        decoded = _decode(piece, records, 1)
        if not decoded.batch.num_rows or tf_example.are_sequences(records[:100]):
            raise InputError(
                f"The first {len(records):,} records are not tf.Example."
                if len(records) > 1
                else "The record is not a tf.Example.",
                where=piece.file,
                fix="Write them as tf.train.Example; SequenceExample and other messages are not read.",
            )
        _widen(types, piece, 1, decoded)
    reader = _reader(types, None if columns is None else tuple(columns))
    absent = not types or any(name not in types for name in reader.columns or ())
    return scan(reader, files) if absent else reader, list(files)


def scan(reader: TfRecordReader, pieces: Iterable[Piece]) -> TfRecordReader:
    """A reader with the types that all records need; memory is bounded by one block.

    Raises
    ------
    InputError
        If a feature has values of two types, or no record has a feature that was asked for.
    """
    types: Types = {}
    pieces = list(pieces)
    for piece in pieces:
        for _, first, decoded in _decoded(piece):
            progress.check()
            _widen(types, piece, first, decoded)
    if not types:
        raise InputError("The records hold no feature.", where=", ".join(piece.name for piece in pieces[:3]))
    for name in reader.columns or ():
        if name not in types:
            raise InputError(f"columns= names {name!r}, which no record has.", got=name, valid=sorted(types))
    return _reader(types, reader.columns)


def _reader(types: Types, columns: tuple[str, ...] | None) -> TfRecordReader:
    names = columns or tuple(sorted(types))
    check_names(names, "the features")
    kinds = [(name, types[name][0] if name in types else pa.null()) for name in names]
    return TfRecordReader(pa.schema(kinds), {name: where for name, (_, where) in types.items()}, columns)


def _decoded(piece: Piece) -> Iterator[tuple[list[bytes], int, Decoded]]:
    """Records of a file, the number of the first of them, and what they hold.

    The coder lets other threads run, so that the next blocks are decoded meanwhile.
    """
    first = 1
    waiting: deque[tuple[list[bytes], int, Future[Decoded]]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for records in read_records(piece.file):
            waiting.append((records, first, pool.submit(_decode, piece, records, first)))
            first += len(records)
            if len(waiting) > THREADS:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())


def _result(waiting: tuple[list[bytes], int, Future[Decoded]]) -> tuple[list[bytes], int, Decoded]:
    records, first, decoded = waiting
    return records, first, decoded.result()


def _decode(piece: Piece, records: list[bytes], first: int) -> Decoded:
    try:
        return tf_example.decode(records)
    except Conflict as conflict:
        place = conflict.got if isinstance(conflict.got, int) else 0
        where = f"{piece.file}, record {first + place:,}"
        raise _two_types(f"{conflict.fact} in records before it.", where) from None


def _widen(types: Types, piece: Piece, first: int, decoded: Decoded) -> None:
    for index, name in enumerate(decoded.batch.schema.names):
        kind = tf_example.column_type(decoded.batch.column(index))
        _join(types, name, kind, _where(piece, first, decoded, index))


def _join(types: Types, name: str, kind: pa.DataType, where: str) -> None:
    before, origin = types.get(name, (pa.null(), where))
    joined = tf_example.wider(before, kind)
    if joined is None:
        one, other = tf_example.name(kind), tf_example.name(before)
        raise _two_types(f"Feature {name!r} is {one} here and {other} in {origin}.", where)
    types[name] = joined, where if pa.types.is_null(before) else origin


def _where(piece: Piece, first: int, decoded: Decoded, index: int) -> str:
    """File and record of the first value of a feature."""
    column = decoded.batch.column(index)
    row = column.is_valid().index(True).as_py() if column.null_count < len(column) else 0
    return f"{piece.file}, record {first + decoded.place(row):,}"


def _two_types(fact: str, where: str) -> InputError:
    return InputError(fact, where=where, fix="Write it with one type in all records.")
