"""Hyperparameters that were found or given: read from KerasTuner's own format, and held against ``build_model``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine import hyperparameters as kinds

from fluent_pipe.errors import ArgumentError, FluentPipeError, TrainingError
from fluent_pipe.steps import checks
from fluent_pipe.steps.functions import UserFunction
from fluent_pipe.training.data import TrainingData
from fluent_pipe.training.user_model import build

SEARCH_ONLY = "tuner/"
"""KerasTuner's hyperband notes down its own affairs among a trial's values, under names that begin so."""

Config = Mapping[str, Any]
"""``HyperParameters.get_config()``: ``{"space": [...], "values": {name: value}}``."""


def read(path: Path) -> dict[str, Any]:
    """KerasTuner's config in a file, such as TFX's ``best_hyperparameters.txt``.

    Raises
    ------
    ArgumentError
        If the file holds anything else.
    """
    config = checks.hyperparameters(path)
    try:
        return dict(keras_tuner.HyperParameters.from_config(config).get_config())
    except Exception as error:  # KerasTuner builds the parameters from what the file says
        raise ArgumentError(f"KerasTuner cannot read these hyperparameters: {error!r}.", where=str(path)) from None


def values(config: Config) -> dict[str, Any]:
    """The values by name, without hyperband's own."""
    return {name: value for name, value in config["values"].items() if not name.startswith(SEARCH_ONLY)}


def preset(given: Mapping[str, Any]) -> keras_tuner.HyperParameters:
    """What ``build_model`` is called with: a parameter that it declares has the given value, else its default."""
    hp = keras_tuner.HyperParameters()
    hp.values = dict(given)
    return hp


def declared(hp: keras_tuner.HyperParameters) -> dict[str, Any]:
    """The values of what ``build_model`` has declared and, by its conditions, used."""
    return {p.name: hp.values[p.name] for p in hp.space if hp.is_active(p) and p.name in hp.values}


def build_with(
    function: UserFunction | None, data: TrainingData, config: Config | None, *, where: str | None = None
) -> tuple[keras.Model, dict[str, Any]]:
    """The compiled model for given hyperparameters, and the values that it was made with.

    Parameters
    ----------
    config
        What was found or given; None for the defaults.
    where
        Where it comes from, for messages.

    Raises
    ------
    TrainingError
        If a value is not in the range that ``build_model`` declares, or there is one that it never declares.
    UserCodeError
        As :func:`fluent_pipe.training.user_model.build`.
    """
    given = {} if config is None else values(config)
    hp = preset(given)
    try:
        model = build(function, data, hp)
    except FluentPipeError:
        _check_ranges(hp, given, where)  # then that is why it failed
        raise
    _check_ranges(hp, given, where)
    unknown = set(given) - {p.name for p in hp.space}
    if unknown:
        unknown -= _declared_otherwise(function, data, hp)
    for name in sorted(unknown):
        raise TrainingError(
            f"build_model never declares the hyperparameter {name!r}.",
            where=where,
            got=name,
            valid=[p.name for p in hp.space],
            fix="Give hyperparameters that were found for this model.",
        )
    return model, declared(hp)


def _check_ranges(hp: keras_tuner.HyperParameters, given: Mapping[str, Any], where: str | None) -> None:
    for parameter in hp.space:
        if parameter.name in given and hp.is_active(parameter) and not _fits(parameter, given[parameter.name]):
            raise TrainingError(
                f"Hyperparameter {parameter.name!r} is {given[parameter.name]!r}; build_model declares "
                f"{_range(parameter)}.",
                where=where,
                fix="Give hyperparameters that were found for this model.",
            )


def _fits(parameter: Any, value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(parameter, (kinds.Int, kinds.Float)):
        whole = not isinstance(parameter, kinds.Int) or value == int(value) if number else False
        low, high = parameter.min_value, parameter.max_value
        # A value that was sampled on a logarithmic scale may miss an end by a rounding error.
        return whole and (low <= value <= high or math.isclose(value, low) or math.isclose(value, high))
    if isinstance(parameter, kinds.Boolean):
        return isinstance(value, bool)
    if isinstance(parameter, kinds.Fixed):
        return bool(value == parameter.value)
    return value in parameter.values


def _range(parameter: Any) -> str:
    if isinstance(parameter, kinds.Int):
        return f"a whole number from {parameter.min_value} to {parameter.max_value}"
    if isinstance(parameter, kinds.Float):
        return f"a number from {parameter.min_value} to {parameter.max_value}"
    if isinstance(parameter, kinds.Boolean):
        return "True or False"
    if isinstance(parameter, kinds.Fixed):
        return f"{parameter.value!r} alone"
    return f"one of {', '.join(repr(v) for v in parameter.values)}"


def _declared_otherwise(function: UserFunction | None, data: TrainingData, hp: keras_tuner.HyperParameters) -> set[str]:
    """Names that ``build_model`` declares for other values, such as ``units_3`` where ``layers`` is larger.

    A file of KerasTuner's own holds values of every parameter that any trial had.
    """
    found: set[str] = set()
    for other in _others(hp):
        tried = preset(other)
        try:
            build(function, data, tried)
        except FluentPipeError:
            continue
        finally:
            found |= {p.name for p in tried.space}
    return found


def _others(hp: keras_tuner.HyperParameters) -> Iterator[dict[str, Any]]:
    """The values with one of them at an end of its range, or at another choice."""
    used = declared(hp)
    for parameter in hp.space:
        if isinstance(parameter, (kinds.Int, kinds.Float)):
            choices = [parameter.min_value, parameter.max_value]
        elif isinstance(parameter, kinds.Boolean):
            choices = [True, False]
        else:
            choices = [] if isinstance(parameter, kinds.Fixed) else list(parameter.values)
        yield from ({**used, parameter.name: value} for value in choices if used.get(parameter.name) != value)
