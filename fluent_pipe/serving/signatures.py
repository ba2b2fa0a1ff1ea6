"""A SavedModel's signatures as its file has them, and rows as they take them. Loads no model."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from fluent_pipe.errors import ServingError
from fluent_pipe.training.raw_inputs import argument_name, raw_columns, serialized

Tensors = Mapping[str, np.ndarray[Any, Any]]
"""By input or output; the first dimension counts rows."""


@dataclass(frozen=True)
class Signature:
    """What one signature takes and gives.

    Parameters
    ----------
    name
        Such as ``serving_default``.
    inputs
        Tensor specs by name.
    outputs
        Names.
    """

    name: str
    inputs: Mapping[str, tf.TensorSpec]
    outputs: tuple[str, ...]

    def tensors(self, rows: pa.RecordBatch) -> dict[str, np.ndarray[Any, Any]]:
        """The inputs for rows of flat columns: serialized ``tf.Example``, or one tensor a column.

        Raises
        ------
        ArgumentError
            If a column is missing, or holds another type than the model takes.
        """
        name, spec = next(iter(self.inputs.items()))
        columns = [argument_name(column) for column in rows.schema.names]
        if len(self.inputs) == 1 and spec.dtype == tf.string and name not in columns:
            return {name: np.array(serialized(rows), object)}
        return raw_columns(rows, self.inputs)

    def read(self, predictions: Sequence[Any]) -> dict[str, np.ndarray[Any, Any]]:
        """Answers of :meth:`fluent_pipe.serving.client.Client.predict` by output. Null is NaN.

        Raises
        ------
        ServingError
            If an output is missing, or is not of one shape in all rows.
        """
        if len(self.outputs) == 1 and not (predictions and _is_mapping_of(predictions[0], self.outputs)):
            return {self.outputs[0]: _array(self.outputs[0], predictions)}
        absent = [n for n in self.outputs if not all(isinstance(p, dict) and n in p for p in predictions)]
        if absent:
            raise ServingError(
                f"The server's answer to signature {self.name!r} has no output {absent[0]!r}.",
                got=absent[0],
                valid=predictions[0] if predictions and isinstance(predictions[0], dict) else (),
            )
        return {name: _array(name, [p[name] for p in predictions]) for name in self.outputs}


def read_signatures(folder: Path) -> dict[str, Signature]:
    """The signatures of a SavedModel that is to be served.

    Raises
    ------
    ServingError
        If the folder holds none, or it cannot be read.
    """
    file = folder / "saved_model.pb"
    try:
        graphs = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs
    except (OSError, DecodeError) as error:
        raise ServingError(f"There is no SavedModel that can be read: {error}.", where=str(file)) from error
    graph = next((g for g in graphs if "serve" in g.meta_info_def.tags), None)
    if graph is None:
        raise ServingError(
            "The SavedModel has no graph with the tag 'serve', so no server can serve it.",
            where=str(file),
            got="serve",
            valid=[tag for g in graphs for tag in g.meta_info_def.tags],
            fix="Save it with keras.export.ExportArchive().write_out(...), model.export(...) or tf.saved_model.save.",
        )
    return {
        name: Signature(
            name,
            {n: tf.TensorSpec(info.tensor_shape, info.dtype, n) for n, info in sorted(definition.inputs.items())},
            tuple(sorted(definition.outputs)),
        )
        for name, definition in graph.signature_def.items()
        if definition.inputs
    }


def instances(tensors: Tensors) -> list[Any]:
    """Rows for :meth:`fluent_pipe.serving.client.Client.predict`: a mapping each."""
    columns = {name: _plain(values.tolist()) for name, values in tensors.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if not isinstance(value, bytes):
        return value
    # Always so: a server takes text and bytes alike in this form, and not all bytes are text.
    return {"b64": base64.b64encode(value).decode()}


def _is_mapping_of(value: Any, names: Sequence[str]) -> bool:
    return isinstance(value, dict) and set(names) <= set(value)


def _array(name: str, values: Sequence[Any]) -> np.ndarray[Any, Any]:
    try:
        array = np.array(values)
    except ValueError as error:
        raise ServingError(f"The server's answers in output {name!r} are not of one shape: {error}.") from error
    if array.dtype.kind == "U":
        return np.char.encode(array, "utf-8").astype(object)
    if array.dtype == object:
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError):
            return np.array([_bytes(v) for v in array.reshape(-1)], object).reshape(array.shape)
    return array


def _bytes(value: Any) -> Any:
    if isinstance(value, dict) and "b64" in value:
        return base64.b64decode(value["b64"])
    return value.encode() if isinstance(value, str) else value
