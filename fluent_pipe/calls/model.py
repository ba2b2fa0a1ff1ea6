"""Calls that make and judge a model."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fluent_pipe.artifacts import BaseModel, Examples, HyperParameters, Model, ModelBlessing, Schema, TransformGraph
from fluent_pipe.calls.data import Slices
from fluent_pipe.calls.module_files import user_function
from fluent_pipe.chain import Chain
from fluent_pipe.errors import ArgumentError
from fluent_pipe.steps import checks
from fluent_pipe.steps.base import Earlier, Ref
from fluent_pipe.steps.limits import Limit, slice_columns
from fluent_pipe.steps.model import Evaluate, Train, WithBaseModel
from fluent_pipe.steps.model_files import find_model
from fluent_pipe.steps.resources import Resources
from fluent_pipe.steps.tuning import Tune, WithHyperparameters

if TYPE_CHECKING:
    import tensorflow_model_analysis as tfma
    from typing_extensions import Self


RUN_ID = re.compile(r"\d{8}(-\d{0,6}|-\d{6}-[0-9a-f]{0,8})?")
"""A run's id, ``20260102-030405-1a2b3c4d``, or its beginning from the day on."""


@dataclass(frozen=True, repr=False)
class ModelCalls(Chain):
    """Calls that make and judge a model."""

    def tune(
        self,
        function: Callable[..., Any] | str | None = None,
        *,
        objective: str = "val_loss",
        direction: Literal["min", "max"] | None = None,
        trials: int = 10,
        algorithm: Literal["random", "grid", "bayesian", "hyperband"] = "random",
        parallel: int = 1,
        epochs: int = 1,
        steps: int | None = None,
        batch_size: int = 1024,
        seed: int = 0,
        custom_config: Mapping[str, Any] | None = None,
        resources: Resources | None = None,
    ) -> Self:
        """Search for hyperparameters with KerasTuner; :meth:`train` takes the best up by itself.

        A search that is stopped half-way goes on, at the next run, after the trials that finished. A ``tuner_fn``
        brings its own objective, algorithm and number of trials; those given here are left aside.

        Parameters
        ----------
        function
            ``build_model(data, hp)`` that returns a compiled model, or TFX's ``tuner_fn(fn_args)``; also as a module
            file or ``"module:function"``. Default: the wide and deep model of :meth:`train`.
        objective
            A metric that the model reports, such as ``"val_auc"``.
        direction
            Whether lower or higher is better. Default: as the metric's name tells.
        trials
            Most sets of hyperparameters to try; a grid may have fewer.
        algorithm
            How the next set is chosen.
        parallel
            Trials that run at once, as elements of one Beam job.
        epochs
            Passes over the training split, of each trial; for ``"hyperband"`` the most that a trial gets.
        steps
            Batches an epoch. Default: the whole split.
        batch_size
            Rows a batch.
        seed
            Of the search, of shuffling and of the models' weights.
        custom_config
            More of ``fn_args.custom_config``, for a ``tuner_fn``: values that JSON can hold, by name.
        resources
            What a trial asks of its worker.
        """
        user = None if function is None else user_function(function, "tuner_fn", "build_model", call="tune")
        is_tuner_fn = user is not None and user.name == "tuner_fn"
        validated = checks.validation_split(self._splits) is not None
        return self._then(
            Tune(
                id=self._id("tune"),
                graph=self._ref(TransformGraph, "tune"),
                examples=self._ref(Examples, "tune"),
                schema=self._ref(Schema, "tune"),
                build_model=None if is_tuner_fn else user,
                tuner_fn=user if is_tuner_fn else None,
                objective=checks.objective(objective),
                direction=None if is_tuner_fn else checks.direction(objective, direction, validated=validated),
                trials=checks.count(trials, "trials"),
                algorithm=checks.algorithm(algorithm, checks.count(epochs, "epochs")),
                parallel=checks.count(parallel, "parallel"),
                epochs=epochs,
                steps=None if steps is None else checks.count(steps, "steps"),
                batch_size=checks.count(batch_size, "batch_size"),
                seed=seed,
                train_split=checks.training_split(self._splits),
                validation_split=checks.validation_split(self._splits),
                base_model=self._newest(BaseModel),
                custom_config=checks.custom_config(custom_config),
                resources=checks.resources(resources),
            )
        )

    def with_hyperparameters(self, path: str | os.PathLike[str]) -> Self:
        """Train with the hyperparameters of a ``best_hyperparameters.txt``; it wins over :meth:`tune` and defaults."""
        file = checks.file(path, "with_hyperparameters")
        checks.hyperparameters(file)
        return self._then(WithHyperparameters(id=self._id("with_hyperparameters"), path=file))

    def with_base_model(self, path: str | os.PathLike[str]) -> Self:
        """Hand a model to the user's function: ``data.base_model()``, or TFX's ``fn_args.base_model``.

        Parameters
        ----------
        path
            A ``.keras`` file, a SavedModel folder, or the folder of a Model artifact. It is copied.
        """
        model = checks.file_or_folder(path, "with_base_model")
        find_model(Path(model))
        return self._then(WithBaseModel(id=self._id("with_base_model"), path=model))

    def train(
        self,
        function: Callable[..., Any] | str | None = None,
        *,
        epochs: int = 1,
        steps: int | None = None,
        batch_size: int = 1024,
        early_stopping: int | None = None,
        class_weights: Literal["balanced"] | Mapping[int, float] | None = None,
        seed: int = 0,
        warm_start: str | os.PathLike[str] | None = None,
        custom_config: Mapping[str, Any] | None = None,
        resources: Resources | None = None,
    ) -> Self:
        """Train a Keras 3 model and export it with serving signatures.

        Parameters
        ----------
        function
            ``build_model(data, hp)`` that returns a compiled model, or TFX's ``run_fn(fn_args)``; also as a module file
            or ``"module:function"``. Default: a wide and deep model over the transformed features.
        epochs
            Passes over the training split.
        steps
            Batches an epoch. Default: the whole split.
        batch_size
            Rows a batch.
        early_stopping
            Epochs without a better validation loss before training stops and the best weights return. Default: never.
        class_weights
            ``"balanced"``, or weights by class index.
        seed
            Of shuffling and of the model's weights.
        warm_start
            ``"latest"`` or ``"latest_blessed"`` to begin with the weights of an earlier model of this pipeline, where
            there is one that learnt from other data; or the folder of a Model artifact. Rows of embeddings move with
            their vocabulary; what cannot be taken over is a :class:`~fluent_pipe.errors.TrainingError` that says why.
        custom_config
            More of ``fn_args.custom_config``, for a ``run_fn``: values that JSON can hold, by name.
        resources
            What the training asks of its worker.
        """
        user = None if function is None else user_function(function, "run_fn", "build_model", call="train")
        is_run_fn = user is not None and user.name == "run_fn"
        graph = self._ref(TransformGraph, "train")
        return self._then(
            Train(
                id=self._id("train"),
                graph=graph,
                examples=self._ref(Examples, "train"),
                schema=self._ref(Schema, "train"),
                build_model=None if is_run_fn else user,
                run_fn=user if is_run_fn else None,
                epochs=checks.count(epochs, "epochs"),
                steps=None if steps is None else checks.count(steps, "steps"),
                batch_size=checks.count(batch_size, "batch_size"),
                early_stopping=None if early_stopping is None else checks.count(early_stopping, "early_stopping"),
                class_weights=checks.class_weights(class_weights),
                seed=seed,
                train_split=checks.training_split(self._splits),
                validation_split=checks.validation_split(self._splits),
                hyperparameters=self._by(WithHyperparameters, HyperParameters) or self._newest(HyperParameters),
                base_model=self._newest(BaseModel),
                custom_config=checks.custom_config(custom_config),
                warm_start=self._warm_start(warm_start, graph, weights=not is_run_fn),
                resources=checks.resources(resources),
            )
        )

    def evaluate(
        self,
        *,
        metrics: Sequence[str] = (),
        slices: Slices | int = (),
        require: Mapping[str, Limit | Sequence[Limit]] | None = None,
        baseline: str | os.PathLike[str] | None = "latest_blessed",
        confidence_intervals: bool = False,
        config: tfma.EvalConfig | str | os.PathLike[str] | None = None,
    ) -> Self:
        """Evaluate with TFMA, overall and by slice, and bless the model if every requirement holds.

        Parameters
        ----------
        metrics
            Names of TFMA or Keras metrics. Default: by the kind of label.
        slices
            Columns, or lists of columns to cross: ``["carrier", ["origin", "month"]]``. ``"auto"`` looks for the
            slices of one or two columns where the model is significantly worse than elsewhere; a number looks for
            slices of at most so many columns.
        require
            Limits by metric: ``{"auc": fp.at_least(0.65)}``, or a list of limits. Default: nothing is required.
        baseline
            ``"latest_blessed"``, the folder of a Model artifact to compare with, the id of a run whose model it is (or
            the beginning of the id), or None for no comparison.
        confidence_intervals
            Whether metrics get 95 % intervals, by Poisson bootstrap in the same pass.
        config
            A ``tfma.EvalConfig``, or a file of one as text, for what the other arguments cannot say: metrics with
            settings, binarization and averages over classes, thresholds of TFMA's own. Its metrics, slices and
            options come beside those asked for here; its models are left aside.
        """
        model = self._ref(Model, "evaluate")
        depth = checks.slice_depth(slices)
        return self._then(
            Evaluate(
                id=self._id("evaluate"),
                model=model,
                graph=self._ref(TransformGraph, "evaluate"),
                examples=self._ref(Examples, "evaluate"),
                schema=self._ref(Schema, "evaluate"),
                metrics=checks.metric_names(metrics, "metrics"),
                slices=() if depth else slice_columns(slices),  # type: ignore[arg-type]
                depth=depth,
                require=checks.requirements(require),
                baseline=self._baseline(baseline, model),
                confidence_intervals=confidence_intervals,
                config=checks.eval_config(config),
                split=checks.evaluation_split(self._splits),
            )
        )

    @staticmethod
    def _warm_start(
        asked: str | os.PathLike[str] | None, graph: Ref[TransformGraph], *, weights: bool
    ) -> Earlier[Model] | str | None:
        if asked in ("latest", "latest_blessed"):
            return Earlier(Model, graph, judged_by=ModelBlessing if asked == "latest_blessed" else None)
        if asked is None:
            return None
        folder = checks.folder(asked, "warm_start", 'Or give "latest" or "latest_blessed".')
        if weights and not Path(folder, "model.keras").is_file():
            raise ArgumentError(
                f"warm_start=: the folder {str(asked)!r} holds no model.keras.",
                fix="Give the folder of a model that train() made: run.model.path.",
            )
        return folder

    @staticmethod
    def _baseline(asked: str | os.PathLike[str] | None, model: Ref[Model]) -> Earlier[Model] | str | None:
        if asked == "latest_blessed":
            return Earlier(Model, model, judged_by=ModelBlessing)
        if isinstance(asked, str) and RUN_ID.fullmatch(asked) and not Path(asked).is_dir():
            return Earlier(Model, model, run=asked)
        return None if asked is None else checks.folder(asked, "baseline", 'Or give "latest_blessed", or a run\'s id.')
