"""Raw batches to judged batches: predictions of the exported models beside label, weight and slice columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fluent_pipe import progress
from fluent_pipe.arrow.arrays import Values
from fluent_pipe.arrow.tfx import plain
from fluent_pipe.artifacts import Folder, TransformGraph, address_of
from fluent_pipe.errors import EvaluationError
from fluent_pipe.evaluation.config import BASELINE, CANDIDATE, Plan
from fluent_pipe.evaluation.cuts import slice_values
from fluent_pipe.evaluation.extracts import judged
from fluent_pipe.evaluation.transformed import TransformedColumns

COUNTS = "counts"

Mask: TypeAlias = npt.NDArray[np.bool_]


class Execution(Protocol):
    """Whose work this is, for progress and failures."""

    @property
    def step(self) -> str:
        """Id of the step."""

    def explained(self) -> AbstractContextManager[None]:
        """Keeps an error that is raised inside for the driver."""


class Served(Protocol):
    """A loaded SavedModel."""

    def predict(self, batch: pa.RecordBatch) -> Values:
        """Predictions for raw rows: shape [rows, ...]."""


@dataclass(frozen=True)
class Counts:
    """What was seen in one batch: rows, and rows that cannot be judged by reason."""

    rows: int
    unusable: tuple[tuple[str, int], ...]


class Judge(beam.DoFn):  # type: ignore[misc]
    """Judges whole batches; a :class:`Counts` a batch goes to the output ``COUNTS``.

    Rows that cannot be judged (NaN) are left out, so that all of them can be counted before the evaluation fails.

    Parameters
    ----------
    plan
        What is computed.
    context
        For progress and failures.
    graph
        The ``TransformGraph`` artifact.
    models
        Model artifacts, or their folders, by model name.
    load
        Loads the SavedModel of one.
    raw_columns
        Columns of the input; a slice column among them is taken from there, any other from the transformed features.
    """

    def __init__(
        self,
        plan: Plan,
        context: Execution,
        *,
        graph: TransformGraph,
        models: Mapping[str, Folder],
        load: Callable[[Folder], Served],
        raw_columns: tuple[str, ...],
    ) -> None:
        self._plan = plan
        self._context = context
        self._graph = graph
        self._models = models
        self._load = load
        wanted = plan.slice_columns()
        self._raw = list(raw_columns) if plan.needs_features else [c for c in wanted if c in raw_columns]
        self._transformed = [c for c in wanted if c not in raw_columns]

    def setup(self) -> None:
        with self._context.explained():
            wanted = [self._plan.label, *([self._plan.weight] if self._plan.weight else []), *self._transformed]
            self._columns = TransformedColumns(str(self._graph.path), list(dict.fromkeys(wanted)))
            self._served = {name: self._load(model) for name, model in self._models.items()}

    def process(self, batch: pa.RecordBatch) -> Iterator[Any]:
        with self._context.explained():
            if batch.num_rows:
                progress.report(self._context.step, rows=batch.num_rows)
                yield from self._judge(batch)

    def _judge(self, batch: pa.RecordBatch) -> Iterator[Any]:
        features = self._columns.of(batch)
        label = _numbers(features[self._plan.label], self._plan.label)
        weight = _numbers(features[self._plan.weight], self._plan.weight) if self._plan.weight else None
        predictions = {name: self._predict(name, batch) for name in self._served}
        checked = {"label": label, **{f"{_WHOSE[n]} prediction": p for n, p in predictions.items()}}
        if weight is not None:
            checked["weight"] = weight
        unusable = {what: _not_finite(v) for what, v in checked.items()}
        yield beam.pvalue.TaggedOutput(
            COUNTS, Counts(batch.num_rows, tuple((what, int(mask.sum())) for what, mask in unusable.items()))
        )
        slices = {c: batch.column(batch.schema.get_field_index(c)) for c in self._raw}
        slices |= {c: features[c] for c in self._transformed}
        if self._plan.search is not None:
            # Few values each: as codes they are small, since the runner keeps these rows until the search has ended.
            found = slice_values(batch, self._plan.search.cuts)
            slices |= {c: plain(v).dictionary_encode() for c, v in found.items() if c not in slices}
        usable: Mask = ~np.any(list(unusable.values()), axis=0)
        if usable.all():
            yield judged(label, weight, predictions, slices)
        elif usable.any():
            kept = {name: pc.filter(column, pa.array(usable)) for name, column in slices.items()}
            kept_weight = None if weight is None else weight[usable]
            yield judged(label[usable], kept_weight, {n: p[usable] for n, p in predictions.items()}, kept)

    def _predict(self, name: str, batch: pa.RecordBatch) -> Values:
        try:
            answer = np.asarray(self._served[name].predict(batch))
        except Exception as error:
            if name == BASELINE:
                raise EvaluationError(
                    f"The earlier model cannot predict on these rows: {type(error).__name__}: {error}",
                    where=address_of(self._models[name]),
                    fix="To judge without it, call evaluate(..., baseline=None).",
                ) from error
            raise
        return shaped(
            answer, task=self._plan.task, rows=batch.num_rows, classes=self._plan.class_count, model=_WHOSE[name]
        )


_WHOSE = {CANDIDATE: "model's", BASELINE: "earlier model's"}


def shaped(answer: Values, *, task: str, rows: int, model: str, classes: int | None = None) -> Values:
    """Predictions in the shape that the task has: [rows], or [rows, classes] for multi-class.

    Two columns for a binary label are taken as the shares of both classes.

    Raises
    ------
    EvaluationError
        If the shape is another, or a probability lies outside of 0 to 1.
    """
    flat = answer.reshape(rows, -1) if answer.size % max(rows, 1) == 0 else answer
    width = flat.shape[-1] if flat.shape[:1] == (rows,) else 0
    if task == "multiclass":
        fits, needed = width == (classes or max(width, 2)), f"[rows, {classes or 'classes'}]"
    else:
        fits, needed = width == 1 or (task == "binary" and width == 2), "[rows, 1]"
    if not fits:
        raise EvaluationError(
            f"The {model} predictions have shape {list(answer.shape)} for {rows} rows; a {task} label needs {needed}.",
            fix="Give the model an output layer of that width.",
        )
    if task != "regression" and (np.nanmin(flat, initial=0.0) < -1e-6 or np.nanmax(flat, initial=1.0) > 1 + 1e-6):
        raise EvaluationError(
            f"The {model} predictions lie between {np.nanmin(flat):.4g} and {np.nanmax(flat):.4g}; "
            f"a {task} label needs probabilities.",
            fix=f"End the model with a {'softmax' if task == 'multiclass' else 'sigmoid'} activation.",
        )
    return flat if task == "multiclass" else flat[:, -1]


def _not_finite(values: Values) -> Mask:
    finite: Mask = np.isfinite(values.astype(np.float64)).reshape(len(values), -1).all(axis=1)
    return ~finite


def _numbers(column: pa.Array, name: str) -> Values:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise EvaluationError(
            f"Transformed feature {name!r} has type {column.type}; one number a row is needed to evaluate.",
            fix="Let the preprocessing function return it as a number.",
        )
    values: Values = column.to_numpy(zero_copy_only=False)
    return values


def check(counts: list[Counts], *, split: str) -> None:
    """Fail when nothing could be judged, or something not.

    Raises
    ------
    EvaluationError
        With the number of rows.
    """
    rows = sum(c.rows for c in counts)
    if rows == 0:
        raise EvaluationError(f"Split {split!r} has no rows to evaluate on.")
    unusable: dict[str, int] = {}
    for what, number in (pair for c in counts for pair in c.unusable):
        unusable[what] = unusable.get(what, 0) + number
    for what, number in unusable.items():
        if number:
            raise EvaluationError(
                f"The {what} is not a number (NaN or infinite) in {number} of {rows} rows of split {split!r}.",
                fix="Look for missing or huge values in the features, or for a training that diverged.",
            )
