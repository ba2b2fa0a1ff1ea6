"""Rows of a Beam transform of the user's to typed, split examples."""

from __future__ import annotations

import re
import sysconfig
import traceback
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from fluent_pipe import progress
from fluent_pipe.arrow.files import Piece
from fluent_pipe.arrow.parquet import ROWS_PER_BATCH, BatchWriter
from fluent_pipe.arrow.parquet_source import ParquetReader
from fluent_pipe.arrow.rows import in_order, to_batch, unify
from fluent_pipe.components.base import Component, Context, Live, once
from fluent_pipe.components.read_examples import check_partition, route, write_splits
from fluent_pipe.components.read_rows import SPOOL, read_pieces
from fluent_pipe.components.write_examples import ROWS_PER_FILE
from fluent_pipe.errors import FluentPipeError, InputError, UserCodeError
from fluent_pipe.steps.sources import FromBeam

ROWS = "Rows"
"""Label of the user's transform in the job."""


class ReadBeam(Component):
    """Applies the user's transform; leaves :class:`~fluent_pipe.artifacts.Examples`.

    Types are known when all rows are. So the rows are written as Parquet files first, each of its own types, and read
    from there: the user's transform runs once.

    Parameters
    ----------
    step
        What to read.
    context
        Where to write.
    """

    def __init__(self, step: FromBeam, context: Context) -> None:
        super().__init__(context)
        self._step = step

    def build(self, pipeline: beam.Pipeline) -> Live:
        """Batches by split, flat columns, all of one schema.

        Raises
        ------
        UserCodeError
            If the transform cannot be applied, or gives what is no bounded ``PCollection``.
        """
        context = self.context
        rows = self._rows(pipeline) | "One window" >> beam.WindowInto(GlobalWindows())
        parts = rows | "Spool" >> beam.ParDo(_Spool(context))
        types = _Types(repr(self._step.rows), self._step.partition_by)
        reader = once(pipeline, "Types", context, types, beam.pvalue.AsList(parts))
        pieces = parts | "Pieces" >> beam.Map(_piece) | "Share" >> beam.Reshuffle()
        step, side = self._step, beam.pvalue.AsSingleton(reader)
        outputs = read_pieces(pieces, side, route(step), step.split_names, context, step.max_rejected)
        return write_splits(step, context, outputs, side, SPOOL)

    def explain(self, error: Exception) -> FluentPipeError | None:
        """What the user's own transform raised on a worker."""
        text = str(error)
        running = re.search(rf"while running '{re.escape(self.context.step)}/{ROWS}[/:]?(.*?)'", text)
        if running is None:
            return None
        lines = [line.strip() for line in text.partition("[while running")[0].strip().splitlines() if line.strip()]
        said = lines[-1] if lines else "no reason was given"
        kind = type(error).__name__
        return UserCodeError(
            f"The transform failed: {said if 'Traceback' in text else f'{kind}: {said}'}",
            where=_user_line(error) or running[1].partition("-ptransform-")[0] or None,
            step=self.context.step,
        )

    def _rows(self, pipeline: beam.Pipeline) -> beam.PCollection:
        transform = self._step.rows.transform
        name = type(transform).__name__
        try:
            rows = beam.pvalue.PBegin(pipeline) | ROWS >> transform  # which may have been in a job before
            if isinstance(rows, beam.PCollection):
                _ = rows.windowing  # what takes rows, not the pipeline, is found out only here
        except Exception as error:  # the user's expand(), or pickling what it holds
            raise UserCodeError(
                f"{name} cannot be applied: {type(error).__name__}: {error}",
                fix="Its first part must read, as beam.Create() does, and all that it holds must pickle.",
            ) from error
        if not isinstance(rows, beam.PCollection):
            raise UserCodeError(f"{name} gives {_a(rows)}, not one PCollection.", fix="Choose one of its outputs.")
        if not rows.is_bounded:
            raise UserCodeError(f"{name} gives rows without an end.", fix="Read a bounded source.")
        return rows


Part = tuple[str, pa.Schema]
"""Where a spooled file lies, and its schema."""


class _Spool(beam.DoFn):  # type: ignore[misc]
    """Writes rows to files, those of equal types to one; emits a :data:`Part` for each."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._waiting: list[Any] = []
        self._writers: dict[pa.Schema, BatchWriter] = {}
        self._full: list[Part] = []

    def start_bundle(self) -> None:
        self._waiting, self._writers, self._full = [], {}, []

    def process(self, row: Any) -> Iterable[Part]:
        """Take a row, or a batch of them; what was written is told at the bundle's end."""
        if isinstance(row, (pa.RecordBatch, pa.Table)):
            with self._context.explained():
                for batch in row.to_batches() if isinstance(row, pa.Table) else (row,):
                    self._write(in_order(batch))
            return ()
        self._waiting.append(row)
        if len(self._waiting) == ROWS_PER_BATCH:
            self._flush()
        return ()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        self._flush()
        with self._context.explained():
            for schema in list(self._writers):
                self._end(schema)
        for part in self._full:
            yield WindowedValue(part, MIN_TIMESTAMP, [GlobalWindow()])

    def _flush(self) -> None:
        with self._context.explained():
            if self._waiting:
                self._write(to_batch(self._waiting))
            self._waiting = []

    def _write(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        progress.report(self._context.step, detail="rows of the transform")
        if batch.schema not in self._writers:
            path = self._context.folder / SPOOL / f"part-{uuid.uuid4().hex}.parquet"
            self._writers[batch.schema] = BatchWriter(path)
        self._writers[batch.schema].write(batch)
        if self._writers[batch.schema].rows >= ROWS_PER_FILE:
            self._end(batch.schema)

    def _end(self, schema: pa.Schema) -> None:
        writer = self._writers.pop(schema)
        writer.close()
        self._full.append((self._context.deliver(writer.path), schema))


@dataclass(frozen=True)
class _Types:
    """One reader for all parts."""

    transform: str
    partition_by: str | None

    def __call__(self, parts: Sequence[Part]) -> ParquetReader:
        if not parts:
            raise InputError("The transform gives no row.", where=self.transform)
        reader = ParquetReader(unify({schema for _, schema in parts}))
        check_partition(self.partition_by, reader.schema)
        return reader


def _piece(part: Part) -> tuple[Any, ...]:
    return tuple(Piece(part[0]))


def _user_line(error: Exception) -> str | None:
    """The last line outside of installed packages: of the traceback, or of the text of one from a remote worker."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    frames += re.findall(r'File "([^"]+)", line (\d+)', str(error))
    own = [f"{file}:{line}" for file, line in frames if not _is_installed(file)]
    return own[-1] if own else None


def _is_installed(file: str) -> bool:
    own_package = str(Path(__file__).parents[1])
    return file.startswith(("<", own_package, *(sysconfig.get_paths()[k] for k in ("purelib", "platlib", "stdlib"))))


def _a(value: Any) -> str:
    kind = type(value).__name__
    return f"an {kind}" if kind[0] in "aeiouAEIOU" else f"a {kind}"
