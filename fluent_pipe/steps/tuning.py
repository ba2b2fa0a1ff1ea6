"""Steps that find or take hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from fluent_pipe.artifacts import BaseModel, Examples, HyperParameters, Schema, TransformGraph
from fluent_pipe.steps.base import Ref, Step, needs, unkeyed
from fluent_pipe.steps.functions import UserFunction
from fluent_pipe.steps.resources import Resources

Algorithm = Literal["random", "grid", "bayesian", "hyperband"]
Direction = Literal["min", "max"]


@dataclass(frozen=True, kw_only=True)
class Tune(Step):
    """``tune``: KerasTuner's search.

    Parameters
    ----------
    build_model
        ``build_model(data, hp)`` that returns a compiled Keras 3 model; None for the default wide-and-deep model.
    tuner_fn
        TFX's ``tuner_fn(fn_args)``, in place of ``build_model``.
    objective
        A metric that the model reports, such as ``"val_auc"``.
    direction
        Whether lower or higher is better; None for a ``tuner_fn``, whose tuner knows.
    trials
        Most sets of hyperparameters to try.
    algorithm
        How the next set is chosen.
    parallel
        Trials of one Beam job.
    epochs, steps, batch_size
        Of each trial; for hyperband, ``epochs`` is the most that a trial gets.
    seed
        Of the search, of shuffling and of the models' weights.
    train_split, validation_split
        Names of the splits.
    base_model
        A model to begin from, for the user's function.
    custom_config
        What ``fn_args.custom_config`` has more of, as JSON.
    resources
        What a trial asks of its worker.
    """

    graph: Ref[TransformGraph] = needs()
    examples: Ref[Examples] = needs()
    schema: Ref[Schema] = needs()
    build_model: UserFunction | None = None
    tuner_fn: UserFunction | None = None
    objective: str = "val_loss"
    direction: Direction | None = None
    trials: int = 10
    algorithm: Algorithm = "random"
    parallel: int = 1
    epochs: int = 1
    steps: int | None = None
    batch_size: int = 1024
    seed: int = 0
    train_split: str
    validation_split: str | None
    base_model: Ref[BaseModel] | None = needs(default=None)
    custom_config: str | None = None
    resources: Resources | None = unkeyed(default=None)

    call: ClassVar[str] = "tune"
    produces: ClassVar[tuple[type[HyperParameters], ...]] = (HyperParameters,)
    alone: ClassVar[bool] = True
    resumes: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class WithHyperparameters(Step):
    """``with_hyperparameters``: a file of KerasTuner's own format."""

    path: str = unkeyed()

    call: ClassVar[str] = "with_hyperparameters"
    produces: ClassVar[tuple[type[HyperParameters], ...]] = (HyperParameters,)

    def source_files(self) -> tuple[str, ...]:
        return (self.path,)
