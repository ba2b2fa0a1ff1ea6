"""Steps that make, judge and push a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from fluent_pipe.artifacts import (
    BaseModel,
    Evaluation,
    Examples,
    HyperParameters,
    Model,
    ModelBlessing,
    Schema,
    TransformGraph,
)
from fluent_pipe.errors import EvaluationError, FluentPipeError
from fluent_pipe.steps.base import Earlier, Pairs, Ref, Step, needs, unkeyed
from fluent_pipe.steps.functions import UserFunction
from fluent_pipe.steps.limits import SliceColumns
from fluent_pipe.steps.metrics import check_columns, resolve
from fluent_pipe.steps.resources import Resources


@dataclass(frozen=True, kw_only=True)
class Preprocess(Step):
    """``preprocess``: TFT analysis and transform.

    Parameters
    ----------
    function
        ``preprocessing_fn(inputs)``; None for sensible features from the schema.
    label, weight
        Transformed features with these roles. With no ``function``, columns of the input.
    """

    examples: Ref[Examples] = needs()
    schema: Ref[Schema] = needs()
    split_names: tuple[str, ...] = ()
    function: UserFunction | None = None
    label: str | None = None
    weight: str | None = None

    call: ClassVar[str] = "preprocess"
    version: ClassVar[int] = 2
    produces: ClassVar[tuple[type[TransformGraph], ...]] = (TransformGraph,)


@dataclass(frozen=True, kw_only=True)
class Train(Step):
    """``train``.

    Parameters
    ----------
    build_model
        ``build_model(data, hp)`` that returns a compiled Keras 3 model; None for the default wide-and-deep model.
    run_fn
        TFX's ``run_fn(fn_args)``, in place of ``build_model``.
    epochs
        Passes over the training split.
    steps
        Batches an epoch; None for the whole split.
    batch_size
        Rows a batch.
    early_stopping
        Epochs without improvement of the validation loss before training stops; None for never.
    class_weights
        ``"balanced"`` or pairs of class index and weight.
    seed
        Of shuffling and of Keras.
    train_split, validation_split
        Names of the splits.
    hyperparameters
        What ``build_model`` is called with; None for its defaults.
    base_model
        A model to begin from, for the user's function.
    custom_config
        What ``fn_args.custom_config`` has more of, as JSON.
    warm_start
        Earlier model whose weights this one begins with: one of this pipeline, or a folder. It is taken where it
        exists.
    resources
        What the training asks of its worker.
    """

    graph: Ref[TransformGraph] = needs()
    examples: Ref[Examples] = needs()
    schema: Ref[Schema] = needs()
    build_model: UserFunction | None = None
    run_fn: UserFunction | None = None
    epochs: int = 1
    steps: int | None = None
    batch_size: int = 1024
    early_stopping: int | None = None
    class_weights: Literal["balanced"] | tuple[tuple[int, float], ...] | None = None
    seed: int = 0
    train_split: str
    validation_split: str | None
    hyperparameters: Ref[HyperParameters] | None = needs(default=None)
    base_model: Ref[BaseModel] | None = needs(default=None)
    custom_config: str | None = None
    warm_start: Earlier[Model] | str | None = None
    resources: Resources | None = unkeyed(default=None)

    call: ClassVar[str] = "train"
    version: ClassVar[int] = 2
    produces: ClassVar[tuple[type[Model], ...]] = (Model,)

    def source_files(self) -> tuple[str, ...]:
        return (f"{self.warm_start}/**/*",) if isinstance(self.warm_start, str) else ()

    def outside(self) -> tuple[str, ...]:
        return (self.warm_start,) if isinstance(self.warm_start, str) else ()


@dataclass(frozen=True, kw_only=True)
class Evaluate(Step):
    """``evaluate``: TFMA metrics, thresholds and the blessing.

    Parameters
    ----------
    metrics
        Names of TFMA or Keras metrics; empty for defaults by the kind of label.
    slices
        Columns, or crosses of columns, of the input or of the transformed features.
    depth
        Look for slices where the model is worse, of at most so many columns; None for no search.
    require
        ``((metric, (limit, ...)), ...)``: the model is blessed if all hold.
    baseline
        Earlier model to compare with: the latest blessed one, a run's, or that of a folder.
    confidence_intervals
        Whether metrics get intervals, by bootstrap.
    config
        A ``tfma.EvalConfig`` as text: metrics, slices, thresholds and options beside those above.
    split
        Whose rows to evaluate on.
    """

    model: Ref[Model] = needs()
    graph: Ref[TransformGraph] = needs()
    examples: Ref[Examples] = needs()
    schema: Ref[Schema] = needs()
    metrics: tuple[str, ...] = ()
    slices: SliceColumns = ()
    depth: int | None = None
    require: Pairs = ()
    baseline: Earlier[Model] | str | None = None
    confidence_intervals: bool = False
    config: str | None = None
    split: str

    def foreseen(self, facts: Mapping[str, Mapping[str, Any]]) -> FluentPipeError | None:
        if "graph" not in facts or "examples" not in facts:
            return None
        graph = facts["graph"]
        try:
            check_columns(self.slices, (*facts["examples"]["columns"], *graph["features"]))
            if graph.get("task") is not None:
                for name in (*self.metrics, *(metric for metric, _ in self.require)):
                    resolve(name, task=graph["task"])
        except EvaluationError as error:
            return error
        return None

    call: ClassVar[str] = "evaluate"
    version: ClassVar[int] = 3
    produces: ClassVar[tuple[type[Evaluation] | type[ModelBlessing], ...]] = (Evaluation, ModelBlessing)

    def source_files(self) -> tuple[str, ...]:
        return (f"{self.baseline}/**/*",) if isinstance(self.baseline, str) else ()

    def outside(self) -> tuple[str, ...]:
        return (self.baseline,) if isinstance(self.baseline, str) else ()


@dataclass(frozen=True, kw_only=True)
class WithBaseModel(Step):
    """``with_base_model``: a SavedModel folder, or a ``.keras`` file."""

    path: str = unkeyed()

    call: ClassVar[str] = "with_base_model"
    produces: ClassVar[tuple[type[BaseModel], ...]] = (BaseModel,)

    def source_files(self) -> tuple[str, ...]:
        return (self.path, f"{self.path}/**/*")
