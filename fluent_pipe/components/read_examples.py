"""Sources: files or rows in memory to typed, split examples. What travels through Beam is names and counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa

from fluent_pipe import progress
from fluent_pipe.arrow import csv_survey, parquet_source, tfrecord
from fluent_pipe.arrow.csv import CsvFormat, CsvReader, TypesTooNarrow
from fluent_pipe.arrow.csv_blocks import Dialect
from fluent_pipe.arrow.files import Piece, Rejected, list_pieces, text_bytes
from fluent_pipe.arrow.memory import to_table
from fluent_pipe.arrow.parquet import BatchWriter
from fluent_pipe.arrow.parquet_source import ParquetReader
from fluent_pipe.arrow.splits import Splitter
from fluent_pipe.arrow.tfrecord import TfRecordReader
from fluent_pipe.components.base import Component, Context, once
from fluent_pipe.components.write_examples import Finish, RejectedWriter, WriteSplit, check_rejected
from fluent_pipe.errors import InputError
from fluent_pipe.steps.sources import FileSource, FromCsv, FromMemory, FromParquet, FromTfRecord, Source

RANGE_BYTES = 64 << 20
"""A plain file larger than this is read by several workers."""

Reader = CsvReader | ParquetReader | TfRecordReader

SPOOL = ".memory"
"""Folder in staging of rows that no file holds, as Parquet files that workers read."""

_MANY = 1000


class ReadExamples(Component):
    """Reads, types and splits; leaves :class:`~fluent_pipe.artifacts.Examples`.

    Parameters
    ----------
    step
        What to read.
    context
        Where to write.
    range_bytes
        Bytes of a plain file that one worker reads.
    """

    def __init__(
        self,
        step: FromCsv | FromParquet | FromTfRecord | FromMemory,
        context: Context,
        *,
        range_bytes: int = RANGE_BYTES,
    ) -> None:
        super().__init__(context)
        self._step = step
        self._range_bytes = range_bytes
        self._reader: Reader | None = None
        self._pieces: list[Piece] = []
        self._exact = False
        self._bytes = 0

    def prepare(self) -> None:
        """List the files, decide columns and types; rows in memory are written where workers read them.

        Raises
        ------
        InputError
            If the input cannot be used: see :mod:`fluent_pipe.arrow.csv_survey`,
            :mod:`fluent_pipe.arrow.parquet_source` and :mod:`fluent_pipe.arrow.tfrecord`.
        """
        step = self._step
        if isinstance(step, FromMemory):
            self._spool(to_table(step.data.rows))
        elif self._reader is None:
            files = list_pieces(step.patterns)
            self._bytes = sum(text_bytes(piece) for piece in files)
            if isinstance(step, FromCsv):
                form = _format(step)
                self._reader = csv_survey.guess(form, files, dict(step.types))
                self._pieces = csv_survey.share(form, files, self._range_bytes)
            elif isinstance(step, FromTfRecord):
                self._reader, self._pieces = tfrecord.survey(files, step.columns)
            else:
                self._reader, self._pieces = parquet_source.survey(files, step.columns, range_bytes=self._range_bytes)
        check_partition(step.partition_by, self._reader)

    def try_again(self) -> bool:
        """Look at all data for its exact types, where the first guess was too narrow."""
        if self._exact or not isinstance(self.context.kept_failure(), TypesTooNarrow):
            return False
        if isinstance(self._reader, CsvReader):
            self._reader = csv_survey.scan(self._reader, self._pieces)
        elif isinstance(self._reader, TfRecordReader):
            self._reader = tfrecord.scan(self._reader, self._pieces)
        self._exact = True
        return True

    def build(self, pipeline: beam.Pipeline) -> Mapping[str, beam.PCollection]:
        """Batches by split, flat columns, all of one schema."""
        assert self._reader is not None, "prepare() comes first"
        pieces = pipeline | "Pieces" >> beam.Create([tuple(piece) for piece in self._pieces], reshuffle=True)
        spooled = str(self.context.folder / SPOOL) if isinstance(self._step, FromMemory) else None
        return split_and_write(self._step, self.context, pieces, self._reader, self._most_good(), spooled)

    def _most_good(self) -> int | None:
        """An upper bound of the good rows, where rows may be rejected."""
        if isinstance(self._reader, CsvReader):
            # A good row takes a byte a column at least: its delimiters and its line end.
            return self._bytes // len(self._reader.schema)
        return self._bytes // tfrecord.LEAST_BYTES if isinstance(self._reader, TfRecordReader) else None

    def _spool(self, table: pa.Table) -> None:
        if table.num_rows == 0:
            raise InputError("There are columns and no row.", where=repr(self._step.id))
        schema = parquet_source.flat_schema(table.schema, None, "the rows in memory")
        path = self.context.folder / SPOOL / "rows.parquet"
        writer = BatchWriter(path)
        for batch in table.to_batches(max_chunksize=1 << 16):
            writer.write(parquet_source.conform(batch, schema))
        writer.close()
        self._reader, self._pieces = parquet_source.survey([Piece(str(path))], range_bytes=self._range_bytes)


def split_and_write(
    step: Source,
    context: Context,
    pieces: beam.PCollection,
    reader: Reader | beam.pvalue.AsSingleton,
    most_good: int | None = None,
    spooled: str | None = None,
) -> Mapping[str, beam.PCollection]:
    """Read ``pieces``, split their rows, write each split and finish the folder.

    Parameters
    ----------
    pieces
        Tuples of :class:`~fluent_pipe.arrow.files.Piece`.
    reader
        Reads them; a side input where it is known only when the job runs.
    most_good
        An upper bound of the rows that are not rejected.
    spooled
        A folder in staging that is not needed afterwards.

    Returns
    -------
    Mapping of str to PCollection
        Batches by split.
    """
    names, pipeline = step.split_names, pieces.pipeline
    by_pattern = isinstance(step, FileSource) and any(split for split, _ in step.patterns)
    splitter = None if by_pattern else Splitter(step.splits, step.partition_by)
    read = _Read(context, splitter, step.max_rejected, most_good)
    outputs = pieces | "Read and split" >> beam.ParDo(read, reader).with_outputs(*map(_tag, names), main="seen")
    live = {name: outputs[_tag(name)] for name in names}
    as_records = step.examples_format == "tfrecord"
    written = [
        live[name] | f"Write[{name}]" >> beam.ParDo(WriteSplit(context, name, as_records=as_records)) for name in names
    ]
    files = tuple(written) | "Files" >> beam.Flatten()
    shares = tuple((name, None) for name in names) if by_pattern else step.splits
    finish = Finish(context, shares, step.max_rejected, spooled, as_records)
    sides = (beam.pvalue.AsList(files), beam.pvalue.AsList(outputs["seen"]), reader)
    once(pipeline, "Finish", context, finish, *sides)
    return live


def check_partition(name: str | None, reader: Reader | None) -> None:
    """Raise ``InputError`` where the rows lack the column that decides the split."""
    names = reader.schema.names if reader is not None else []
    if name is not None and name not in names:
        raise InputError(f"partition_by names column {name!r}, which the rows do not have.", got=name, valid=names)


class _Read(beam.DoFn):  # type: ignore[misc]
    """Reads a piece: batches to the outputs of their splits, the account of the piece to the main one."""

    def __init__(
        self,
        context: Context,
        splitter: Splitter | None,
        max_rejected: float,
        most_good: int | None,
    ) -> None:
        super().__init__()
        self._context = context
        self._splitter = splitter
        self._max_rejected = max_rejected
        self._most_good = most_good

    def process(self, element: tuple[Any, ...], reader: Reader) -> Iterator[Any]:
        """Read one piece."""
        with self._context.explained():
            piece, rows = Piece(*element), 0
            rejected = RejectedWriter(self._context.folder)
            for batch, bad in _gather(reader.read(piece)):
                rejected.write(bad)
                self._give_up_early(rejected)
                if batch is None:
                    continue
                rows += batch.num_rows
                progress.report(self._context.step, rows=batch.num_rows)
                for split, part in self._split(batch, piece):
                    yield beam.pvalue.TaggedOutput(_tag(split), part)
            yield tuple(rejected.seen(rows))

    def _give_up_early(self, rejected: RejectedWriter) -> None:
        # A file that is not what it was taken for would take long to refuse row by row. Fewer rows are worth an
        # exact count.
        if self._most_good is not None and rejected.count >= _MANY:
            most = self._most_good + rejected.count
            check_rejected([rejected.seen(0)], most, self._max_rejected, at_most=True)

    def _split(self, batch: pa.RecordBatch, piece: Piece) -> Iterator[tuple[str, pa.RecordBatch]]:
        if self._splitter is None:
            yield piece.split, batch
        else:
            yield from self._splitter.split(batch)


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


def _tag(split: str) -> str:
    return f"split {split}"
