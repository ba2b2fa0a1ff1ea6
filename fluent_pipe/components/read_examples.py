"""Sources: files or rows in memory to typed, split examples. What travels through Beam is names and counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa

from fluent_pipe import progress
from fluent_pipe.arrow import csv_survey, parquet_source
from fluent_pipe.arrow.csv import CsvFormat, CsvReader, TypesTooNarrow
from fluent_pipe.arrow.csv_blocks import Dialect
from fluent_pipe.arrow.files import Piece, Rejected, list_pieces, text_bytes
from fluent_pipe.arrow.memory import to_table
from fluent_pipe.arrow.parquet import BatchWriter
from fluent_pipe.arrow.parquet_source import ParquetReader
from fluent_pipe.arrow.splits import Splitter
from fluent_pipe.components.base import Component, Context, once
from fluent_pipe.components.write_examples import Finish, RejectedWriter, WriteSplit, check_rejected
from fluent_pipe.errors import InputError
from fluent_pipe.steps.sources import FileSource, FromCsv, FromMemory, FromParquet

RANGE_BYTES = 64 << 20
"""A plain file larger than this is read by several workers."""

_SPOOL = ".memory"
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
        self, step: FromCsv | FromParquet | FromMemory, context: Context, *, range_bytes: int = RANGE_BYTES
    ) -> None:
        super().__init__(context)
        self._step = step
        self._range_bytes = range_bytes
        self._reader: CsvReader | ParquetReader | None = None
        self._pieces: list[Piece] = []
        self._exact = False
        self._bytes = 0

    def prepare(self) -> None:
        """List the files, decide columns and types; rows in memory are written where workers read them.

        Raises
        ------
        InputError
            If the input cannot be used: see :mod:`fluent_pipe.arrow.csv_survey` and
            :mod:`fluent_pipe.arrow.parquet_source`.
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
            else:
                self._reader, self._pieces = parquet_source.survey(files, step.columns, range_bytes=self._range_bytes)
        self._check_partition()

    def try_again(self) -> bool:
        """Look at all data for its exact types, where the first guess was too narrow."""
        if self._exact or not isinstance(self._reader, CsvReader):
            return False
        if not isinstance(self.context.kept_failure(), TypesTooNarrow):
            return False
        self._reader, self._exact = csv_survey.scan(self._reader, self._pieces), True
        return True

    def build(self, pipeline: beam.Pipeline) -> Mapping[str, beam.PCollection]:
        """Batches by split, flat columns, all of one schema."""
        assert self._reader is not None, "prepare() comes first"
        step, context = self._step, self.context
        names = step.split_names
        by_pattern = isinstance(step, FileSource) and any(split for split, _ in step.patterns)
        splitter = None if by_pattern else Splitter(step.splits, step.partition_by)
        # A good row takes a byte a column at least: its delimiters and its line end.
        most_good = self._bytes // len(self._reader.schema) if isinstance(self._reader, CsvReader) else None
        read = _Read(context, self._reader, splitter, step.max_rejected, most_good)
        outputs = (
            pipeline
            | "Pieces" >> beam.Create([tuple(piece) for piece in self._pieces], reshuffle=True)
            | "Read and split" >> beam.ParDo(read).with_outputs(*map(_tag, names), main="seen")
        )
        live = {name: outputs[_tag(name)] for name in names}
        written = [live[name] | f"Write[{name}]" >> beam.ParDo(WriteSplit(context, name)) for name in names]
        files = tuple(written) | "Files" >> beam.Flatten()
        shares = tuple((name, None) for name in names) if by_pattern else step.splits
        spooled = str(context.folder / _SPOOL) if isinstance(step, FromMemory) else None
        finish = Finish(context, shares, self._reader.schema, step.max_rejected, spooled)
        once(pipeline, "Finish", context, finish, beam.pvalue.AsList(files), beam.pvalue.AsList(outputs["seen"]))
        return live

    def _check_partition(self) -> None:
        name = self._step.partition_by
        names = self._reader.schema.names if self._reader is not None else []
        if name is not None and name not in names:
            raise InputError(
                f"partition_by names column {name!r}, which the rows do not have.", got=name, valid=names
            )

    def _spool(self, table: pa.Table) -> None:
        if table.num_rows == 0:
            raise InputError("There are columns and no row.", where=repr(self._step.id))
        schema = parquet_source.flat_schema(table.schema, None, "the rows in memory")
        path = self.context.folder / _SPOOL / "rows.parquet"
        writer = BatchWriter(path)
        for batch in table.to_batches(max_chunksize=1 << 16):
            writer.write(parquet_source.conform(batch, schema))
        writer.close()
        self._reader, self._pieces = parquet_source.survey([Piece(str(path))], range_bytes=self._range_bytes)


class _Read(beam.DoFn):  # type: ignore[misc]
    """Reads a piece: batches to the outputs of their splits, the account of the piece to the main one."""

    def __init__(
        self,
        context: Context,
        reader: CsvReader | ParquetReader,
        splitter: Splitter | None,
        max_rejected: float,
        most_good: int | None,
    ) -> None:
        super().__init__()
        self._context = context
        self._reader = reader
        self._splitter = splitter
        self._max_rejected = max_rejected
        self._most_good = most_good

    def process(self, element: tuple[Any, ...]) -> Iterator[Any]:
        """Read one piece."""
        with self._context.explained():
            piece, rows = Piece(*element), 0
            rejected = RejectedWriter(self._context.folder)
            for batch, bad in _gather(self._reader.read(piece)):
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
