"""The search for hyperparameters, on the driver: KerasTuner's oracle says what to try, and is told what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine import hyperparameters as kinds

from fluent_pipe.errors import StepFailed, TrainingError, UserCodeError
from fluent_pipe.steps.tuning import Tune
from fluent_pipe.training.data import TrainingData
from fluent_pipe.training.hyperparameters import values
from fluent_pipe.training.trial import Asked, Result, reported
from fluent_pipe.training.user_model import build


class Search:
    """Asks KerasTuner's oracle for trials and tells it their results, in the same order for the same seed.

    So a search that was killed is gone through again from its beginning: what was finished is answered from the files
    that the workers left, at once, and the oracle comes to where it was, whatever its algorithm keeps in mind.

    Parameters
    ----------
    step
        What was asked for.
    data
        For ``build_model``, which is called once or, where parameters depend on others, a few times to learn the space.
    trials
        Where the workers leave their results.
    own
        A folder for the oracle's own files.

    Raises
    ------
    UserCodeError
        If ``build_model`` fails, or declares nothing to tune.
    TrainingError
        If the model does not report the objective.
    """

    def __init__(self, step: Tune, data: TrainingData, *, trials: Path, own: Path) -> None:
        self._step = step
        self._trials = trials
        self._open: list[Any] = []
        self._results: list[Result] = []
        self._exhausted = False
        self._oracle = _oracle(step)
        self._oracle.verbose = 0
        model = self._explore(data, own)
        self.objective = self._found_objective(model, data)
        self._oracle.objective.name = self.objective

    def ask(self) -> list[Asked]:
        """The next trials to run, at most as many as run at once; none when the search has ended."""
        while True:
            self._open = self._create()
            asked = [self._asked(trial) for trial in self._open]
            waiting = [a for a in asked if not self._finished(a)]
            if waiting or not asked:
                return waiting
            self.tell()

    def tell(self) -> None:
        """Read what the workers left of the trials that were asked for."""
        for trial in self._open:
            result = Result.read(self._trials, trial.trial_id)
            if result is None:
                raise StepFailed(
                    f"Trial {trial.trial_id} left no result in {self._trials}.",
                    fix="Choose a root on storage that the workers share with this machine.",
                )
            self._results.append(result)
            # What this trial was the first to declare belongs to the space from now on.
            declared = keras_tuner.HyperParameters.from_config(result.config)
            trial.hyperparameters.merge(declared.space, overwrite=False)
            trial.status = "COMPLETED" if result.state == "completed" else "FAILED"
            trial.message = result.reason or None
            if result.metrics:
                known = {name: value for name, value in result.metrics.items() if value is not None}
                self._oracle.update_trial(trial.trial_id, known, step=result.best_epoch)
            self._oracle.end_trial(trial)
        self._open = []
        self._fill_up()

    @property
    def tried(self) -> int:
        """Trials that came to their end."""
        return len(self._results)

    @property
    def best(self) -> Result | None:
        """The best trial so far; the first of equals."""
        done = [r for r in self._results if r.score is not None]
        choose = max if self._step.direction == "max" else min
        return choose(done, key=lambda r: r.score or 0.0) if done else None

    def facts(self) -> dict[str, Any]:
        """What ``trials.json`` holds.

        Raises
        ------
        TrainingError
            If no trial finished.
        """
        best = self.best
        if best is None:
            raise all_failed([(r.id, r.reason) for r in self._results])
        return {
            "objective": self.objective,
            "direction": self._step.direction,
            "algorithm": self._step.algorithm,
            "best": best.id,
            "values": values(best.config),
            "notes": self._notes(),
            "trials": [
                {
                    "id": r.id,
                    "state": r.state,
                    "score": r.score,
                    "seconds": r.seconds,
                    "hyperparameters": r.hyperparameters,
                    "metrics": r.metrics or {},
                    "reason": r.reason,
                }
                for r in self._results
            ],
        }

    def _explore(self, data: TrainingData, own: Path) -> keras.Model:
        """Learn the space, as KerasTuner's own tuners do; the last model that was built."""
        built: list[keras.Model] = []

        def build_model(hp: keras_tuner.HyperParameters) -> keras.Model:
            built[:] = [build(self._step.build_model, data, hp)]
            return built[0]

        keras_tuner.Tuner(self._oracle, build_model, directory=str(own), project_name="search")
        space = self._oracle.get_space().space
        if all(isinstance(parameter, kinds.Fixed) for parameter in space):
            function = self._step.build_model
            raise UserCodeError(
                f"{function.name if function else 'build_model'} declares no hyperparameter: there is nothing to tune.",
                where=function.where if function else None,
                fix='Take two arguments, build_model(data, hp), and ask hp for values: hp.Int("units", 16, 256).',
            )
        if self._step.algorithm == "bayesian":
            # KerasTuner begins with three random trials a parameter, which would be all of a short search.
            self._oracle.num_initial_points = max(2, min(3 * len(space), self._step.trials // 3))
        return built[0]

    def _found_objective(self, model: keras.Model, data: TrainingData) -> str:
        """The objective as the model reports it: Keras keeps the case of ``metrics=["AUC"]``."""
        wanted = self._step.objective
        validated = self._step.validation_split is not None
        names = reported(model, data, split=self._step.train_split, validated=validated)
        if names is None or wanted in names:
            return wanted
        same = [name for name in names if name.lower() == wanted.lower()]
        if len(same) == 1:
            return same[0]
        raise TrainingError(f"The model reports no {wanted!r} to tune for.", got=wanted, valid=names)

    def _create(self) -> list[Any]:
        created = []
        for place in range(self._step.parallel):
            trial = self._oracle.create_trial(f"worker{place}")
            if trial.status != "RUNNING":
                # "IDLE": the oracle waits for results; with none to wait for, and for "STOPPED", the search has ended.
                break
            created.append(trial)
        self._exhausted = not created
        return created

    def _fill_up(self) -> None:
        """Give earlier trials the default of what a later one was the first to declare: a grid asks for it."""
        for trial in self._oracle.trials.values():
            hp = trial.hyperparameters
            for parameter in self._oracle.get_space().space:
                if hp.is_active(parameter):
                    hp.values.setdefault(parameter.name, parameter.default)

    def _asked(self, trial: Any) -> Asked:
        number = self._oracle.start_order.index(trial.trial_id) + 1
        best = None if self.best is None else self.best.score
        return Asked(trial.trial_id, number, dict(trial.hyperparameters.values), self.objective, best)

    def _finished(self, asked: Asked) -> bool:
        """Whether an earlier process finished this trial. One that failed is tried again: the reason may be gone."""
        result = Result.read(self._trials, asked.id)
        return result is not None and result.state == "completed" and result.asked == asked.values

    def _notes(self) -> list[str]:
        notes = []
        tried = len(self._results)
        if self._exhausted and tried < self._step.trials:
            notes.append(f"{tried} of {self._step.trials} trials were made: there is nothing else to try.")
        return notes + never_improved(self.objective, [r.score for r in self._results])


def never_improved(objective: str, scores: Sequence[float | None]) -> list[str]:
    """The note on a search of which every trial came out the same, if it did; None is a trial that failed.

    Examples
    --------
    >>> never_improved("val_auc", [0.5, None, 0.5])
    ['Every trial has the same val_auc, 0.5: nothing was improved.']
    >>> never_improved("val_auc", [0.5, 0.6])
    []
    """
    done = [score for score in scores if score is not None]
    same = len(done) > 1 and len(set(done)) == 1
    return [f"Every trial has the same {objective}, {done[0]:.4g}: nothing was improved."] if same else []


def all_failed(reasons: Sequence[tuple[str, str]]) -> TrainingError:
    """The error for a search of which no trial finished.

    Parameters
    ----------
    reasons
        Of each trial, with its id.
    """
    first: dict[str, str] = {}
    for trial, reason in reasons:
        first.setdefault(reason, trial)
    told = " ".join(f"Trial {trial}: {reason}" for reason, trial in list(first.items())[:3])
    return TrainingError(f"None of {len(reasons)} trials finished. {told}", fix="The log has their tracebacks.")


def _oracle(step: Tune) -> Any:
    objective = keras_tuner.Objective(step.objective, step.direction)
    common = {
        "seed": (step.seed - 1) % (2**32 - 1) + 1,  # KerasTuner takes 0 for "any"
        "max_consecutive_failed_trials": step.trials + 1,  # those that failed never end the search
    }
    try:
        match step.algorithm:
            case "random":
                return keras_tuner.oracles.RandomSearchOracle(objective, max_trials=step.trials, **common)
            case "grid":
                return keras_tuner.oracles.GridSearchOracle(objective, max_trials=step.trials, **common)
            case "bayesian":
                return keras_tuner.oracles.BayesianOptimizationOracle(objective, max_trials=step.trials, **common)
            case "hyperband":
                oracle = keras_tuner.oracles.HyperbandOracle(
                    objective, max_epochs=step.epochs, hyperband_iterations=None, **common
                )
                oracle.max_trials = step.trials  # it has no argument for it
                return oracle
    except ImportError:
        raise StepFailed(
            f"KerasTuner's {step.algorithm} search needs scikit-learn.", fix="pip install scikit-learn"
        ) from None
