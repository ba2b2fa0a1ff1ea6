"""``train``: a Keras model is fitted to the transformed rows and exported for serving."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import keras

from fluent_pipe import progress
from fluent_pipe.artifacts import BaseModel, Examples, Schema, TransformGraph
from fluent_pipe.components.base import Component, Context, Live, once
from fluent_pipe.components.inputs import ExamplesInput, SchemaInput, TransformGraphInput
from fluent_pipe.errors import ArgumentError, TrainingError
from fluent_pipe.steps.model import Train as TrainStep
from fluent_pipe.steps.tuning import Tune as TuneStep
from fluent_pipe.training import vocabularies
from fluent_pipe.training.data import TrainingData
from fluent_pipe.training.export import export_model
from fluent_pipe.training.fit import Fitting, fit, quiet_tensorflow
from fluent_pipe.training.hyperparameters import build_with, read
from fluent_pipe.training.run_fn import call_run_fn, fn_args
from fluent_pipe.training.user_model import features_used
from fluent_pipe.training.warm_start import Beginning, warm_start


class Train(Component):
    """Trains one model, on one worker.

    Leaves ``Format-Serving/`` (see :mod:`fluent_pipe.training.export`), ``model.keras``, ``logs/`` for TensorBoard
    and ``training.json``: ``{"history", "epochs", "seconds", "export_seconds", "parameters", "hyperparameters",
    "features", "warm_start"}``. With a ``run_fn`` the model is what that saves, and ``training.json`` has no history.

    Parameters
    ----------
    step, context
        What was asked for, and where to write.
    graph
        Gives the transformed rows.
    examples
        Its column types tell which raw columns hold many values.
    schema
        For ``run_fn``.
    begin
        The base model, and the earlier model that a warm start takes weights from.
    """

    def __init__(
        self,
        step: TrainStep,
        context: Context,
        graph: TransformGraphInput,
        examples: ExamplesInput,
        schema: SchemaInput,
        begin: Beginning | None = None,
    ) -> None:
        super().__init__(context)
        self._step = step
        self._graph = graph
        self._examples = examples
        self._schema = schema
        self._begin = begin or Beginning()

    def build(self, pipeline: beam.Pipeline) -> Live:
        """One element: the training."""
        train = partial(_train, self._step, self.context, self._begin)
        inputs = (self._graph.value, self._examples.value, self._schema.value)
        once(pipeline, "Train", self.context, train, *inputs, resources=self._step.resources)
        return {}


def _train(
    step: TrainStep, context: Context, begin: Beginning, graph: TransformGraph, examples: Examples, schema: Schema
) -> None:
    quiet_tensorflow()
    keras.utils.set_random_seed(step.seed)
    check_splits(step, graph)
    if step.run_fn is not None:
        facts = _with_run_fn(step, context.folder, begin, graph, schema)
    else:
        facts = _with_build_model(step, context, begin, graph, examples)
    (context.folder / "training.json").write_text(json.dumps(facts, indent=2))


def _with_run_fn(
    step: TrainStep, folder: Path, begin: Beginning, graph: TransformGraph, schema: Schema
) -> dict[str, Any]:
    assert step.run_fn is not None
    (folder / "logs").mkdir(exist_ok=True)
    arguments = fn_args(step, graph, schema.path / "schema.pbtxt", folder, base_model=begin.for_run_fn)
    tuned = begin.hyperparameters
    arguments.hyperparameters = None if tuned is None else read(tuned.best)
    started = time.monotonic()
    call_run_fn(step.run_fn, arguments)
    return {
        "history": {},
        "epochs": step.epochs,
        "seconds": time.monotonic() - started,
        "parameters": None,
        "hyperparameters": {} if tuned is None else dict(tuned.facts()["values"]),
        **begin.facts,
    }


def _with_build_model(
    step: TrainStep, context: Context, begin: Beginning, graph: TransformGraph, examples: Examples
) -> dict[str, Any]:
    data = training_data(step, graph, begin.base_model)
    tuned = begin.hyperparameters
    config, where = (None, None) if tuned is None else (read(tuned.best), f"{tuned.step}, {tuned.best}")
    model, used = build_with(step.build_model, data, config, where=where)
    features = features_used(model, data)
    meanings = vocabularies.vocabularies(data)
    begun = begin.facts
    if begin.earlier is not None:
        begun["warm_start"] = warm_start(model, data, meanings, begin, used)
    weights = dict(step.class_weights) if isinstance(step.class_weights, tuple) else step.class_weights
    started = time.monotonic()
    history = fit(
        model,
        data,
        Fitting(
            step=context.step,
            train_split=step.train_split,
            validation_split=step.validation_split,
            epochs=step.epochs,
            steps=step.steps,
            batch_size=step.batch_size,
            early_stopping=step.early_stopping,
            class_weights=weights,
            seed=step.seed,
            logs=context.folder / "logs",
        ),
        features=features,
    )
    fitted = time.monotonic()
    progress.report(context.step, detail="exporting", part=1.0)  # all of it, also where it stopped early
    export_model(
        model, data, context.folder / "Format-Serving", features=features, multi_valued=_lists(examples.facts())
    )
    model.save(context.folder / "model.keras")
    vocabularies.save(meanings, context.folder)
    return {
        "history": history,
        "epochs": len(history.get("loss", ())),
        "seconds": fitted - started,
        "export_seconds": time.monotonic() - fitted,
        "parameters": model.count_params(),
        "hyperparameters": used,
        "features": features,
        **begun,
    }


def training_data(step: TrainStep | TuneStep, graph: TransformGraph, base_model: BaseModel | None) -> TrainingData:
    """What ``build_model`` is given.

    Raises
    ------
    TrainingError
        If there is no label, or it has one class alone.
    """
    data = TrainingData(graph, train_split=step.train_split, base_model=base_model)
    if data.class_count == 1:
        raise TrainingError(
            f"Label {data.label!r} has one class, {(data.classes or ['?'])[0]!r}: there is nothing to learn.",
            fix="Look at how preprocess makes the label, and at how the rows are split.",
        )
    return data


def check_splits(step: TrainStep | TuneStep, graph: TransformGraph) -> None:
    """Check that the splits to train and to validate on are there and have rows.

    Raises
    ------
    ArgumentError
        If there is no such split.
    TrainingError
        If one has no rows.
    """
    rows = {name: split["rows"] for name, split in graph.facts()["splits"].items()}
    for split in filter(None, (step.train_split, step.validation_split)):
        if split not in rows:
            raise ArgumentError(f"{step.call}(): there is no split {split!r}.", got=split, valid=rows)
        if not rows[split]:
            raise TrainingError(f"Split {split!r} has no rows.", fix="Give it a larger share, or read more rows.")


def _lists(facts: Mapping[str, Any]) -> list[str]:
    return [name for name, kind in facts["columns"].items() if kind.startswith(("list", "large_list"))]
