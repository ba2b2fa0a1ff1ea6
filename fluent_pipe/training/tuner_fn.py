"""TFX's ``tuner_fn(fn_args)``, as people have it in their module files: a search of their own."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from fluent_pipe import progress
from fluent_pipe.artifacts import BaseModel, TransformGraph
from fluent_pipe.errors import Interrupted, UserCodeError
from fluent_pipe.steps.functions import UserFunction, called
from fluent_pipe.steps.tuning import Tune
from fluent_pipe.training.fit import quiet_tensorflow
from fluent_pipe.training.hyperparameters import values
from fluent_pipe.training.run_fn import fn_args
from fluent_pipe.training.search import all_failed, never_improved


def search_with_tuner_fn(
    step: Tune, graph: TransformGraph, schema_path: Path, working: Path, base_model: BaseModel | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the tuner that the user's function makes.

    Parameters
    ----------
    working
        ``fn_args.working_dir``. It outlives a killed process, and a tuner that was given it as its ``directory`` goes
        on there by itself.

    Returns
    -------
    tuple
        KerasTuner's config of the best hyperparameters, and what ``trials.json`` holds.

    Raises
    ------
    UserCodeError
        If the function or the search fails, or what it returns is no ``TunerFnResult``.
    TrainingError
        If no trial finished.
    """
    assert step.tuner_fn is not None
    quiet_tensorflow()
    keras.utils.set_random_seed(step.seed)
    working.mkdir(parents=True, exist_ok=True)
    base = None if base_model is None else str(base_model.model)
    arguments = fn_args(step, graph, schema_path, working, base_model=base)
    made = called(step.tuner_fn, step.tuner_fn.resolve(), arguments, names=vars(arguments))
    tuner, fit_kwargs = _checked(step.tuner_fn, made)
    _run(step, tuner, dict(fit_kwargs))
    failed = [trial for trial in tuner.oracle.trials.values() if trial.status != "COMPLETED"]
    if len(failed) == len(tuner.oracle.trials):
        shutil.rmtree(working, ignore_errors=True)  # the tuner would find its failures there, and not try again
        raise all_failed([(trial.trial_id, _reason(trial)) for trial in failed])
    return _found(tuner)


def _checked(function: UserFunction, made: Any) -> tuple[Any, Mapping[str, Any]]:
    tuner, fit_kwargs = getattr(made, "tuner", None), getattr(made, "fit_kwargs", None)
    needed = ("search", "oracle", "get_best_hyperparameters")
    if tuner is None or not isinstance(fit_kwargs, Mapping) or not all(hasattr(tuner, n) for n in needed):
        what = "nothing" if made is None else type(made).__name__
        raise UserCodeError(
            f"{function.name} returned {what}, not a tuner and its fit_kwargs.",
            where=function.where,
            fix='Return TFX\'s TunerFnResult(tuner=..., fit_kwargs={"x": ...}), or any object with these two.',
        )
    return tuner, fit_kwargs


def _run(step: Tune, tuner: Any, fit_kwargs: dict[str, Any]) -> None:
    tuner.oracle.max_consecutive_failed_trials = sys.maxsize  # those that failed do not end the search
    if isinstance(tuner, keras_tuner.Tuner):
        fit_kwargs.setdefault("verbose", 0)
        fit_kwargs["callbacks"] = [*fit_kwargs.get("callbacks", ()), _Watch(step.id, lambda: _number(tuner.oracle))]
    assert step.tuner_fn is not None
    try:
        called(step.tuner_fn, lambda: tuner.search(**fit_kwargs))
    except UserCodeError as error:
        progress.check()
        if "tf_keras" in error.fact:
            error.fix = "KerasTuner searches with Keras 3 here: build the model with `import keras`."
        raise


def _number(oracle: Any) -> str:
    most = f"/{oracle.max_trials}" if oracle.max_trials else ""
    return f"trial {len(oracle.trials)}{most}"


class _Stopped(keras_tuner.errors.FatalError):  # type: ignore[misc]
    """Ends a search; KerasTuner takes any other error for the failure of one trial."""


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Reports progress, and stops when the run was asked to. KerasTuner copies it for each trial."""

    def __init__(self, step: str, number: Callable[[], str]) -> None:
        super().__init__()
        self._step = step
        self._number = number
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        loss = f" · loss {logs['loss']:.4g}" if logs and "loss" in logs else ""
        try:
            progress.report(self._step, detail=f"{self._number()} · epoch {self._epoch + 1}{loss}")
        except Interrupted as stopped:
            raise _Stopped(str(stopped)) from stopped


def _found(tuner: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    oracle = tuner.oracle
    trials = [_facts(oracle.trials[trial]) for trial in oracle.start_order]
    best = oracle.get_best_trials(1)[0]
    config = tuner.get_best_hyperparameters()[0].get_config()
    facts = {
        "objective": oracle.objective.name,
        "direction": oracle.objective.direction,
        "algorithm": type(tuner).__name__,
        "best": best.trial_id,
        "values": values(config),
        "notes": never_improved(oracle.objective.name, [trial["score"] for trial in trials]),
        "trials": trials,
    }
    return config, facts


def _facts(trial: Any) -> dict[str, Any]:
    done = trial.status == "COMPLETED"
    metrics = {name: _number_or_none(trial.metrics.get_last_value(name)) for name in trial.metrics.metrics}
    return {
        "id": trial.trial_id,
        "state": "completed" if done else "failed",
        "score": _number_or_none(trial.score) if done else None,
        "seconds": None,  # KerasTuner does not keep it
        "hyperparameters": dict(trial.hyperparameters.values),
        "metrics": metrics,
        "reason": "" if done else _reason(trial),
    }


def _number_or_none(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _reason(trial: Any) -> str:
    """The last line of the traceback that KerasTuner keeps."""
    lines = [line for line in (trial.message or "").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "Its score was no number."
