"""``filter`` and ``map``: rows between the source and the first step that looks at them; and Examples of the user's own."""

from __future__ import annotations

import json
import os
import pickle
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from fluent_pipe import progress
from fluent_pipe.arrow.hashing import hash_values
from fluent_pipe.arrow.parquet_source import conform, flat_schema
from fluent_pipe.artifacts import Examples
from fluent_pipe.components.base import Component, Context, Live, once
from fluent_pipe.components.inputs import ExamplesInput
from fluent_pipe.components.user_code import Carried
from fluent_pipe.components.write_examples import WriteSplit, Written, finish_splits
from fluent_pipe.errors import InputError, UserCodeError
from fluent_pipe.steps.own import Filter, Map, RowExpression

SCHEMA_FILE = ".schema"
# How Arrow and pandas say that there is no such column.
_NO_COLUMN = re.compile(r"""(?:Field "|Column )(.+?)"? does not exist|FieldRef\.Name\((.+?)\)|KeyError: '([^'"]+)'""")

Work = Callable[[pa.RecordBatch], pa.RecordBatch]
Seen = tuple[str, int]
"""Split, rows that came in."""


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
        rows = {split: self._examples.read(pipeline, split) for split in step.split_names}
        if isinstance(step.function, RowExpression):
            keep = _Keep(step.function.text)
            return _changed(pipeline, self.context, rows, _Filter(_Expression(step.function), keep), keep)
        carried = Carried(step.function)
        keep = _Keep(carried.name, carried.where)
        work: Work = _Filter(carried, keep) if isinstance(step, Filter) else _Map(carried, step.partition_by)
        return _changed(pipeline, self.context, rows, work, keep)


def publish_rows(
    pipeline: beam.Pipeline, context: Context, rows: Mapping[str, beam.PCollection], name: str, where: str
) -> Live:
    """Write the rows that a component of the user's own returned, as Examples; they flow on as they were written.

    Parameters
    ----------
    rows
        Record batches by split.
    name, where
        Of the component, for errors.
    """
    return _changed(pipeline, context, rows, _Returned(name, where), _Keep(name, where))


def describe_examples(folder: Path, splits: Sequence[str], name: str, where: str) -> None:
    """Write ``examples.json`` of rows that a component of the user's own wrote as Parquet files.

    Raises
    ------
    UserCodeError
        If a split has no rows, there are other splits, or files differ in their columns.
    """
    rows, schema = {}, None
    other = sorted({p.name for p in folder.glob("Split-*")} - {f"Split-{split}" for split in splits})
    if other:
        fix = f"The pipeline's splits are {', '.join(splits)}."
        raise UserCodeError(f"{name} left {other[0]}, of a split that is not there.", where=where, fix=fix)
    for split in splits:
        files = sorted((folder / f"Split-{split}").glob("*.parquet"))
        rows[split] = 0
        for file in files:
            relative = file.relative_to(folder).as_posix()
            try:
                with pq.ParquetFile(file) as opened:
                    found, count = opened.schema_arrow, opened.metadata.num_rows
                flat = _flat(found, name, where)
            except pa.ArrowInvalid as error:
                raise UserCodeError(f"{name} left {relative}, no Parquet file ({error}).", where=where) from error
            schema = schema or flat
            if flat != schema or flat != found.remove_metadata():
                fact = _difference(name, schema, flat if flat != schema else found.remove_metadata())
                raise UserCodeError(fact, where=where, fix="Write all files with the same flat columns.")
            rows[split] += count
        if not rows[split]:
            fix = f"Write them as Parquet files into `out / 'Split-{split}'`."
            raise UserCodeError(f"{name} left no rows of split {split!r}.", where=where, fix=fix)
    facts = {
        "splits": {split: {"rows": count} for split, count in rows.items()},
        "columns": {field.name: str(field.type) for field in schema or ()},
        "rejected": 0,
    }
    (folder / Examples.facts_file).write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")


@dataclass(frozen=True)
class _Keep:
    """Whose rows are written: names it in errors."""

    name: str
    where: str | None = None


def _changed(
    pipeline: beam.Pipeline, context: Context, rows: Mapping[str, beam.PCollection], work: Work, whose: _Keep
) -> Live:
    live, files, seen = {}, [], []
    for split, batches in rows.items():
        change = beam.ParDo(_Change(context, split, work, whose)).with_outputs("seen", main="rows")
        outputs = batches | f"Change[{split}]" >> change
        live[split] = outputs["rows"]
        seen.append(outputs["seen"])
        files.append(live[split] | f"Write[{split}]" >> beam.ParDo(WriteSplit(context, split)))
    finish = _Finish(context, tuple(rows), whose, isinstance(work, _Filter))
    sides = [tuple(part) | label >> beam.Flatten() for label, part in (("Files", files), ("Seen", seen))]
    once(pipeline, "Finish", context, finish, *map(beam.pvalue.AsList, sides))
    return live


class _Change(beam.DoFn):  # type: ignore[misc]
    """Batches through the work; tells at the bundle's end how many rows came in."""

    def __init__(self, context: Context, split: str, work: Work, whose: _Keep) -> None:
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
        seen: Seen = (self._split, self._seen)
        yield beam.pvalue.TaggedOutput("seen", WindowedValue(seen, MIN_TIMESTAMP, [GlobalWindow()]))

    def _agreed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch, of the columns that all workers' batches have."""
        name, where = self._whose.name, self._whose.where
        schema = _flat(batch.schema, name, where)
        if self._schema is None:
            self._schema = _first(self._context.folder, schema)
        if schema != self._schema:
            raise UserCodeError(
                _difference(name, self._schema, schema),
                where=where,
                fix="Give each column its type, whatever the values: pa.array(values, pa.float64()).",
            )
        return batch if batch.schema == schema else conform(batch, schema)


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
    whose: _Keep
    filters: bool

    def __call__(self, written: Iterable[Written], seen: Iterable[Seen]) -> Mapping[str, int]:
        parts, met = list(written), list(seen)
        rows = {split: sum(n for owner, _, n in parts if owner == split) for split in self.splits}
        came = {split: sum(n for owner, n in met if owner == split) for split in self.splits}
        for split in self.splits:
            if not rows[split]:
                fix = "Keep some rows of every split." if self.filters else "Return rows of every split."
                what = f"dropped all {came[split]:,} rows" if self.filters else "left no rows"
                raise UserCodeError(f"{self.whose.name} {what} of split {split!r}.", where=self.whose.where, fix=fix)
        schema = pa.ipc.read_schema(pa.py_buffer((self.context.folder / SCHEMA_FILE).read_bytes()))
        more = {"filtered": {split: came[split] - rows[split] for split in self.splits}} if self.filters else {}
        finish_splits(self.context.folder, rows, parts, schema, rejected=0, **more)
        return rows


class _Expression:
    """The truth values of an expression, by row."""

    def __init__(self, expression: RowExpression) -> None:
        self._expression = expression

    def __call__(self, batch: pa.RecordBatch) -> pa.ChunkedArray:
        return _truth(pickle.loads(self._expression.pickled), batch, self._expression.text, None)


class _Filter:
    """The rows of a batch whose truth value is true."""

    def __init__(self, keep: Callable[[pa.RecordBatch], Any], whose: _Keep) -> None:
        self._keep = keep
        self._whose = whose

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        mask = self._mask(batch)
        kept = pc.sum(mask).as_py() or 0
        return batch if kept == batch.num_rows else batch.filter(mask, null_selection_behavior="drop")

    def _mask(self, batch: pa.RecordBatch) -> pa.Array:
        name, where = self._whose.name, self._whose.where
        returned = _asked(self._keep, batch)
        if isinstance(returned, pc.Expression):
            returned = _truth(returned, batch, name, where)
        if isinstance(returned, pa.ChunkedArray):
            returned = returned.combine_chunks()
        if not isinstance(returned, pa.Array):
            returned = _array(returned, name, where)
        if not pa.types.is_boolean(returned.type):
            fix = "Return a truth value for each row, as an Arrow or numpy array of booleans."
            raise UserCodeError(f"{name} returned {returned.type} values.", where=where, fix=fix)
        if len(returned) != batch.num_rows:
            fact = f"{name} returned {len(returned):,} truth values for {batch.num_rows:,} rows."
            raise UserCodeError(fact, where=where, fix="Return one for each row, in their order.")
        return returned


class _Map:
    """A batch as the user's function returns it."""

    def __init__(self, function: Carried, partition_by: str | None) -> None:
        self._function = function
        self._partition_by = partition_by

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        name, where = self._function.name, self._function.where
        rows = _batch(_asked(self._function, batch), name, where)
        if rows.num_rows != batch.num_rows:
            raise UserCodeError(
                f"{name} returned {rows.num_rows:,} rows for {batch.num_rows:,}.",
                where=where,
                fix="A map keeps every row, in its place; filter() drops rows.",
            )
        self._check_partition(batch, rows)
        return rows

    def _check_partition(self, before: pa.RecordBatch, after: pa.RecordBatch) -> None:
        column = self._partition_by
        if column is None:
            return
        at = after.schema.get_all_field_indices(column)
        if len(at) > 1:
            return  # which is told with all other columns
        same = at and np.array_equal(
            hash_values(before.column(before.schema.get_field_index(column))), hash_values(after.column(at[0]))
        )
        if not same:
            raise UserCodeError(
                f"{self._function.name} {'changed' if at else 'dropped'} column {column!r}, which decides the split "
                "of a row (partition_by=).",
                where=self._function.where,
                fix=f"Leave {column!r} as it is, and put the result in another column.",
            )


class _Returned:
    """A batch that a component of the user's own made by Beam transforms."""

    def __init__(self, name: str, where: str) -> None:
        self._name = name
        self._where = where

    def __call__(self, batch: Any) -> pa.RecordBatch:
        return _batch(batch, self._name, self._where)


def _asked(function: Callable[[pa.RecordBatch], Any], batch: pa.RecordBatch) -> Any:
    """What the user's function returns; where it asked for a column that is not there, the error lists those that are."""
    try:
        return function(batch)
    except UserCodeError as error:
        asked = _NO_COLUMN.search(error.fact)
        name = next(filter(None, asked.groups()), None) if asked else None
        if name is not None and name not in batch.schema.names and not error.valid:
            error.got, error.valid = name, tuple(batch.schema.names)
        raise


def _batch(returned: Any, name: str, where: str) -> pa.RecordBatch:
    if isinstance(returned, pa.Table):
        parts = returned.combine_chunks().to_batches()
        return parts[0] if parts else pa.RecordBatch.from_pylist([], returned.schema)
    if isinstance(returned, pa.RecordBatch):
        return returned
    raise UserCodeError(
        f"{name} returned {'nothing' if returned is None else type(returned).__name__}.",
        where=where,
        fix="Return a pyarrow.RecordBatch: of a DataFrame, pa.RecordBatch.from_pandas(frame, preserve_index=False).",
    )


def _array(returned: Any, name: str, where: str | None) -> pa.Array:
    values = np.asarray(returned) if not isinstance(returned, (pa.RecordBatch, pa.Table)) else None
    if values is None or values.ndim != 1 or values.dtype == object:
        raise UserCodeError(
            f"{name} returned {'nothing' if returned is None else type(returned).__name__}.",
            where=where,
            fix="Return a truth value for each row, as an Arrow or numpy array of booleans.",
        )
    return pa.array(values)


def _truth(expression: pc.Expression, batch: pa.RecordBatch, name: str, where: str | None) -> pa.ChunkedArray:
    rows = ds.dataset(pa.Table.from_batches([batch]))
    try:
        return rows.to_table(columns={"keep": expression}).column("keep")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        text = str(error).partition("\n")[0]
        raise UserCodeError(f"{name} cannot be computed: {text}.", where=where) from error


def _flat(schema: pa.Schema, name: str, where: str | None) -> pa.Schema:
    try:
        return flat_schema(schema, None, None)
    except InputError as error:
        raise UserCodeError(f"{name}: {error.fact}", where=where, fix="Give flat columns, or lists of flat values.") from error


def _difference(name: str, first: pa.Schema, other: pa.Schema) -> str:
    """What is different between the columns of two batches, in words."""
    missing = [repr(n) for n in first.names if n not in other.names]
    more = [repr(n) for n in other.names if n not in first.names]
    both = [n for n in first.names if n in other.names]
    changed = [n for n in both if other.field(n) != first.field(n)]
    parts = [f"lacks {', '.join(missing)}"] if missing else []
    parts += [f"has also {', '.join(more)}"] if more else []
    parts += [f"has {n!r} as {other.field(n).type}, another as {first.field(n).type}" for n in changed]
    return f"{name} gives batches of different columns: one {' and '.join(parts) or 'has them in another order'}."
