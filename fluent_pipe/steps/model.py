"""Steps that make, judge and push a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from fluent_pipe.artifacts import Evaluation, Examples, Model, ModelBlessing, PushedModel, Schema, TransformGraph
from fluent_pipe.errors import EvaluationError, FluentPipeError
from fluent_pipe.steps.base import Earlier, Pairs, Ref, Step, needs
from fluent_pipe.steps.functions import UserFunction
from fluent_pipe.steps.limits import SliceColumns
from fluent_pipe.steps.metrics import check_columns, resolve


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

    call: ClassVar[str] = "train"
    produces: ClassVar[tuple[type[Model], ...]] = (Model,)


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
        Earlier model to compare with.
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
    version: ClassVar[int] = 2
    produces: ClassVar[tuple[type[Evaluation] | type[ModelBlessing], ...]] = (Evaluation, ModelBlessing)

    def source_files(self) -> tuple[str, ...]:
        return (f"{self.baseline}/**/*",) if isinstance(self.baseline, str) else ()


@dataclass(frozen=True, kw_only=True)
class PushTo(Step):
    """``push_to``: a blessed model becomes a new version folder of ``destination``.

    Parameters
    ----------
    blessing
        Without it (no ``evaluate`` before) the model is pushed unjudged.
    keep
        Newest versions to keep; None for all.
    """

    model: Ref[Model] = needs()
    blessing: Ref[ModelBlessing] | None = needs(default=None)
    destination: str
    keep: int | None = None

    call: ClassVar[str] = "push_to"
    produces: ClassVar[tuple[type[PushedModel], ...]] = (PushedModel,)

    def still_holds(self, facts: Mapping[str, Any]) -> bool:
        if not facts["pushed"]:
            return True
        folder = Path(facts["destination"])
        newer = [p.name for p in folder.parent.glob("*") if p.name.isdecimal() and int(p.name) > facts["version"]]
        return folder.is_dir() and not newer  # what a server takes is the highest version
