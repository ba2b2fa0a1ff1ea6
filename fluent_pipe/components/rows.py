"""``filter`` and ``map``: rows between the source and the first step that looks at them; Examples of the user's own."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from fluent_pipe import progress
from fluent_pipe.arrow.parquet_source import conform
from fluent_pipe.components.base import Component, Context, Live, once
from fluent_pipe.components.inputs import ExamplesInput
from fluent_pipe.components.row_functions import (
    Expression,
    Returned,
    RowFilter,
    RowMap,
    Whose,
    Work,
    difference,
    flat_columns,
)
from fluent_pipe.components.user_code import Carried
from fluent_pipe.components.write_examples import WriteSplit, Written, finish_splits
from fluent_pipe.errors import UserCodeError
from fluent_pipe.steps.own import Filter, Map, RowExpression

SCHEMA_FILE = ".schema"


class Seen(NamedTuple):
    """What a bundle saw: its split, rows that came in, and the schema of those that went out, if there were any."""

    split: str
    rows: int
    schema: pa.Schema | None


class ChangeRows(Component):
    """Filters or maps the batches of every split; leaves Examples, and flows on.

    Parameters
    ----------
    step, context
        What was asked for, and where to write.
    examples
        The rows.

    Raises
    ------
    UserCodeError
        While the job runs, if the function raises, returns what it should not, or leaves a split without rows.
    """

    def __init__(self, step: Filter | Map, context: Context, examples: ExamplesInput) -> None:
        super().__init__(context)
        self._step = step
        self._examples = examples

    def prepare(self) -> None:
        """Import a function that was given by name."""
        if not isinstance(self._step.function, RowExpression):
            self._step.function.resolve()

    def build(self, pipeline: beam.Pipeline) -> Live:
        """Batches by split."""
        step = self._step
        progress.expect(self.context.step, self._examples.row_count(step.split_names))
        rows = {split: self._examples.read(pipeline, split) for split in step.split_names}
        if isinstance(step.function, RowExpression):
            whose = Whose(step.function.text)
            return _changed(pipeline, self.context, rows, RowFilter(Expression(step.function), whose), whose)
        carried = Carried(step.function)
        whose = Whose(carried.name, carried.where)
        work: Work = RowFilter(carried, whose) if isinstance(step, Filter) else RowMap(carried, step.partition_by)
        return _changed(pipeline, self.context, rows, work, whose)


def publish_rows(pipeline: beam.Pipeline, context: Context, rows: Mapping[str, beam.PCollection], whose: Whose) -> Live:
    """Write the rows that a component of the user's own returned, as Examples; they flow on as they were written.

    Parameters
    ----------
    rows
        Record batches by split.
    whose
        The component.
    """
    return _changed(pipeline, context, rows, Returned(whose), whose)


def _changed(
    pipeline: beam.Pipeline, context: Context, rows: Mapping[str, beam.PCollection], work: Work, whose: Whose
) -> Live:
    live, files, seen = {}, [], []
    for split, batches in rows.items():
        change = beam.ParDo(_Change(context, split, work, whose)).with_outputs("seen", main="rows")
        outputs = batches | f"Change[{split}]" >> change
        live[split] = outputs["rows"]
        seen.append(outputs["seen"])
        files.append(live[split] | f"Write[{split}]" >> beam.ParDo(WriteSplit(context, split)))
    finish = _Finish(context, tuple(rows), whose, isinstance(work, RowFilter))
    sides = [tuple(part) | label >> beam.Flatten() for label, part in (("Files", files), ("Seen", seen))]
    once(pipeline, "Finish", context, finish, *map(beam.pvalue.AsList, sides))
    return live


class _Change(beam.DoFn):  # type: ignore[misc]
    """Batches through the work; tells at the bundle's end how many rows came in."""

    def __init__(self, context: Context, split: str, work: Work, whose: Whose) -> None:
        super().__init__()
        self._context = context
        self._split = split
        self._work = work
        self._whose = whose
        self._schema: pa.Schema | None = None
        self._seen = 0

    def start_bundle(self) -> None:
        self._seen = 0

    def process(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """One batch; nothing comes of one whose rows are all dropped."""
        with self._context.explained():
            rows = self._work(batch)
            if rows.num_rows:
                rows = self._agreed(rows)
                yield rows
            self._seen += batch.num_rows
            progress.report(self._context.step, rows=batch.num_rows)

    def finish_bundle(self) -> Iterator[beam.pvalue.TaggedOutput]:
        seen = Seen(self._split, self._seen, self._schema)
        yield beam.pvalue.TaggedOutput("seen", WindowedValue(seen, MIN_TIMESTAMP, [GlobalWindow()]))

    def _agreed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch, of the columns that all workers' batches have."""
        schema = flat_columns(batch.schema, self._whose)
        if self._schema is None:
            # Where no file can be linked, the last step compares what the workers saw.
            self._schema = schema if self._context.is_remote else _first(self._context.folder, schema)
        _check_same(self._whose, self._schema, schema)
        return batch if batch.schema == schema else conform(batch, schema)


def _check_same(whose: Whose, first: pa.Schema, schema: pa.Schema) -> None:
    """Raise ``UserCodeError`` where batches differ in their columns."""
    if schema != first:
        raise UserCodeError(
            difference(whose, first, schema),
            where=whose.where,
            fix="Give each column its type, whatever the values: pa.array(values, pa.float64()).",
        )


def _first(folder: Path, schema: pa.Schema) -> pa.Schema:
    """The schema of the batch that was the first, on whatever worker: whoever links the file first decides."""
    kept = folder / SCHEMA_FILE
    if not kept.exists():
        own = folder / f"{SCHEMA_FILE}-{uuid.uuid4().hex}"
        own.write_bytes(schema.serialize())
        with suppress(FileExistsError):
            os.link(own, kept)
        own.unlink()
    return pa.ipc.read_schema(pa.py_buffer(kept.read_bytes()))


@dataclass(frozen=True)
class _Finish:
    """The last step: no split may be empty; files get their names, and the facts are written."""

    context: Context
    splits: tuple[str, ...]
    whose: Whose
    filters: bool

    def __call__(self, written: Iterable[Written], seen: Iterable[Seen]) -> Mapping[str, int]:
        parts, met = [Written(*part) for part in written], [Seen(*one) for one in seen]
        rows = {split: sum(part.rows for part in parts if part.split == split) for split in self.splits}
        came = {split: sum(one.rows for one in met if one.split == split) for split in self.splits}
        for split in self.splits:
            if not rows[split]:
                fix = "Keep some rows of every split." if self.filters else "Return rows of every split."
                what = f"dropped all {came[split]:,} rows" if self.filters else "left no rows"
                raise UserCodeError(f"{self.whose.name} {what} of split {split!r}.", where=self.whose.where, fix=fix)
        first, *others = (one.schema for one in met if one.schema is not None)
        for schema in others:
            _check_same(self.whose, first, schema)
        more = {"filtered": {split: came[split] - rows[split] for split in self.splits}} if self.filters else {}
        finish_splits(self.context, rows, parts, first, {"rejected": 0, **more})
        return rows
