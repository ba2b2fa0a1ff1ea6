"""Calls the user's functions, and says what is wrong with what they raise or return."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
import keras_tuner
import numpy as np

from fluent_pipe.errors import UserCodeError
from fluent_pipe.steps.functions import UserFunction, called
from fluent_pipe.training import default_model
from fluent_pipe.training.columns import PADDING
from fluent_pipe.training.data import TrainingData


def build(function: UserFunction | None, data: TrainingData, hp: keras_tuner.HyperParameters) -> keras.Model:
    """The compiled model that the user's ``build_model(data, hp)`` or ``build_model(data)`` makes.

    Parameters
    ----------
    function
        The user's function; None for :func:`fluent_pipe.training.default_model.build_model`.

    Raises
    ------
    UserCodeError
        If it raises, or what it returns is no compiled Keras 3 model whose inputs are transformed features and whose
        output fits the label.
    """
    if function is None:
        return default_model.build_model(data, hp)
    callable_ = function.resolve()
    model = called(function, callable_, *(data, hp)[: _takes(callable_)], names=data.features)
    _check_kind(function, model)
    _check_inputs(function, model, data)
    _check_output(function, model, data)
    return model


def features_used(model: keras.Model, data: TrainingData) -> list[str]:
    """The transformed features that a model takes; all of them for a model that does not say."""
    names = _input_names(model)
    return data.features if names is None else [name for name in data.features if name in names]


def _takes(callable_: Callable[..., Any]) -> int:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(callable_).parameters.values()
    except (TypeError, ValueError):
        return 2
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return 2
    return min(2, sum(p.kind in kinds for p in parameters))


def _check_kind(function: UserFunction, model: Any) -> None:
    if isinstance(model, keras.Model):
        if not model.compiled:
            raise UserCodeError(
                f"{function.name} returned a model that is not compiled.",
                where=function.where,
                fix="Call model.compile(optimizer=..., loss=...) before returning it.",
            )
        return
    if model is None:
        fact, fix = f"{function.name} returned nothing.", "Return the compiled model."
    elif type(model).__module__.startswith("tf_keras"):
        fact, fix = f"{function.name} returned a Keras 2 model (tf_keras).", "Build it with `import keras`, Keras 3."
    else:
        fact, fix = f"{function.name} returned {type(model).__name__}.", "Return a compiled keras.Model."
    raise UserCodeError(fact, where=function.where, fix=fix)


def _input_names(model: keras.Model) -> list[str] | None:
    if not model.built or not getattr(model, "inputs", None):
        return None
    structure = model.input
    return list(structure) if isinstance(structure, dict) else [tensor.name for tensor in model.inputs]


def _check_inputs(function: UserFunction, model: keras.Model, data: TrainingData) -> None:
    unknown = [name for name in _input_names(model) or () if name not in data.features]
    if unknown:
        role = " It is the label." if unknown[0] == data.label else ""
        raise UserCodeError(
            f"Model input {unknown[0]!r} is not a transformed feature.{role}",
            where=function.where,
            got=unknown[0],
            valid=data.features,
            fix="Take the inputs from data.inputs().",
        )


def _check_output(function: UserFunction, model: keras.Model, data: TrainingData) -> None:
    sample = {name: _sample(data, name) for name in features_used(model, data)}
    try:
        output = model(sample, training=False)
    except Exception as error:
        text = str(error).strip().partition("\n")[0].rstrip(".")
        raise UserCodeError(
            f"The model cannot be called with the transformed features: {type(error).__name__}: {text}.",
            where=function.where,
            fix="It is called with a dict of tensors by feature name, as data.inputs() has them.",
        ) from error
    if isinstance(output, (dict, list, tuple)):
        raise UserCodeError(
            f"The model has {len(output)} outputs.",
            where=function.where,
            fix="Return a model with one output, for the label.",
        )
    shape = tuple(output.shape)[1:]
    valid = _valid_shapes(data)
    if shape not in valid:
        what = f"{data.task} with {data.class_count} classes" if data.class_count else data.task
        raise UserCodeError(
            f"The model's output has the shape {_shown(shape)}, which does not fit label {data.label!r} ({what}).",
            where=function.where,
            fix=f"Make the last layer give {' or '.join(_shown(s) for s in valid if s)}.",
        )


def _sample(data: TrainingData, name: str) -> np.ndarray[Any, Any]:
    feature = data.feature(name)
    shape = (2, *(size or 1 for size in feature.row_shape))
    if feature.dtype == "string":
        return np.full(shape, PADDING["string"], object)
    return np.zeros(shape, feature.dtype)


def _valid_shapes(data: TrainingData) -> list[tuple[int, ...]]:
    if data.task == "multiclass":
        return [(data.class_count or data.label_size,)]
    if data.label_size > 1:
        return [(data.label_size,)]
    return [(1,), (), (2,)] if data.task == "binary" else [(1,), ()]


def _shown(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(str(size) for size in ('batch', *shape))}]"
