"""One trial of a search, on a worker: a model is built for one set of hyperparameters, fitted and scored."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import keras
import keras_tuner

from fluent_pipe import progress
from fluent_pipe.artifacts import BaseModel, TransformGraph
from fluent_pipe.errors import FluentPipeError, Interrupted, StoreError, TrainingError
from fluent_pipe.steps.tuning import Tune
from fluent_pipe.store.files import disk_is_full
from fluent_pipe.training.data import TrainingData
from fluent_pipe.training.fit import Fitting, fit, quiet_tensorflow
from fluent_pipe.training.hyperparameters import SEARCH_ONLY, declared, preset
from fluent_pipe.training.user_model import build, features_used

log = logging.getLogger(__name__)

WEIGHTS = ".weights.h5"
"""Ending of the files of hyperband's weights."""

_one_at_a_time = threading.Lock()
"""Keras keeps its seeds and names for the whole process, and trials of one process share its processors anyway."""


@dataclass(frozen=True)
class Asked:
    """What the search wants tried; small, and travels to a worker as JSON.

    Parameters
    ----------
    id
        KerasTuner's id of the trial.
    number
        From 1.
    values
        Hyperparameters by name, with those of hyperband's own.
    objective
        As the model reports it.
    best
        Best score before; None where there is none.
    """

    id: str
    number: int
    values: dict[str, Any]
    objective: str
    best: float | None

    @property
    def begins_with(self) -> str | None:
        """Id of the trial whose weights this one goes on from, as hyperband asks; None for none."""
        began: str | None = self.values.get(SEARCH_ONLY + "trial_id")
        return began

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Result:
    """What became of a trial.

    Parameters
    ----------
    asked
        The values that the search wanted tried.
    config
        KerasTuner's config of what ``build_model`` declared, and its values.
    metrics
        Of the best epoch; None for a value that is no number.
    best_epoch
        From 0.
    reason
        Why it failed.
    """

    id: str
    state: Literal["completed", "failed"]
    asked: dict[str, Any]
    config: dict[str, Any]
    hyperparameters: dict[str, Any]
    score: float | None = None
    metrics: dict[str, float | None] | None = None
    best_epoch: int = 0
    seconds: float = 0.0
    reason: str = ""

    def write(self, folder: Path) -> None:
        """Leave it for the driver; a file that is there is whole."""
        file = folder / f"{self.id}.json"
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(asdict(self)))
        unfinished.replace(file)

    @classmethod
    def read(cls, folder: Path, trial: str) -> Result | None:
        """What a worker left; None if it left nothing that can be read."""
        try:
            return cls(**json.loads((folder / f"{trial}.json").read_text()))
        except (FileNotFoundError, ValueError, TypeError):  # cut short when the machine went down
            return None


def run_trial(
    step: Tune, graph: TransformGraph, folder: Path, asked: Asked, base_model: BaseModel | None = None
) -> Result:
    """Try one set of hyperparameters.

    A failure is a result as well, with its reason: it must not end the search.

    Parameters
    ----------
    folder
        Where hyperband's trials leave their weights for those that go on from them.
    base_model
        For the user's function.

    Raises
    ------
    Interrupted
        If the run was asked to stop.
    StoreError
        If the disk is full.
    """
    hp = preset(asked.values)
    with _one_at_a_time:
        begun = time.monotonic()
        try:
            result = _fitted(
                step, TrainingData(graph, train_split=step.train_split, base_model=base_model), folder, asked, hp
            )
        except (Interrupted, StoreError):
            raise
        except Exception as error:  # whatever the user's code or TensorFlow raises
            progress.check()
            full = disk_is_full(str(error), where=str(folder))
            if full is not None:
                raise full from error
            log.warning("Trial %s failed", asked.id, exc_info=True)
            result = _result(asked, hp, state="failed", reason=_reason(error))
        return replace(result, seconds=time.monotonic() - begun)


def _fitted(step: Tune, data: TrainingData, folder: Path, asked: Asked, hp: keras_tuner.HyperParameters) -> Result:
    quiet_tensorflow()
    keras.backend.clear_session()
    keras.utils.set_random_seed(step.seed)
    model = build(step.build_model, data, hp)
    if asked.begins_with is not None:
        model.load_weights(_weights(folder, asked.begins_with))
    history = fit(model, data, _fitting(step, folder, asked), features=features_used(model, data))
    if asked.objective not in history:
        raise TrainingError(f"The model reports no {asked.objective!r}.", got=asked.objective, valid=sorted(history))
    epoch = best_epoch(history[asked.objective], step.direction or "min")
    if epoch is None:
        raise TrainingError(f"{asked.objective} was no number in any epoch.")
    metrics = {name: v[epoch] if math.isfinite(v[epoch]) else None for name, v in history.items()}
    score = metrics[asked.objective]
    return _result(asked, hp, state="completed", score=score, metrics=metrics, best_epoch=epoch)


def _fitting(step: Tune, folder: Path, asked: Asked) -> Fitting:
    best = "" if asked.best is None else f" · best {asked.objective} {asked.best:.4g}"
    kept: tuple[keras.callbacks.Callback, ...] = ()
    if step.algorithm == "hyperband":
        kept = (
            keras.callbacks.ModelCheckpoint(
                _weights(folder, asked.id),
                monitor=asked.objective,
                mode=step.direction,
                save_best_only=True,
                save_weights_only=True,
            ),
        )
    return Fitting(
        step=step.id,
        train_split=step.train_split,
        validation_split=step.validation_split,
        epochs=asked.values.get(SEARCH_ONLY + "epochs", step.epochs),
        initial_epoch=asked.values.get(SEARCH_ONLY + "initial_epoch", 0),
        steps=step.steps,
        batch_size=step.batch_size,
        seed=step.seed,
        callbacks=kept,
        before=f"trial {asked.number}/{step.trials} · ",
        after=best,
        part=0.0 if step.algorithm == "hyperband" else 1 / step.trials,  # whose later trials take longer
    )


def _weights(folder: Path, trial: str) -> str:
    return str(folder / f"{trial}{WEIGHTS}")


def best_epoch(values: list[float], direction: str) -> int | None:
    """Where the objective was best, from 0; None if it was never a number.

    Examples
    --------
    >>> best_epoch([0.6, 0.8, float("nan"), 0.7], "max")
    1
    """
    finite = [epoch for epoch, value in enumerate(values) if math.isfinite(value)]
    choose = max if direction == "max" else min
    return choose(finite, key=lambda epoch: values[epoch]) if finite else None


def _result(asked: Asked, hp: keras_tuner.HyperParameters, **more: Any) -> Result:
    own = {name: value for name, value in asked.values.items() if name.startswith(SEARCH_ONLY)}
    used = declared(hp) or {name: value for name, value in asked.values.items() if name not in own}
    config = {**hp.get_config(), "values": used}
    return Result(asked.id, asked=asked.values, config=config, hyperparameters={**used, **own}, **more)


def _reason(error: Exception) -> str:
    if isinstance(error, FluentPipeError):
        return str(error)
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first}".rstrip(": ")


def reported(model: keras.Model, data: TrainingData, *, split: str, validated: bool) -> list[str] | None:
    """Names of what a model will report, found with one small batch; None if it cannot be told.

    Parameters
    ----------
    split
        Where the batch comes from.
    validated
        Whether there is a split to validate on.
    """
    features = features_used(model, data)
    model.run_eagerly = True  # tracing takes longer than one batch
    try:
        batch: Any = next(iter(data.batches(split, batch_size=8, features=features).dataset()))
        trained: Mapping[str, Any] = model.train_on_batch(*batch, return_dict=True)
        tested: Mapping[str, Any] = model.test_on_batch(*batch, return_dict=True) if validated else {}
    except Exception:  # the trials will say what is wrong, and others of them may do well
        progress.check()
        log.warning("What the model reports is not known", exc_info=True)
        return None
    return sorted([*trained, *(f"val_{name}" for name in tested)])
