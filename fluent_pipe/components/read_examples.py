"""Sources: files or rows in memory to typed, split examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import apache_beam as beam
import pyarrow as pa

from fluent_pipe.arrow.files import Piece
from fluent_pipe.arrow.splits import Splitter
from fluent_pipe.components.base import Component, Context, once
from fluent_pipe.components.read_rows import RANGE_BYTES, Readable, Reader, Route, Rows, tag
from fluent_pipe.components.write_examples import Finish, WriteSplit
from fluent_pipe.errors import InputError
from fluent_pipe.steps.sources import FileSource, Source


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

    def __init__(self, step: Readable, context: Context, *, range_bytes: int = RANGE_BYTES) -> None:
        super().__init__(context)
        self._step = step
        self._rows = Rows(step, context, range_bytes=range_bytes)

    def prepare(self) -> None:
        """Decide what to read; see :meth:`Rows.look`."""
        self._rows.look()
        check_partition(self._step.partition_by, self._rows.schema)

    def try_again(self) -> bool:
        """Look at all data for its exact types, where the first guess was too narrow."""
        return self._rows.look_again()

    def build(self, pipeline: beam.Pipeline) -> Mapping[str, beam.PCollection]:
        """Batches by split, flat columns, all of one schema."""
        assert self._rows.reader is not None, "prepare() comes first"
        outputs = self._rows.read(pipeline, route(self._step), self._step.split_names)
        return write_splits(self._step, self.context, outputs, self._rows.reader, self._rows.spooled)


def route(step: Source) -> Route:
    """Which split rows go to: that of their file, or by their content."""
    by_file = isinstance(step, FileSource) and any(split for split, _ in step.patterns)
    return _by_file if by_file else partial(_by_content, Splitter(step.splits, step.partition_by))


def write_splits(
    step: Source, context: Context, outputs: Any, reader: Reader | beam.pvalue.AsSingleton, spooled: str | None = None
) -> Mapping[str, beam.PCollection]:
    """Write the rows of each split, and finish the folder.

    Parameters
    ----------
    outputs
        What :func:`~fluent_pipe.components.read_rows.read_pieces` gave.
    reader
        What read them; a side input where it is known only when the job runs.
    spooled
        Name of a folder in staging that is not needed afterwards.

    Returns
    -------
    Mapping of str to PCollection
        Batches by split.
    """
    as_records = step.examples_format == "tfrecord"
    live = {name: outputs[tag(name)] for name in step.split_names}
    written = [
        batches | f"Write[{name}]" >> beam.ParDo(WriteSplit(context, name, as_records=as_records))
        for name, batches in live.items()
    ]
    files = tuple(written) | "Files" >> beam.Flatten()
    by_file = isinstance(step, FileSource) and any(split for split, _ in step.patterns)
    shares = tuple((name, None) for name in step.split_names) if by_file else step.splits
    finish = Finish(context, shares, step.max_rejected, spooled, as_records)
    sides = (beam.pvalue.AsList(files), beam.pvalue.AsList(outputs["seen"]), reader)
    once(outputs["seen"].pipeline, "Finish", context, finish, *sides)
    return live


def check_partition(name: str | None, schema: pa.Schema) -> None:
    """Raise ``InputError`` where the rows lack the column that decides the split."""
    names = schema.names
    if name is not None and name not in names:
        raise InputError(f"partition_by names column {name!r}, which the rows do not have.", got=name, valid=names)


def _by_file(batch: pa.RecordBatch, piece: Piece) -> Iterator[tuple[str, pa.RecordBatch]]:
    yield piece.split, batch


def _by_content(splitter: Splitter, batch: pa.RecordBatch, _: Piece) -> Iterator[tuple[str, pa.RecordBatch]]:
    yield from splitter.split(batch)
