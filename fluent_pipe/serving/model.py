"""A SavedModel in a session, as TensorFlow Serving has it.

Not ``tf.saved_model.load``: a model may load in eager mode and yet lack variables or tables when its graph runs in a
session, and then no other server could serve it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2

from fluent_pipe.errors import ServingError
from fluent_pipe.serving.folder import Version
from fluent_pipe.serving.limits import Limits
from fluent_pipe.training.raw_inputs import missing_value

Arrays = Mapping[str, np.ndarray[Any, Any]]
"""Tensors by the name of an input or output."""

DEFAULT_SIGNATURE = "serving_default"
COLUMNS_SIGNATURE = "serving_raw"
"""Takes one tensor a raw column, and knows what stands for a missing value: see ``training/export.py``."""


@dataclass(frozen=True)
class Input:
    """What a signature takes by one name.

    Parameters
    ----------
    name
        Of the argument.
    dtype
        Of the values.
    shape
        With the batch as its first dimension; None in it for any size. None if the rank is not known.
    missing
        What stands for a missing value, where the signature has such a thing.
    """

    name: str
    dtype: tf.DType
    shape: tuple[int | None, ...] | None
    missing: Any = None

    @property
    def by_row(self) -> bool:
        """Whether the first dimension counts rows."""
        return self.shape is None or (len(self.shape) > 0 and self.shape[0] is None)


class Signature:
    """One signature of a loaded model.

    Attributes
    ----------
    inputs
        By name, in order.
    outputs
        Names, in order.
    takes_columns
        Whether it takes raw columns, of which any may be missing.
    by_row
        Whether each row is answered by itself, as far as the shapes tell, so that requests can share a batch.
    """

    def __init__(
        self, name: str, definition: meta_graph_pb2.SignatureDef, session: tf.compat.v1.Session, seconds: float
    ) -> None:
        self.name = name
        self.takes_columns = name == COLUMNS_SIGNATURE
        self.inputs = {n: _input(n, definition.inputs[n], self.takes_columns) for n in sorted(definition.inputs)}
        self.outputs = tuple(sorted(definition.outputs))
        outputs = [_shape(definition.outputs[n]) for n in self.outputs]
        self.by_row = all(i.by_row for i in self.inputs.values()) and all(not s or s[0] is None for s in outputs)
        options = config_pb2.CallableOptions(
            feed=[definition.inputs[n].name for n in self.inputs],
            fetch=[definition.outputs[n].name for n in self.outputs],
            run_options=config_pb2.RunOptions(timeout_in_ms=int(seconds * 1000)),
        )
        # A third less time a call than session.run() and make_callable(), which go through the feeds each time.
        self._call: Callable[..., list[Any]] = session._make_callable_from_options(options)  # noqa: SLF001

    def run(self, arrays: Arrays) -> dict[str, np.ndarray[Any, Any]]:
        """Outputs for inputs; any of TensorFlow's errors."""
        results = self._call(*(arrays[name] for name in self.inputs))
        return dict(zip(self.outputs, map(np.asarray, results), strict=True))


class LoadedModel:
    """A version of a model, ready to answer.

    Parameters
    ----------
    version
        Which, and where it lies.
    seconds
        After which a run is broken off, so that nothing runs on for which nobody waits.

    Attributes
    ----------
    signatures
        By name; those that take plain tensors.
    load_seconds
        From the first byte read until the session was there; a trial run adds to it.

    Raises
    ------
    ServingError
        If there is no SavedModel, or it does not load in a session.
    """

    def __init__(self, version: Version, *, seconds: float = Limits.seconds) -> None:
        begun = time.perf_counter()
        self.version = version
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph)
        try:
            with graph.as_default():
                loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], str(version.path))
            self.definitions: dict[str, meta_graph_pb2.SignatureDef] = {
                name: definition
                for name, definition in loaded.signature_def.items()
                if not name.startswith("__saved_model_")  # how the loader initialises it, and no one's to call
            }
            self.signatures = {
                name: Signature(name, definition, self._session, seconds)
                for name, definition in self.definitions.items()
                if definition.outputs and all(info.WhichOneof("encoding") == "name" for info in _infos(definition))
            }
            if not self.signatures:
                raise ServingError("The SavedModel has no signature that can be called.", where=str(version.path))
        except BaseException as error:
            self._session.close()
            if isinstance(error, ServingError) or not isinstance(error, Exception):
                raise
            raise ServingError(f"The SavedModel does not load: {reason(error)}", where=str(version.path)) from error
        self.load_seconds = time.perf_counter() - begun

    def metadata(self) -> dict[str, Any]:
        """The signatures as TensorFlow Serving's metadata has them."""
        return {
            name: json_format.MessageToDict(
                definition, preserving_proto_field_name=True, including_default_value_fields=True
            )
            for name, definition in sorted(self.definitions.items())
        }

    def close(self) -> None:
        """Give memory back."""
        self._session.close()


def reason(error: BaseException, *, most: int = 300) -> str:
    """What a TensorFlow error says, as one line: without the nodes and tracebacks below it."""
    text = str(getattr(error, "message", None) or error) or type(error).__name__
    # A graph's error begins with where, over several lines; what happened follows "error:" or a code's name.
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    line = next((found for found in lines if not found.startswith(("Graph execution error", "Detected at"))), lines[0])
    return line if len(line) <= most else f"{line[:most]}..."


def _infos(definition: meta_graph_pb2.SignatureDef) -> list[meta_graph_pb2.TensorInfo]:
    return [*definition.inputs.values(), *definition.outputs.values()]


def _input(name: str, info: meta_graph_pb2.TensorInfo, takes_columns: bool) -> Input:  # noqa: FBT001
    dtype = tf.dtypes.as_dtype(info.dtype)
    return Input(name, dtype, _shape(info), missing_value(dtype) if takes_columns else None)


def _shape(info: meta_graph_pb2.TensorInfo) -> tuple[int | None, ...] | None:
    if info.tensor_shape.unknown_rank:
        return None
    return tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
