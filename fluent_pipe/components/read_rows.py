"""The rows that a source names, on workers: what travels through Beam is names and counts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import apache_beam as beam
import pyarrow as pa

from fluent_pipe import progress
from fluent_pipe.arrow import csv_survey, parquet_source, tfrecord
from fluent_pipe.arrow.csv import CsvFormat, CsvReader, TypesTooNarrow
from fluent_pipe.arrow.csv_blocks import Dialect
from fluent_pipe.arrow.files import Piece, Rejected, list_pieces, text_bytes
from fluent_pipe.arrow.memory import to_table
from fluent_pipe.arrow.parquet import BatchWriter, row_count
from fluent_pipe.arrow.parquet_source import ParquetReader
from fluent_pipe.arrow.tfrecord import TfRecordReader
from fluent_pipe.arrow.types import Types
from fluent_pipe.components.base import Context
from fluent_pipe.components.write_examples import RejectedWriter, check_rejected
from fluent_pipe.errors import InputError
from fluent_pipe.steps.sources import FromCsv, FromMemory, FromParquet, FromTfRecord

RANGE_BYTES = 64 << 20
"""A plain file larger than this is read by several workers."""

SPOOL = ".memory"
"""Folder in staging of rows that no file holds, as Parquet files that workers read."""

Readable: TypeAlias = FromCsv | FromParquet | FromTfRecord | FromMemory
"""Sources that are read here."""

Reader: TypeAlias = CsvReader | ParquetReader | TfRecordReader

Route = Callable[[pa.RecordBatch, Piece], Iterable[tuple[str, Any]]]
"""A batch and where it was read, to outputs and what goes there."""

_MANY = 1000


class Rows:
    """The rows that a source names: lists the input, decides columns and types, and reads on workers.

    Parameters
    ----------
    step
        What to read.
    context
        For progress and failures; rejected rows are written into its folder, and rows in memory pass through it.
    range_bytes
        Bytes of a plain file that one worker reads.
    """

    def __init__(self, step: Readable, context: Context, *, range_bytes: int = RANGE_BYTES) -> None:
        self.step = step
        self.reader: Reader | None = None
        self._context = context
        self._range_bytes = range_bytes
        self._pieces: list[Piece] = []
        self._exact = False
        self._bytes = 0
        self._columns = 0

    @property
    def schema(self) -> pa.Schema:
        """Schema of every batch; known once they are looked at."""
        assert self.reader is not None, "look() comes first"
        return self.reader.schema

    @property
    def spooled(self) -> str | None:
        """Name of a folder that is no longer needed once all is read; None if there is none."""
        return SPOOL if isinstance(self.step, FromMemory) else None

    def look(self) -> None:
        """List the files, decide columns and types; rows in memory are written where workers read them.

        Raises
        ------
        InputError
            If the input cannot be used: see :mod:`fluent_pipe.arrow.csv_survey`,
            :mod:`fluent_pipe.arrow.parquet_source` and :mod:`fluent_pipe.arrow.tfrecord`.
        """
        step = self.step
        if isinstance(step, FromMemory):
            self._spool(to_table(step.data.rows))
        elif self.reader is None:
            files = list_pieces(step.patterns)
            self._bytes = sum(text_bytes(piece) for piece in files)
            if isinstance(step, FromCsv):
                form = _format(step)
                self.reader = csv_survey.guess(form, files, dict(step.types))
                self._columns = len(self.reader.types)
                self._pieces = csv_survey.share(form, files, self._range_bytes)
            elif isinstance(step, FromTfRecord):
                self.reader, self._pieces = tfrecord.survey(files, step.columns)
            else:
                self.reader, self._pieces = parquet_source.survey(files, step.columns, range_bytes=self._range_bytes)

    def look_again(self) -> bool:
        """Look at all data for its exact types, where the first guess was too narrow; False if that was not it."""
        if self._exact or not isinstance(self._context.kept_failure(), TypesTooNarrow):
            return False
        if isinstance(self.reader, CsvReader):
            self.reader = csv_survey.scan(self.reader, self._pieces)
        elif isinstance(self.reader, TfRecordReader):
            self.reader = tfrecord.scan(self.reader, self._pieces)
        self._exact = True
        return True

    def narrow(self, columns: Collection[str], given: Types, guessed: Types) -> None:
        """Read ``columns`` alone.

        Parameters
        ----------
        given, guessed
            Types that text is read by, in place of those that its beginning suggests. A row with a value outside of
            a given type is rejected; outside of a guessed one it makes all data be looked at.
        """
        reader = self.reader
        if isinstance(reader, CsvReader):
            kept = {n: given.get(n, guessed.get(n, kind)) for n, kind in reader.types.items() if n in columns}
            self.reader = replace(reader, types=kept, given=(reader.given | given.keys()) & kept.keys())
        elif isinstance(reader, TfRecordReader):
            if not set(columns) <= set(reader.schema.names):  # a feature may be in later records alone
                reader = tfrecord.scan(reader, self._pieces)
            schema = pa.schema([f for f in reader.schema if f.name in columns])
            every = len(schema) == len(reader.schema)
            self.reader = replace(reader, schema=schema, columns=None if every else tuple(schema.names))
        elif isinstance(reader, ParquetReader):
            self.reader = replace(reader, schema=pa.schema([f for f in reader.schema if f.name in columns]))

    @property
    def most_rows(self) -> int | None:
        """No more rows than this are there; None where nothing is known."""
        if isinstance(self.reader, ParquetReader):
            return sum(map(row_count, {piece.file for piece in self._pieces}))
        if isinstance(self.reader, TfRecordReader):
            return self._bytes // tfrecord.LEAST_BYTES
        # A good row takes a byte a column at least: its delimiters and its line end.
        return self._bytes // self._columns if self._columns else None

    def read(self, pipeline: beam.Pipeline, route: Route, outputs: Sequence[str]) -> Any:
        """What :func:`read_pieces` gives for all of the input."""
        assert self.reader is not None, "look() comes first"
        most_good = None if isinstance(self.reader, ParquetReader) else self.most_rows
        pieces = pipeline | "Pieces" >> beam.Create([tuple(piece) for piece in self._pieces], reshuffle=True)
        limit, part = self.step.max_rejected, 1 / len(self._pieces)
        return read_pieces(pieces, self.reader, route, outputs, self._context, limit, most_good, part)

    def _spool(self, table: pa.Table) -> None:
        if table.num_rows == 0:
            raise InputError("There are columns and no row.", where=repr(self.step.id))
        schema = parquet_source.flat_schema(table.schema, None, "the rows in memory")
        path = self._context.folder / SPOOL / "rows.parquet"
        writer = BatchWriter(path)
        for batch in table.to_batches(max_chunksize=1 << 16):
            writer.write(parquet_source.conform(batch, schema))
        writer.close()
        self.reader, pieces = parquet_source.survey([Piece(str(path))], range_bytes=self._range_bytes)
        address = self._context.deliver(path)
        self._pieces = [piece._replace(file=address) for piece in pieces]


def read_pieces(
    pieces: beam.PCollection,
    reader: Reader | beam.pvalue.AsSingleton,
    route: Route,
    outputs: Sequence[str],
    context: Context,
    max_rejected: float,
    most_good: int | None = None,
    part: float = 0.0,
) -> Any:
    """Read pieces of the input on workers.

    Parameters
    ----------
    pieces
        Tuples of :class:`~fluent_pipe.arrow.files.Piece`.
    reader
        Reads them; a side input where it is known only when the job runs.
    route
        Says where a batch goes.
    outputs
        All names that it says.
    max_rejected
        Share of rows that may be rejected.
    most_good
        An upper bound of the rows that are not rejected.
    part
        Of all pieces that one is; 0 where their number is not known.

    Returns
    -------
    Any
        PCollections by name: batches under what :func:`tag` makes of each output, and under ``"seen"`` the account of
        each piece.
    """
    read = beam.ParDo(_Read(context, route, max_rejected, most_good, part), reader)
    return pieces | "Read and split" >> read.with_outputs(*map(tag, outputs), main="seen")


class _Read(beam.DoFn):  # type: ignore[misc]
    """Reads a piece: batches to the outputs of their splits, the account of the piece to the main one."""

    def __init__(
        self,
        context: Context,
        route: Route,
        max_rejected: float,
        most_good: int | None,
        part: float,
    ) -> None:
        super().__init__()
        self._part = part
        self._context = context
        self._route = route
        self._max_rejected = max_rejected
        self._most_good = most_good

    def process(self, element: tuple[Any, ...], reader: Reader) -> Iterator[Any]:
        """Read one piece."""
        with self._context.explained():
            piece, rows = Piece(*element), 0
            rejected = RejectedWriter(self._context)
            for batch, bad in _gather(reader.read(piece)):
                rejected.write(bad)
                self._give_up_early(rejected)
                if batch is None:
                    continue
                rows += batch.num_rows
                progress.report(self._context.step, rows=batch.num_rows)
                for split, part in self._route(batch, piece):
                    yield beam.pvalue.TaggedOutput(tag(split), part)
            rejected.close()
            progress.report(self._context.step, part=self._part)
            yield tuple(rejected.seen(rows))

    def _give_up_early(self, rejected: RejectedWriter) -> None:
        # A file that is not what it was taken for would take long to refuse row by row. Fewer rows are worth an
        # exact count.
        if self._most_good is not None and rejected.count >= _MANY:
            most = self._most_good + rejected.count
            check_rejected([rejected.seen(0)], most, self._max_rejected, at_most=True)


def _gather(parts: Iterator[pa.RecordBatch | Rejected]) -> Iterator[tuple[pa.RecordBatch | None, Sequence[Rejected]]]:
    """Rejected rows with the batch that follows them, a bounded number at once."""
    waiting: list[Rejected] = []
    for part in parts:
        if not isinstance(part, Rejected):
            yield part, waiting
            waiting = []
            continue
        waiting.append(part)
        if len(waiting) == 100:
            yield None, waiting
            waiting = []
    yield None, waiting


def _format(step: FromCsv) -> CsvFormat:
    return CsvFormat(
        dialect=Dialect(step.delimiter, step.quote, step.escape),
        column_names=step.column_names,
        null_values=step.null_values,
        encoding=step.encoding,
        block_bytes=step.block_bytes,
    )


def tag(split: str) -> str:
    """Name of a split's output."""
    return f"split {split}"
