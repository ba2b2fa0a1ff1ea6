"""The user's ``preprocessing_fn`` as TensorFlow Transform calls it, with failures that name the user's line."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from tensorflow_transform import analyzer_nodes

from fluent_pipe.components.base import Context
from fluent_pipe.errors import FluentPipeError, TrainingError, UserCodeError
from fluent_pipe.steps.functions import UserFunction

Tensors = Mapping[str, Any]

_INSTALLED = tuple({sysconfig.get_paths()[k] for k in ("purelib", "platlib", "stdlib")})
_MOST_MESSAGE = 600


class PreprocessingFunction:
    """Calls the user's function, checks what it returns, and brings results to the three types that TFT stores.

    Pickles: a function that was given by name is resolved again where it is used.

    Parameters
    ----------
    function
        The user's ``preprocessing_fn(inputs)``.
    context
        Of the step; the last traces happen on workers, and their failures must come back.
    label, weight
        Features that must be among the results.
    """

    def __init__(self, function: UserFunction, context: Context, *, label: str | None, weight: str | None) -> None:
        self._function = function
        self._context = context
        self._label = label
        self._weight = weight
        self._resolved: Callable[..., Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_resolved": None}

    @property
    def where(self) -> str:
        """Function, file and line."""
        return self._function.where

    def resolve(self) -> None:
        """Import the function now.

        Raises
        ------
        UserCodeError
            If that fails.
        """
        self._resolved = self._resolved or self._function.resolve()

    def __call__(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The features of a batch of rows; TFT traces this several times."""
        with self._context.explained():
            return self._features(inputs)

    def _features(self, inputs: dict[str, Any]) -> dict[str, Any]:
        self.resolve()
        assert self._resolved is not None
        columns = tuple(inputs)
        try:
            outputs = self._resolved(inputs)
        except FluentPipeError:
            raise
        except Exception as error:
            raise self._explained(error, columns) from error
        features = self._checked(outputs)
        self._check_roles(features)
        return features

    def _explained(self, error: Exception, columns: tuple[str, ...]) -> UserCodeError:
        where = f"{self._function.name} ({_user_line(error, self._resolved)})"
        key = error.args[0] if isinstance(error, KeyError) and error.args else None
        if isinstance(key, str) and key not in columns:
            return UserCodeError(f"inputs has no column {key!r}.", where=where, got=key, valid=sorted(columns))
        message = str(error).strip()[:_MOST_MESSAGE]
        return UserCodeError(f"{type(error).__name__}: {message}", where=where)

    def _checked(self, outputs: Any) -> dict[str, Any]:
        fix = 'Return a dictionary of features, such as {"fare": tft.scale_to_z_score(inputs["fare"])}.'
        if outputs is None:
            raise UserCodeError("The function returns nothing.", where=self.where, fix=fix)
        if not isinstance(outputs, Mapping):
            raise UserCodeError(f"The function returns {_a(outputs)}, not a dictionary.", where=self.where, fix=fix)
        if not outputs:
            raise UserCodeError("The function returns an empty dictionary.", where=self.where, fix=fix)
        return {name: self._tensor(name, value) for name, value in outputs.items()}

    def _tensor(self, name: Any, value: Any) -> Any:
        if not isinstance(name, str):
            raise UserCodeError(f"A feature is named by {name!r}, {_a(name)}, not a text.", where=self.where)
        if not isinstance(value, (tf.Tensor, tf.SparseTensor, tf.RaggedTensor)):
            raise UserCodeError(f"Feature {name!r} is {_a(value)}, not a tensor.", where=self.where)
        if value.shape.rank == 0:
            raise UserCodeError(
                f"Feature {name!r} is one value for all rows.", where=self.where, fix="Return one value for each row."
            )
        self._check_shape(name, value)
        return _storable(value)

    def _check_shape(self, name: str, value: Any) -> None:
        if not isinstance(value, tf.Tensor) or value.shape[1:].is_fully_defined():
            return
        if tf.compat.v1.get_default_graph().get_collection(analyzer_nodes.TENSOR_REPLACEMENTS):
            return  # an analyzer's result, still to come, may decide the shape
        raise UserCodeError(
            f"Feature {name!r} has rows of unknown size: its shape is {value.shape}.",
            where=self.where,
            fix="Fix it, as with tf.reshape(x, [-1]) or tft.sparse_tensor_to_dense_with_shape(x, [None, 1]), "
            "or return a sparse tensor.",
        )

    def _check_roles(self, features: Tensors) -> None:
        for role, name in (("Label", self._label), ("Weight", self._weight)):
            if name is None:
                continue
            if name not in features:
                raise TrainingError(
                    f"{role} {name!r} is not a transformed feature.", where=self.where, got=name, valid=sorted(features)
                )
            if features[name].dtype == tf.string:
                raise TrainingError(
                    f"{role} {name!r} is text.",
                    where=self.where,
                    fix="Return numbers: tft.compute_and_apply_vocabulary makes class indices of texts.",
                )


def graph_failure(text: str) -> str | None:
    """TensorFlow's own sentence, and the operation, in the text of an error that a TFT job raised on a worker.

    Returns
    -------
    str or None
        None if the text is of another failure.
    """
    if "while trying to apply the transformation" not in text:
        return None
    told = text.partition('apply the transformation: "')[2].partition("Batch instances:")[0]
    said, marker, operation = told.partition("[[{{node ")
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["no reason was given"]
    name = operation.partition("}}")[0].rpartition("/")[2]
    return lines[-1].rstrip(' ".,')[:_MOST_MESSAGE] + (f" (operation {name})" if marker else "")


def _storable(value: Any) -> Any:
    """TFT stores int64, float32 and text; other numbers are converted, which TFT alone would refuse."""
    if value.dtype in (tf.int64, tf.float32, tf.string):
        return value
    return tf.cast(value, tf.float32 if value.dtype.is_floating else tf.int64)


def _user_line(error: Exception, function: Callable[..., Any] | None) -> str:
    """The last line of the user's own code on the way to the error."""
    frames = traceback.extract_tb(error.__traceback__)
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    own = [f for f in frames if f.filename == file] or [f for f in frames if not f.filename.startswith(_INSTALLED)]
    frame = (own or frames)[-1]
    return f"{frame.filename}:{frame.lineno}"


def _a(value: Any) -> str:
    kind = type(value).__name__
    return f"an {kind}" if kind[0] in "aeiouAEIOU" else f"a {kind}"
