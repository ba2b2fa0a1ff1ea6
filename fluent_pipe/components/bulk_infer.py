"""``bulk_infer``: predictions for many rows, written beside them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from fluent_pipe import progress
from fluent_pipe.arrow.csv import LONGEST_TEXT
from fluent_pipe.arrow.files import Piece, Rejected
from fluent_pipe.arrow.parquet import ROWS_PER_BATCH
from fluent_pipe.arrow.predictions import WRITERS, Writer, json_lines
from fluent_pipe.artifacts import Model, Predictions
from fluent_pipe.components.base import Component, Context, Live, once
from fluent_pipe.components.destination import appear
from fluent_pipe.components.inputs import ExamplesInput, Input, TransformGraphInput
from fluent_pipe.components.read_examples import RANGE_BYTES, Rows, tag
from fluent_pipe.components.trained_columns import TrainedColumns, check_names
from fluent_pipe.components.write_examples import (
    REJECTED,
    RejectedWriter,
    Seen,
    WriteFiles,
    Written,
    check_rejected,
    name_files,
)
from fluent_pipe.evaluation import reasons
from fluent_pipe.steps.delivery import BulkInfer as BulkInferStep
from fluent_pipe.steps.destinations import refusal
from fluent_pipe.steps.sources import FromCsv, FromMemory, FromParquet
from fluent_pipe.training.raw_inputs import ServedModel, columns_read
from fluent_pipe.training.scoring import OUTPUTS, Failed, Outputs, score

_ROWS = "rows"
_ACCOUNTS = "accounts"
_FILES = ".predictions"
_MANY = 100
"""Fewer failed rows are worth an exact count."""


Columns = tuple[tuple[str, str], ...]


class Account(NamedTuple):
    """What one bundle came to: failed rows, and the columns of the others with their types."""

    failed: Seen
    columns: Columns


class BulkInfer(Component):
    """Scores rows with a model, if no verdict on it is a refusal.

    What predicts is what would be pushed: the SavedModel, on raw rows, through its ``serving_raw`` signature. The
    folder of the predictions holds ``predictions-*``, ``rejected/*.jsonl`` for rows that could not be read or scored,
    and the same ``predictions.json`` as the artifact.

    Parameters
    ----------
    step, context
        What was asked for, and where to write.
    model, examples, graph
        The model, and what it was trained on.
    verdicts
        Blessings; a refusal is no error: ``predictions.json`` then says why nothing was scored.
    range_bytes
        Bytes of a plain file that one worker reads.
    """

    def __init__(
        self,
        step: BulkInferStep,
        context: Context,
        model: Input[Model],
        examples: ExamplesInput,
        graph: TransformGraphInput,
        verdicts: Sequence[Input[Any]] = (),
        *,
        range_bytes: int = RANGE_BYTES,
    ) -> None:
        super().__init__(context)
        self._step = step
        self._model = model
        self._examples = examples
        self._graph = graph
        self._refusals = [why for verdict in verdicts for why in _refusals(verdict.value.facts())]
        assert isinstance(step.source, FromCsv | FromParquet | FromMemory)
        self._rows = Rows(step.source, context, range_bytes=range_bytes)
        self._trained = TrainedColumns({}, ())
        self._keep: tuple[str, ...] = ()

    def prepare(self) -> None:
        """Look at the destination, the rows and the model, before any work.

        Raises
        ------
        StoreError
            If the destination holds other things, or cannot be written.
        InputError
            If the rows cannot be used: a column is missing or of another type, ``keep=`` names one that is not there.
        TrainingError
            If the model has no serving signature.
        """
        if self._refusals:
            return
        refused = refusal(Path(self._step.destination))
        if refused is not None:
            raise refused
        self._rows.look()
        self._trained = self._trained_columns()
        self._keep = check_names(self._step.keep, self._rows.schema.names, OUTPUTS)
        self._narrow()
        self._trained.check(self._rows.schema)

    def try_again(self) -> bool:
        """Look at all data for its exact types, where the first guess was too narrow."""
        return self._rows.look_again()

    def build(self, pipeline: beam.Pipeline) -> Live:
        """One element: the content of ``predictions.json``."""
        step, context = self._step, self.context
        if self._refusals:
            return {"": once(pipeline, "Refuse", context, _Refuse(context, step, tuple(self._refusals)))}
        kind = _writer(step.format)
        limit = Limit(step.source.max_rejected, self._rows.most_rows)
        facts = self._graph.value.facts()
        outputs = Outputs(facts.get("task"), tuple(facts["classes"]) if facts.get("classes") else None)
        predict = _Predict(context, str(self._model.value.serving), self._trained, self._keep, outputs, limit)
        read = self._rows.read(pipeline, _named, [_ROWS])
        scored = read[tag(_ROWS)] | "Predict" >> beam.ParDo(predict).with_outputs(_ACCOUNTS, main="scored")
        written = scored["scored"] | "Write" >> beam.ParDo(WriteFiles(context, "", _FILES, kind))
        sides = [beam.pvalue.AsList(c) for c in (written, read["seen"], scored[_ACCOUNTS])]
        return {"": once(pipeline, "Finish", context, _Finish(context, step, kind[1], outputs, limit), *sides)}

    def _trained_columns(self) -> TrainedColumns:
        examples = self._examples.value
        files = [file for split in examples.facts()["splits"] for file in examples.files(split)]
        types = {field.name: field.type for field in pq.read_schema(files[0])}
        read = columns_read(self._model.value.serving, types)
        label = self._graph.value.facts().get("label")
        optional = tuple(name for name in types if name != label)
        return TrainedColumns(types, optional if read is None else tuple(read), optional=read is None)

    def _narrow(self) -> None:
        """Read what is needed alone, and text by the trained types."""
        source, schema, trained = self._step.source, self._rows.schema, self._trained
        given = trained.given_types(schema, dict(source.types) if isinstance(source, FromCsv) else ())
        self._rows.narrow({*trained.read, *self._keep}, given, trained.guessed_types(schema))


def _refusals(verdict: dict[str, Any]) -> list[str]:
    """Why a model is not to be used; empty if it may be."""
    if verdict["blessed"]:
        return []
    why = [r if isinstance(r, str) else next(reasons.failures([r]), "") for r in verdict["reasons"]]
    return [w for w in why if w] or ["The model was not blessed."]


def _writer(form: str) -> tuple[Callable[[Path], Writer], str]:
    if form != "tfrecord":
        return WRITERS[form]
    from fluent_pipe.training.prediction_log import PredictionLogWriter

    return PredictionLogWriter, ".tfrecord.gz"


def _named(batch: pa.RecordBatch, piece: Piece) -> Iterator[tuple[str, Any]]:
    yield _ROWS, (piece.name, batch)


@dataclass(frozen=True)
class Limit:
    """How many rows may lie aside: a share, and no more rows than this are there, where that is known."""

    share: float
    most_rows: int | None

    def check_early(self, failed: Seen) -> None:
        """Raise ``InputError`` once the limit is passed whatever the other rows are."""
        if self.most_rows is not None and failed.rejected >= _MANY:
            check_rejected([failed], self.most_rows, self.share, at_most=True, done="scored")


class _Predict(beam.DoFn):  # type: ignore[misc]
    """Scores whole batches; failed rows go aside, their :class:`Account` to the output ``accounts``."""

    def __init__(
        self,
        context: Context,
        model: str,
        trained: TrainedColumns,
        keep: tuple[str, ...],
        outputs: Outputs,
        limit: Limit,
    ) -> None:
        super().__init__()
        self._context = context
        self._folder = model
        self._trained = trained
        self._keep = keep
        self._outputs = outputs
        self._limit = limit

    def setup(self) -> None:
        with self._context.explained():
            self._model = ServedModel(self._folder)

    def start_bundle(self) -> None:
        self._rejected = RejectedWriter(self._context.folder)
        self._columns: Columns = ()

    def process(self, element: tuple[str, pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Score a batch that was read from a file."""
        file, batch = element
        with self._context.explained():
            for begin in range(0, batch.num_rows, ROWS_PER_BATCH):
                progress.check()
                part = batch.slice(begin, ROWS_PER_BATCH)
                predictions, failed = score(self._predict, part, self._outputs)
                self._put_aside(file, part, failed)
                if predictions is not None:
                    yield self._beside(predictions, part, failed)

    def finish_bundle(self) -> Iterator[Any]:
        account = Account(self._rejected.seen(0), self._columns)
        yield beam.pvalue.TaggedOutput(_ACCOUNTS, WindowedValue(account, MIN_TIMESTAMP, [GlobalWindow()]))

    def _predict(self, batch: pa.RecordBatch) -> Any:
        return self._model.predict(self._trained.of(batch))

    def _put_aside(self, file: str, batch: pa.RecordBatch, failed: Sequence[Failed]) -> None:
        for row, why in failed:
            text = json_lines(batch.slice(row, 1)).decode().strip()[:LONGEST_TEXT]
            self._rejected.write([Rejected(file, 0, why, text)])
        if failed:
            self._limit.check_early(self._rejected.seen(0))

    def _beside(
        self, predictions: Mapping[str, pa.Array], batch: pa.RecordBatch, failed: Sequence[Failed]
    ) -> pa.RecordBatch:
        kept = pa.Table.from_batches([batch]).select(list(self._keep))
        if failed:
            good = np.ones(batch.num_rows, np.bool_)
            good[[row for row, _ in failed]] = False
            kept = kept.filter(pa.array(good))
        columns = [*(column.combine_chunks() for column in kept.columns), *predictions.values()]
        scored = pa.RecordBatch.from_arrays(columns, names=[*self._keep, *predictions])
        self._columns = tuple((field.name, str(field.type)) for field in scored.schema)
        return scored


@dataclass(frozen=True)
class _Refuse:
    """Says why nothing was scored."""

    context: Context
    step: BulkInferStep
    reasons: tuple[str, ...]

    def __call__(self) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "scored": False, "destination": None, "format": self.step.format, "files": [], "rows": 0, "failed": 0,
            "columns": {}, "classes": None, "reasons": list(self.reasons), "id": "",
        }  # fmt: skip
        (self.context.folder / Predictions.facts_file).write_text(json.dumps(facts, indent=1))
        return facts


@dataclass(frozen=True)
class _Finish:
    """The last step: checks counts, gives files their names, and lets the folder appear."""

    context: Context
    step: BulkInferStep
    ending: str
    outputs: Outputs
    limit: Limit

    def __call__(
        self, written: Iterable[Written], seen: Iterable[Seen], accounts: Iterable[Account]
    ) -> dict[str, Any]:
        """Finish the folder; the content of ``predictions.json``."""
        parts, pieces = list(written), [Seen(*piece) for piece in seen]
        done = [Account(Seen(*failed), columns) for failed, columns in accounts]
        rejected = [*pieces, *(account.failed for account in done)]
        scored, aside = sum(rows for *_, rows in parts), sum(piece.rejected for piece in rejected)
        check_rejected(rejected, scored + aside, self.limit.share, done="scored")
        staged = self.context.folder / _FILES
        staged.mkdir(exist_ok=True)
        files = name_files(staged, [name for _, name, _ in parts], "predictions", self.ending)
        if (self.context.folder / REJECTED).exists():
            name_files(self.context.folder / REJECTED, [p.file for p in rejected if p.file], "rows", ".jsonl")
            (self.context.folder / REJECTED).rename(staged / REJECTED)
        facts = {
            "scored": True,
            "destination": self.step.destination,
            "format": self.step.format,
            "files": files,
            "rows": scored,
            "failed": aside,
            "columns": next((dict(account.columns) for account in done if account.columns), {}),
            "classes": self.outputs.classes,
            "reasons": [],
            "id": secrets.token_hex(8),
        }
        text = json.dumps(facts, indent=1, ensure_ascii=False)
        (staged / Predictions.facts_file).write_text(text, encoding="utf-8")
        progress.check()
        appear(staged, Path(self.step.destination))
        (self.context.folder / Predictions.facts_file).write_text(text, encoding="utf-8")
        return facts
