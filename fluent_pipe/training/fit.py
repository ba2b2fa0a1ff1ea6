"""Fitting a Keras model: progress, early stopping, class weights, and a loss that is no number."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.autograph.core import config

from fluent_pipe import progress
from fluent_pipe.errors import FluentPipeError, TrainingError
from fluent_pipe.training.columns import to_array
from fluent_pipe.training.data import TrainingData
from fluent_pipe.training.dataset import windows

SECONDS_BETWEEN_REPORTS = 0.2
HUGE = 1e6


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """How a model is fitted; the words are those of :class:`fluent_pipe.steps.model.Train`.

    Parameters
    ----------
    step
        Id of the step that reports progress.
    logs
        Folder for TensorBoard; None for no logs.
    initial_epoch
        Epochs that the model was fitted for before; they count among ``epochs``.
    callbacks
        More of Keras' callbacks.
    before, after
        What progress says before and after the epoch.
    part
        Of the step's work that is done when all epochs are.
    """

    step: str
    train_split: str
    validation_split: str | None
    epochs: int = 1
    steps: int | None = None
    batch_size: int = 1024
    early_stopping: int | None = None
    class_weights: Literal["balanced"] | Mapping[int, float] | None = None
    seed: int = 0
    logs: Path | None = None
    initial_epoch: int = 0
    callbacks: tuple[keras.callbacks.Callback, ...] = ()
    before: str = ""
    after: str = ""
    part: float = 1.0


def fit(model: keras.Model, data: TrainingData, fitting: Fitting, *, features: list[str]) -> dict[str, list[float]]:
    """Fit a compiled model to the training split.

    Parameters
    ----------
    features
        Transformed features that the model takes.

    Returns
    -------
    dict of str to list of float
        Values of each metric, one an epoch.

    Raises
    ------
    TrainingError
        If the loss is no number, or TensorFlow fails.
    Interrupted
        If the run was asked to stop.
    """
    weights = class_weights(data, fitting.class_weights)
    size = fitting.batch_size
    training = data.batches(
        fitting.train_split, batch_size=size, features=features, shuffle_seed=fitting.seed, class_weights=weights
    )
    validation = None
    if fitting.validation_split is not None:
        validation = data.batches(fitting.validation_split, batch_size=max(size, 4096), features=features)
    steps = fitting.steps or training.count
    passes = math.ceil((fitting.epochs - fitting.initial_epoch) * steps / max(training.count, 1))
    watch = _Watch(fitting, data, features, batches=steps)
    _build_optimizer(model)
    try:
        history = model.fit(
            training.dataset(passes=passes),
            epochs=fitting.epochs,
            initial_epoch=fitting.initial_epoch,
            steps_per_epoch=steps,
            validation_data=None if validation is None else validation.dataset(),
            callbacks=[watch, *_callbacks(fitting), *fitting.callbacks],
            shuffle=False,  # the rows come shuffled
            verbose=0,
        )
    except FluentPipeError:
        raise
    except Exception as error:
        for batches in (training, validation):
            if batches is not None and batches.failures:
                raise batches.failures[0] from error
        raise explained(error, where=watch.where) from error
    losses = {name: [float(v) for v in values] for name, values in history.history.items()}
    _check_finite(model, losses, _causes(data, fitting, features))
    return losses


def _build_optimizer(model: keras.Model) -> None:
    """Make the optimizer's variables now.

    Keras would make them while it traces the first training step, and a function that makes variables while it is
    traced is traced a second time.
    """
    optimizer = model.optimizer
    if model.built and optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)


def _check_finite(model: keras.Model, history: Mapping[str, list[float]], causes: str) -> None:
    """The last update may break a model whose every training loss was a number."""
    for name in ("loss", "val_loss"):
        for epoch, value in enumerate(history.get(name, ()), 1):
            if not math.isfinite(value):
                which = "validation loss" if name == "val_loss" else "loss"
                raise TrainingError(f"The {which} is {value} after epoch {epoch}.", fix=causes)
    for variable in model.trainable_variables:
        broken = int(np.count_nonzero(~np.isfinite(keras.ops.convert_to_numpy(variable))))
        if broken:
            raise TrainingError(f"{broken:,} of {variable.path!r} are NaN or infinite after training.", fix=causes)


def class_weights(
    data: TrainingData, asked: Literal["balanced"] | Mapping[int, float] | None
) -> dict[int, float] | None:
    """Weight by class index; ``"balanced"`` makes every class weigh as much as the others in the training split.

    Raises
    ------
    TrainingError
        If the label has no classes, or a class index is none of them.
    """
    if asked is None:
        return None
    count = data.class_count
    if count is None:
        raise TrainingError(
            f"Label {data.label!r} is a quantity and has no classes to weigh.", fix="Leave class_weights out."
        )
    if asked != "balanced":
        unknown = [index for index in asked if not 0 <= index < count]
        if unknown:
            raise TrainingError(f"class_weights names class {unknown[0]}.", got=unknown[0], valid=range(count))
        return {int(index): float(weight) for index, weight in asked.items()}
    counts = data.class_counts()
    if not counts:
        raise TrainingError(
            f"The rows of each class of label {data.label!r} were not counted.",
            fix="Give class_weights={class index: weight} in place of 'balanced'.",
        )
    total = sum(counts)
    return {index: total / (len(counts) * n) for index, n in enumerate(counts) if n}


def explained(error: Exception, *, where: str | None = None) -> TrainingError:
    """A failure of TensorFlow as an error that says what to look at."""
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    line = next(
        (line for line in lines if " is not in [0" in line), lines[-1] if "Graph execution" in lines[0] else lines[0]
    )
    fix = None
    if "is not in [0" in text:
        fix = "An Embedding met an id past its size. data.cardinality(name) is the size that it needs."
    return TrainingError(f"{type(error).__name__}: {line.rstrip('.')}.", where=where, fix=fix)


def _callbacks(fitting: Fitting) -> list[keras.callbacks.Callback]:
    callbacks: list[keras.callbacks.Callback] = []
    if fitting.early_stopping is not None:
        monitor = "val_loss" if fitting.validation_split is not None else "loss"
        callbacks.append(
            keras.callbacks.EarlyStopping(
                monitor, patience=fitting.early_stopping, mode="min", restore_best_weights=True
            )
        )
    if fitting.logs is not None:
        callbacks.append(keras.callbacks.TensorBoard(str(fitting.logs), write_graph=False, update_freq="epoch"))
    return callbacks


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Reports progress, stops when the run was asked to, and when the loss is no number."""

    def __init__(self, fitting: Fitting, data: TrainingData, features: list[str], *, batches: int) -> None:
        super().__init__()
        self._fitting = fitting
        self._data = data
        self._features = features
        self._batches = batches
        self._epoch = 0
        self._batch = 0
        self._after_epoch = ""
        self._reported = 0.0
        self._done = 0.0

    @property
    def where(self) -> str:
        """The epoch and batch that the training is at, both from 1."""
        return f"epoch {self._epoch + 1}, batch {self._batch + 1}"

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._epoch, self._batch = epoch, 0

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self._batch = batch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        self._batch = batch
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss became {'NaN' if math.isnan(loss) else 'infinite'} in {self.where}.",
                fix=_causes(self._data, self._fitting, self._features),
            )
        self._report(f"{batch + 1}/{self._batches} · loss {loss:.4g}{self._after_epoch}")

    def on_test_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self._report("validating")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        logs = logs or {}
        shown = [n for n in logs if n.startswith("val_") and n != "val_loss"][:1] or [
            n for n in logs if n == "val_loss"
        ]
        self._after_epoch = "".join(f" · {name} {logs[name]:.4g}" for name in shown)
        loss = f" · loss {logs['loss']:.4g}" if "loss" in logs else ""
        self._report(f"{self._batches}/{self._batches}{loss}{self._after_epoch}", now=True)

    def _report(self, text: str, *, now: bool = False) -> None:
        progress.check()
        if now or time.monotonic() - self._reported >= SECONDS_BETWEEN_REPORTS:
            self._reported = time.monotonic()
            epoch = f"epoch {self._epoch + 1}/{self._fitting.epochs}"
            detail = f"{self._fitting.before}{epoch} · {text}{self._fitting.after}"
            before, self._done = self._done, self._fraction()
            progress.report(self._fitting.step, detail=detail, part=(self._done - before) * self._fitting.part)

    def _fraction(self) -> float:
        """Of all batches of all epochs."""
        first = self._fitting.initial_epoch
        done = (self._epoch - first) * self._batches + self._batch + 1
        return done / max((self._fitting.epochs - first) * self._batches, 1)


def _causes(data: TrainingData, fitting: Fitting, features: list[str]) -> str:
    """What in the first window of training rows can make a loss that is no number."""
    numbers = [data.feature(name) for name in features if data.feature(name).dtype == "float32"]
    columns = [*numbers, data.label_feature]
    window = next(windows(data.files(fitting.train_split), [f.name for f in columns]))
    found = []
    for feature in columns:
        values = to_array(window.column(feature.name), feature)
        what = f"{'Label' if feature.name == data.label else 'Feature'} {feature.name!r}"
        broken = int(np.count_nonzero(~np.isfinite(values)))
        largest = float(np.nanmax(np.abs(np.where(np.isfinite(values), values, 0)), initial=0))
        if broken:
            found.append(f"{what} has {broken:,} values that are NaN or infinite.")
        elif largest > HUGE:
            found.append(f"{what} has values up to {largest:.3g}: scale it in preprocessing_fn.")
    return (
        " ".join(found[:5]) or "No feature is NaN or huge: try a smaller learning rate, or look at the loss function."
    )


def quiet_tensorflow() -> None:
    """Keep TensorFlow's notes off the terminal, and AutoGraph off Keras 2.

    AutoGraph leaves libraries alone and rewrites what users write. Its list of libraries has ``keras`` and lacks
    ``tf_keras``, which is what TFX's module files get as ``tf.keras``: rewriting all of that took half a minute before
    the first training step.
    """
    tf.get_logger().setLevel("ERROR")
    rule = config.DoNotConvert("tf_keras")
    if not any(str(known) == str(rule) for known in config.CONVERSION_RULES):
        config.CONVERSION_RULES = (rule, *config.CONVERSION_RULES)
