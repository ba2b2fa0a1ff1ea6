"""TFX's ``run_fn(fn_args)``, as people have it in their module files."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fluent_pipe.artifacts import TransformGraph
from fluent_pipe.errors import UserCodeError
from fluent_pipe.steps.functions import UserFunction, called
from fluent_pipe.steps.model import Train
from fluent_pipe.steps.tuning import Tune
from fluent_pipe.training.accessor import DataAccessor
from fluent_pipe.training.dataset import row_count

KERAS_2 = (
    "`save_format` argument",
    "Invalid filepath extension for saving",
    "The following argument(s) are not supported",
)
"""What Keras 3 says to ``model.save(folder, save_format="tf", signatures=...)``."""


@dataclass
class FnArgs:
    """What ``run_fn`` gets; names and meanings are those of TFX's ``FnArgs``.

    Parameters
    ----------
    train_files, eval_files
        Parquet files of transformed rows; read them with ``data_accessor``.
    train_steps, eval_steps
        Batches in all epochs together, and in one pass over the validation split.
    schema_path
        The schema of the raw rows, as text.
    transform_graph_path
        Folder for ``tft.TFTransformOutput``.
    serving_model_dir
        Where to save the SavedModel.
    model_run_dir
        For logs and checkpoints; kept with the model.
    hyperparameters
        KerasTuner's ``HyperParameters.get_config()``, or None where nothing was tuned.
    custom_config
        As given to ``train``, beside ``epochs``, ``batch_size`` and ``seed``.
    base_model
        The model of ``with_base_model``, else the SavedModel of the model that ``warm_start`` found; None where there
        is neither.
    eval_model_dir
        Always None: evaluation takes the SavedModel.
    """

    train_files: list[str]
    eval_files: list[str]
    train_steps: int
    eval_steps: int | None
    schema_path: str
    transform_graph_path: str
    serving_model_dir: str
    model_run_dir: str
    working_dir: str
    hyperparameters: dict[str, Any] | None = None
    custom_config: dict[str, Any] = field(default_factory=dict)
    data_accessor: DataAccessor = field(default_factory=DataAccessor)
    eval_model_dir: str | None = None
    base_model: str | None = None

    @property
    def transform_output(self) -> str:
        """The same as ``transform_graph_path``, under its older name."""
        return self.transform_graph_path

    @property
    def schema_file(self) -> str:
        """The same as ``schema_path``, under its older name."""
        return self.schema_path


def fn_args(
    step: Train | Tune, graph: TransformGraph, schema_path: Path, folder: Path, *, base_model: str | None = None
) -> FnArgs:
    """The arguments of ``run_fn`` and ``tuner_fn`` for the rows of a transform graph.

    Parameters
    ----------
    step
        What was asked for.
    folder
        ``working_dir``; the model and its logs have their places in it.
    base_model
        Path of a model to begin from.
    """
    train = graph.files(step.train_split)
    validation = graph.files(step.validation_split) if step.validation_split is not None else []
    batches = step.steps or math.ceil(row_count(train) / step.batch_size)
    return FnArgs(
        train_files=[str(f) for f in train],
        eval_files=[str(f) for f in validation],
        train_steps=step.epochs * batches,
        eval_steps=math.ceil(row_count(validation) / step.batch_size) if validation else None,
        schema_path=str(schema_path),
        transform_graph_path=str(graph.path),
        serving_model_dir=str(folder / "Format-Serving"),
        model_run_dir=str(folder / "logs"),
        working_dir=str(folder),
        base_model=base_model,
        custom_config={
            "epochs": step.epochs,
            "batch_size": step.batch_size,
            "seed": step.seed,
            **json.loads(step.custom_config or "{}"),
        },
    )


def call_run_fn(function: UserFunction, arguments: FnArgs) -> None:
    """Call ``run_fn`` and look at what it saved.

    Raises
    ------
    UserCodeError
        If it raises, or saves no SavedModel in ``serving_model_dir``.
    """
    try:
        called(function, function.resolve(), arguments, names=vars(arguments))
    except UserCodeError as error:
        if any(words in error.fact for words in KERAS_2):
            error.fix = (
                "Keras 3 saves no SavedModel with model.save(). Use model.export(folder) or "
                "keras.export.ExportArchive, or build the model with `import tf_keras as keras`, which is Keras 2."
            )
        raise
    serving = Path(arguments.serving_model_dir)
    if not (serving / "saved_model.pb").is_file():
        found = sorted(p.name for p in serving.iterdir()) if serving.is_dir() else []
        there = f" It holds {', '.join(found)}." if found else ""
        raise UserCodeError(
            f"{function.name} saved no SavedModel in fn_args.serving_model_dir.{there}",
            where=function.where,
            fix="Save one there, with keras.export.ExportArchive().write_out(...) or model.export(...).",
        )
