"""``bulk_infer``: predictions for many rows, written beside them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import apache_beam as beam
import pyarrow as pa

from fluent_pipe import progress
from fluent_pipe.arrow.files import Piece
from fluent_pipe.arrow.opening import parquet_file
from fluent_pipe.arrow.predictions import WRITERS, Writer
from fluent_pipe.artifacts import Model, Predictions
from fluent_pipe.components import remote_destination
from fluent_pipe.components.base import Component, Context, Live, once
from fluent_pipe.components.destination import appear
from fluent_pipe.components.inputs import ExamplesInput, Input, TransformGraphInput
from fluent_pipe.components.predict import ACCOUNTS, Account, Limit, Predict
from fluent_pipe.components.read_rows import RANGE_BYTES, Readable, Rows, tag
from fluent_pipe.components.trained_columns import TrainedColumns, check_names
from fluent_pipe.components.verdicts import refusals
from fluent_pipe.components.write_examples import (
    REJECTED,
    Seen,
    WriteFiles,
    Written,
    by_content,
    check_rejected,
    name_files,
    name_rejected,
)
from fluent_pipe.remote import is_remote
from fluent_pipe.steps.delivery import BulkInfer as BulkInferStep
from fluent_pipe.steps.destinations import refusal
from fluent_pipe.steps.sources import FromCsv, FromMemory
from fluent_pipe.training.raw_inputs import columns_read
from fluent_pipe.training.scoring import OUTPUTS, Outputs

_ROWS = "rows"
_FILES = ".predictions"


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
        Blessings, and a person's; a refusal is no error: ``predictions.json`` then says why nothing was scored.
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
        self._refusals = refusals(verdict.value for verdict in verdicts)
        self._rows = Rows(cast("Readable", step.source), context, range_bytes=range_bytes)
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
        refused = refusal(self._step.destination)
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
        predict = Predict(context, self._model.value, self._trained, self._keep, outputs, limit)
        in_memory = isinstance(step.source, FromMemory)
        read = self._rows.read(pipeline, _from_memory if in_memory else _named, [_ROWS])
        scored = read[tag(_ROWS)] | "Predict" >> beam.ParDo(predict).with_outputs(ACCOUNTS, main="scored")
        written = scored["scored"] | "Write" >> beam.ParDo(WriteFiles(context, "", _FILES, kind))
        sides = [beam.pvalue.AsList(c) for c in (written, read["seen"], scored[ACCOUNTS])]
        return {"": once(pipeline, "Finish", context, _Finish(context, step, kind[1], outputs, limit), *sides)}

    def _trained_columns(self) -> TrainedColumns:
        examples = self._examples.value
        files = [file for split in examples.facts()["splits"] for file in examples.addresses(split)]
        with parquet_file(files[0]) as file:
            types = {field.name: field.type for field in file.schema_arrow}
        read = columns_read(self._model.value.serving, types)
        label = self._graph.value.facts().get("label")
        optional = tuple(name for name in types if name != label)
        return TrainedColumns(types, optional if read is None else tuple(read), optional=read is None)

    def _narrow(self) -> None:
        """Read what is needed alone, and text by the trained types."""
        source, schema, trained = self._step.source, self._rows.schema, self._trained
        given = trained.given_types(schema, dict(source.types) if isinstance(source, FromCsv) else ())
        self._rows.narrow({*trained.read, *self._keep}, given, trained.guessed_types(schema))


def _writer(form: str) -> tuple[Callable[[Path], Writer], str]:
    if form != "tfrecord":
        return WRITERS[form]
    from fluent_pipe.training.prediction_log import PredictionLogWriter

    return PredictionLogWriter, ".tfrecord.gz"


def _named(batch: pa.RecordBatch, piece: Piece) -> Iterator[tuple[str, Any]]:
    yield _ROWS, (piece.name, batch)


def _from_memory(batch: pa.RecordBatch, _: Piece) -> Iterator[tuple[str, Any]]:
    yield _ROWS, ("the rows in memory", batch)


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

    def __call__(self, written: Iterable[Written], seen: Iterable[Seen], accounts: Iterable[Account]) -> dict[str, Any]:
        """Finish the folder; the content of ``predictions.json``."""
        parts, pieces = [Written(*part) for part in written], [Seen(*piece) for piece in seen]
        done = [Account(Seen(*failed), columns) for failed, columns in accounts]
        rejected = [*pieces, *(account.failed for account in done)]
        scored, aside = sum(part.rows for part in parts), sum(piece.rejected for piece in rejected)
        check_rejected(rejected, scored + aside, self.limit.share, done="scored")
        staged, names = self.context.staged, by_content((part.digest, part.file) for part in parts)
        files = name_files(staged, _FILES, names, "predictions", self.ending)
        name_rejected(staged, rejected, into=f"{_FILES}/{REJECTED}")
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
        progress.check()
        if is_remote(self.step.destination):
            self._copy(files, text)
        else:
            folder = self.context.folder / _FILES
            folder.mkdir(exist_ok=True)
            (folder / Predictions.facts_file).write_text(text, encoding="utf-8")
            appear(folder, Path(self.step.destination))
        (self.context.folder / Predictions.facts_file).write_text(text, encoding="utf-8")
        return facts

    def _copy(self, files: Sequence[str], text: str) -> None:
        staged = self.context.staged
        rejected = [f"{REJECTED}/{name}" for name in staged.names(f"{_FILES}/{REJECTED}")]
        names = {f"{_FILES}/{name}": name for name in (*files, *rejected)}
        remote_destination.appear(self.context.staging, names, text.encode(), self.step.destination)
        staged.remove_folder(_FILES)
