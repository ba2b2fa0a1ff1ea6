"""CSV to record batches of one schema, rows that do not fit told apart.

Blocks of text are parsed by Arrow, strictly and with every type given. Only a block that fails is looked into.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from fluent_pipe.arrow.csv_blocks import Block, Dialect, blocks, row_ends
from fluent_pipe.arrow.files import Piece, Rejected, count_lines, lines_before, open_text
from fluent_pipe.arrow.types import Types, join_columns, to_timestamp, widen
from fluent_pipe.errors import InputError

LONGEST_TEXT = 10_000
"""Characters of a rejected row that are kept."""

_WORTH_THREADS = 1 << 16
_NAMES = {
    "int64": "an integer",
    "double": "a number",
    "bool": "true or false",
    "date32[day]": "an ISO date",
    "timestamp[us]": "an ISO time",
}

Span = tuple[int, int]


class Unfit(NamedTuple):
    """Begin and end of a row that cannot be read, and why."""

    begin: int
    end: int
    reason: str


class TypesTooNarrow(InputError):
    """A value is outside the types that the beginning of the files had suggested; an exact look at all will tell."""


@dataclass(frozen=True)
class CsvFormat:
    """How the text of all files is to be read; see :class:`fluent_pipe.steps.sources.FromCsv`."""

    dialect: Dialect = Dialect()
    column_names: tuple[str, ...] | None = None
    null_values: tuple[str, ...] = ("",)
    encoding: str = "utf-8"
    block_bytes: int = 4 << 20

    def blocks(self, piece: Piece, size: int | None = None) -> Iterator[tuple[tuple[str, ...], Block]]:
        """The piece's blocks of rows, each with the names of the file's columns in the file's order.

        Raises
        ------
        InputError
            If the file has no header where it needs one.
        """
        names = self.column_names
        if names is None and piece.begin > 0:
            names = self.names(piece)
        with open_text(piece, self.encoding) as stream:
            for block in blocks(stream, size or self.block_bytes, self.dialect):
                if names is None:
                    found = self._header(block, piece)
                    if found is None:
                        continue
                    names, block = found
                if block.data.strip(b"\r\n"):
                    yield names, block

    def names(self, piece: Piece) -> tuple[str, ...]:
        """Names of the columns of the piece's file, in its order."""
        if self.column_names is not None:
            return self.column_names
        with open_text(piece._replace(begin=0, end=-1), self.encoding) as stream:
            for block in blocks(stream, 1 << 16, self.dialect):
                if found := self._header(block, piece):
                    return found[0]
        raise InputError("This file is empty.", where=piece.name, fix="Leave it out, or write its rows.")

    def parse(self, data: bytes, names: tuple[str, ...], types: Types, wanted: tuple[str, ...] = ()) -> pa.Table:
        """All rows of ``data`` as a table of the columns ``wanted``; types that are not in ``types`` are inferred.

        Raises
        ------
        pa.ArrowInvalid
            If any row has another number of fields, or any value is not of its type.
        """
        table = pacsv.read_csv(
            pa.BufferReader(data),
            read_options=pacsv.ReadOptions(
                column_names=list(names), block_size=len(data) + 1, use_threads=len(data) > _WORTH_THREADS
            ),
            parse_options=self.parse_options,
            convert_options=pacsv.ConvertOptions(
                column_types={n: pa.string() if pa.types.is_timestamp(t) else t for n, t in types.items()},
                include_columns=list(wanted or names),
                null_values=list(self.null_values),
                strings_can_be_null=True,
            ),
        )
        for name, kind in types.items():
            if pa.types.is_timestamp(kind):
                column = to_timestamp(table[name].combine_chunks())
                table = table.set_column(table.schema.get_field_index(name), name, column)
        return table

    def well_formed(self, data: bytes, names: tuple[str, ...]) -> tuple[list[Span], list[Unfit]]:
        """The rows of ``data`` that are text with as many fields as there are ``names``, and those that are not."""
        ends = row_ends(data, self.dialect).tolist()
        rows = [(b, e) for b, e in zip([0, *ends], ends, strict=False) if data[b:e].strip(b"\r\n")]
        unfit = []
        if not _is_text(data):
            reason = f"bytes that are not {self.encoding} text"
            unfit = [Unfit(b, e, reason) for b, e in rows if not _is_text(data[b:e])]
            rows = [(b, e) for b, e in rows if _is_text(data[b:e])]
        ragged = self._ragged(_joined(data, rows), names)
        unfit += [Unfit(*rows[i], f"{count} fields, {len(names)} expected") for i, count in ragged.items()]
        return [row for i, row in enumerate(rows) if i not in ragged], unfit

    def infer(self, data: bytes, names: tuple[str, ...], known: Types) -> Types:
        """Types of the chain for the columns in ``known``, by the rows of ``data`` that are well-formed."""
        # What is text already can only stay text.
        text = {n: pa.string() for n in names if n not in known or known[n] == pa.string()}

        def parse(part: bytes) -> Types:
            found = self.parse(part, names, text).schema
            if any(pa.types.is_binary(kind) for kind in found.types):
                raise pa.ArrowInvalid("invalid UTF8 data")
            return {n: widen(found.field(n).type) for n in known}

        try:
            return join_columns(known, parse(data))
        except pa.ArrowInvalid:
            rows, _ = self.well_formed(data, names)
            return join_columns(known, parse(_joined(data, rows))) if rows else known

    @property
    def parse_options(self) -> pacsv.ParseOptions:
        """The dialect as Arrow takes it."""
        dialect = self.dialect
        return pacsv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char=dialect.quote,
            double_quote=dialect.escape is None,
            escape_char=dialect.escape or False,
            newlines_in_values=True,
        )

    def _ragged(self, data: bytes, names: tuple[str, ...]) -> dict[int, int]:
        """Fields of the rows that have another number of them, by index of the row; ``data`` has no blank lines."""
        found: dict[int, int] = {}
        if not data:
            return found

        def skip(row: pacsv.InvalidRow) -> str:
            found[row.number - 1] = row.actual_columns
            return "skip"

        options = self.parse_options
        options.invalid_row_handler = skip
        pacsv.read_csv(
            pa.BufferReader(data),
            read_options=pacsv.ReadOptions(column_names=list(names), block_size=len(data) + 1, use_threads=False),
            parse_options=options,
            convert_options=pacsv.ConvertOptions(include_columns=[names[0]], column_types={names[0]: pa.binary()}),
        )
        return found

    def _header(self, block: Block, piece: Piece) -> tuple[tuple[str, ...], Block] | None:
        # The names are most likely within the first rows.
        for data in (block.data[: 1 << 16], block.data):
            begin = len(data) - len(data.lstrip(b"\r\n"))
            ends = row_ends(data, self.dialect)
            ends = ends[ends > begin]
            if len(ends) > 1 or (len(ends) and len(data) == len(block.data)):
                end = int(ends[0])
                names = self._split(data[begin:end], piece)
                return names, Block(block.data[end:], block.line + count_lines(data[:end]))
        return None

    def _split(self, row: bytes, piece: Piece) -> tuple[str, ...]:
        dialect = self.dialect
        try:
            text = row.decode()
        except UnicodeDecodeError as error:
            raise InputError(
                f"The header is not {self.encoding} text ({error.reason}).", where=piece.name, fix="Give encoding=."
            ) from error
        (names,) = csv.reader(
            [text],
            delimiter=dialect.delimiter,
            quotechar=dialect.quote,
            escapechar=dialect.escape,
            doublequote=dialect.escape is None,
        )
        return tuple(names)


@dataclass(frozen=True)
class CsvReader:
    """Reads pieces of CSV files into batches of one schema. Pickles.

    Parameters
    ----------
    format
        How the text is read.
    types
        Type of every column, in the order of the batches' columns.
    given
        Columns whose type the user gave: a row with another value is rejected.
    """

    format: CsvFormat
    types: Types
    given: frozenset[str] = field(default=frozenset())

    @property
    def schema(self) -> pa.Schema:
        """Schema of every batch."""
        return pa.schema(list(self.types.items()))

    def read(self, piece: Piece) -> Iterator[pa.RecordBatch | Rejected]:
        """The rows of a piece, in order, in batches of one block of text; and those that cannot be read.

        Raises
        ------
        TypesTooNarrow
            If a value of a column without a given type is outside its type.
        """
        before: int | None = None
        for names, block in self.format.blocks(piece):
            tables: list[pa.Table] = []
            for part in self._parts(block, names):
                if isinstance(part, Rejected):
                    before = lines_before(piece) if before is None else before
                    yield part._replace(file=piece.name, line=part.line + before)
                else:
                    tables.append(part)
            if tables and sum(t.num_rows for t in tables):
                yield _one_batch(tables)

    def _parts(self, block: Block, names: tuple[str, ...]) -> Iterator[pa.Table | Rejected]:
        def parse(data: bytes) -> pa.Table:
            return self.format.parse(data, names, self.types, tuple(self.types))

        def rejected(data: bytes, line: int, reason: str) -> Rejected:
            return Rejected("", line + 1, reason, data.decode(errors="replace").strip("\r\n")[:LONGEST_TEXT])

        if block.unclosed:
            yield rejected(block.data, block.line, "a quote opens and never closes")
            return
        try:
            yield parse(block.data)
        except pa.ArrowInvalid:
            table, unfit = self._salvage(block.data, names)
            yield table
            seen, line = 0, block.line
            for begin, end, reason in unfit:
                line += count_lines(block.data[seen:begin])
                seen = begin
                yield rejected(block.data[begin:end], line, reason)

    def _salvage(self, data: bytes, names: tuple[str, ...]) -> tuple[pa.Table, list[Unfit]]:
        """The rows that can be read, and the others, in order."""
        rows, unfit = self.format.well_formed(data, names)
        if not rows:
            return self.schema.empty_table(), sorted(unfit)
        as_text = {n: pa.string() if n in self.given else kind for n, kind in self.types.items()}
        try:
            texts = self.format.parse(_joined(data, rows), names, as_text)
        except pa.ArrowInvalid as error:
            raise TypesTooNarrow(f"A value is not of the type that was guessed for its column ({error}).") from None
        reasons: dict[int, str] = {}
        for name in self.given:
            for index, value in self._wrong(texts[name], name):
                said = f"column {name!r}: {value!r} is not {_NAMES.get(str(self.types[name]), 'text')}"
                reasons[index] = f"{reasons[index]}; {said}" if index in reasons else said
        unfit += [Unfit(*rows[index], reason) for index, reason in reasons.items()]
        good = [row for index, row in enumerate(rows) if index not in reasons]
        if not good:
            return self.schema.empty_table(), sorted(unfit)
        return self.format.parse(_joined(data, good), names, self.types, tuple(self.types)), sorted(unfit)

    def _wrong(self, texts: pa.ChunkedArray, name: str) -> list[tuple[int, str]]:
        """Index and text of each value of a column that is not of its type; found by halving the distinct ones."""
        words = texts.unique().drop_null().to_pylist()
        lines = [b'"' + word.encode().replace(b'"', b'""') + b'"\n' for word in words]
        values = CsvFormat(null_values=self.format.null_values)
        wrong: list[str] = []
        waiting = [(0, len(words))] if words else []
        while waiting:
            begin, end = waiting.pop()
            try:
                values.parse(b"".join(lines[begin:end]), (name,), {name: self.types[name]})
            except pa.ArrowInvalid:
                half = (begin + end) // 2
                if end - begin == 1:
                    wrong.append(words[begin])
                else:
                    waiting += [(begin, half), (half, end)]
        if not wrong:
            return []
        rows = np.flatnonzero(pc.is_in(texts, pa.array(wrong, pa.string())).to_numpy())
        return [(int(row), texts[int(row)].as_py()) for row in rows]


def _joined(data: bytes, rows: list[Span]) -> bytes:
    return b"".join([data[begin:end] for begin, end in rows])


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _one_batch(tables: list[pa.Table]) -> pa.RecordBatch:
    table = pa.concat_tables(tables).combine_chunks()
    (batch,) = table.to_batches()
    return batch
