"""Parquet files as a source: one schema for all, read by row groups that workers share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fluent_pipe.arrow.csv_survey import check_names, check_same
from fluent_pipe.arrow.files import Piece, Rejected
from fluent_pipe.arrow.hashing import ragged
from fluent_pipe.arrow.opening import parquet_file
from fluent_pipe.arrow.parquet import ROWS_PER_BATCH
from fluent_pipe.arrow.types import common, flat
from fluent_pipe.errors import InputError


@dataclass(frozen=True)
class ParquetReader:
    """Reads row groups of Parquet files into batches of ``schema``. Pickles."""

    schema: pa.Schema

    def read(self, piece: Piece) -> Iterator[pa.RecordBatch | Rejected]:
        """The rows of the piece's row groups, in order; none is ever rejected."""
        with parquet_file(piece.file) as file:
            groups = list(range(piece.begin, piece.end if piece.end >= 0 else file.num_row_groups))
            for batch in file.iter_batches(batch_size=4 * ROWS_PER_BATCH, row_groups=groups, columns=self.schema.names):
                if batch.num_rows:
                    yield conform(batch, self.schema)


def survey(
    files: Sequence[Piece], columns: Sequence[str] | None = None, *, range_bytes: int = 64 << 20
) -> tuple[ParquetReader, list[Piece]]:
    """A reader of the schema that all files share, and the row groups to read.

    Parameters
    ----------
    files
        All files, whole.
    columns
        Which columns; None for all.
    range_bytes
        Uncompressed bytes of the row groups that one piece holds, about.

    Raises
    ------
    InputError
        If a file is not Parquet, files differ in columns or in kinds of types, a column is nested, or ``columns``
        names one that does not exist.
    """
    schema: pa.Schema | None = None
    pieces: list[Piece] = []
    for piece in files:
        try:
            with parquet_file(piece.file) as file:
                found, metadata = file.schema_arrow, file.metadata
        except pa.ArrowInvalid as error:
            raise InputError(f"This is not a Parquet file ({error}).", where=piece.file) from error
        own = flat_schema(found, columns, piece.name)
        schema = own if schema is None else _unify(schema, files[0].name, own, piece.name)
        pieces += _groups(piece, metadata, range_bytes) if metadata.num_rows else ()
    if schema is None or not pieces:
        raise InputError("There are columns and no row.", where=", ".join(piece.name for piece in files[:3]))
    return ParquetReader(schema), pieces


def flat_schema(schema: pa.Schema, columns: Sequence[str] | None, where: str | None) -> pa.Schema:
    """The schema that stored columns are read as: ``columns`` alone, dictionaries decoded.

    Raises
    ------
    InputError
        If a column is nested, has no name or that of another, or does not exist.
    """
    check_names(schema.names, where or "columns")
    for name in columns or ():
        if name not in schema.names:
            raise InputError(f"columns= names {name!r}, which is not there.", where=where, got=name, valid=schema.names)
    fields = []
    for name in columns or schema.names:
        kind = flat(schema.field(name).type)
        if kind is None:
            raise InputError(
                f"Column {name!r} is nested ({schema.field(name).type}); columns are flat or lists of flat values.",
                where=where,
                fix=f"Flatten it before, or leave {name!r} out with columns=[...].",
            )
        fields.append(pa.field(name, kind))
    return pa.schema(fields)


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch's columns in the order and types of ``schema``."""
    arrays = []
    for field in schema:
        column = batch.column(batch.schema.get_field_index(field.name))
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        elif pa.types.is_fixed_size_list(column.type):
            column = ragged(column)
        arrays.append(column if column.type == field.type else pc.cast(column, field.type, safe=False))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _unify(schema: pa.Schema, first_name: str, own: pa.Schema, name: str) -> pa.Schema:
    check_same(schema.names, first_name, own.names, name)
    fields = []
    for field in schema:
        kind = common(field.type, own.field(field.name).type)
        if kind is None:
            raise InputError(
                f"Column {field.name!r} is {own.field(field.name).type} here and {field.type} in {first_name}.",
                where=name,
                fix="Write it with one type in all files.",
            )
        fields.append(pa.field(field.name, kind))
    return pa.schema(fields)


def _groups(piece: Piece, metadata: pq.FileMetaData, range_bytes: int) -> Iterator[Piece]:
    begin, size = 0, 0
    for group in range(metadata.num_row_groups):
        size += metadata.row_group(group).total_byte_size
        if size >= range_bytes or group + 1 == metadata.num_row_groups:
            yield piece._replace(begin=begin, end=group + 1)
            begin, size = group + 1, 0
