"""Raw columns as the ``serving_raw`` signature takes them, and a model that is served from its folder.

Each raw column is one tensor: ``[batch]`` for one value a row, ``[batch, k]`` for many, filled up at the end. What is
missing is said by a value: NaN in floats, ``""`` in text, the least int64 in integers. The tensor has the column's
name, or :func:`argument_name` of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from fluent_pipe.arrow.tf_example import serialized as serialized
from fluent_pipe.arrow.tfx import plain
from fluent_pipe.errors import ArgumentError, TrainingError
from fluent_pipe.training.columns import pad

MISSING_FLOAT = float("nan")
MISSING_STRING = b""
MISSING_INT = int(np.iinfo(np.int64).min)

OUTPUT = "predictions"


def argument_name(column: str) -> str:
    """The name of a raw column among the arguments of ``serving_raw``.

    TensorFlow rewrites names that are no identifiers of letters, digits and underscores, and then finds two alike, or
    none. Such a column gets a name that depends on it alone.

    Examples
    --------
    >>> argument_name("miles"), argument_name("miles/hour")
    ('miles', 'miles_hour_1d57dc8f')
    """
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", column) and column != "self":
        return column
    stem = re.sub(r"[^A-Za-z0-9_]", "_", column)
    stem = stem if stem[:1].isalpha() else f"column_{stem.lstrip('_')}"
    return f"{stem}_{hashlib.blake2b(column.encode(), digest_size=4).hexdigest()}"


def missing_value(dtype: tf.DType) -> Any:
    """What stands for a missing value of ``dtype`` in ``serving_raw``."""
    if dtype.is_floating:
        return MISSING_FLOAT
    return MISSING_STRING if dtype == tf.string else MISSING_INT


def raw_columns(
    batch: pa.RecordBatch, signature_inputs: Mapping[str, tf.TensorSpec]
) -> dict[str, np.ndarray[Any, Any]]:
    """The inputs of ``serving_raw`` for a batch of flat columns.

    Parameters
    ----------
    batch
        Raw rows; null is missing. Columns that the signature does not name are left out.
    signature_inputs
        Tensor specs by column: ``model.signatures["serving_raw"].structured_input_signature[1]``.

    Returns
    -------
    dict of str to np.ndarray
        ``[rows]`` or ``[rows, longest]`` by column.

    Raises
    ------
    ArgumentError
        If a column is missing, or holds another type than the model learnt from.
    """
    columns = {argument_name(name): name for name in batch.schema.names}
    absent = [argument for argument in signature_inputs if argument not in columns]
    if absent:
        raise ArgumentError(
            f"The model needs column {absent[0]!r}, which these rows do not have.",
            got=absent[0],
            valid=batch.schema.names,
        )
    return {
        argument: _raw_column(name, batch.column(batch.schema.get_field_index(name)), spec)
        for argument, spec in signature_inputs.items()
        for name in (columns[argument],)
    }


def _raw_column(name: str, column: pa.Array, spec: tf.TensorSpec) -> np.ndarray[Any, Any]:
    many = spec.shape.rank == 2
    is_list = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    if pa.types.is_null(column.type):
        shape = (len(column), spec.shape[1] or 1) if many else (len(column),)
        return np.full(shape, missing_value(spec.dtype), spec.dtype.as_numpy_dtype)
    if not is_list:
        values = _with_missing(name, plain(column), spec.dtype)
        return values[:, None] if many else values
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    rows = pad(_with_missing(name, plain(column.flatten()), spec.dtype), lengths, missing_value(spec.dtype))
    if many:
        return rows
    if lengths.max(initial=0) > 1:
        raise ArgumentError(f"Column {name!r} holds up to {lengths.max()} values a row, and the model takes one.")
    return rows[:, 0]


def _with_missing(name: str, values: pa.Array, dtype: tf.DType) -> np.ndarray[Any, Any]:
    is_text = pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type)
    if pa.types.is_null(values.type):
        return np.full(len(values), missing_value(dtype), dtype.as_numpy_dtype)
    if is_text != (dtype == tf.string):
        raise ArgumentError(
            f"Column {name!r} is {values.type}, and the model learnt from {dtype.name}.",
            fix="Score rows of the same columns and types that the model was trained on.",
        )
    if dtype.is_floating:
        numbers: np.ndarray[Any, Any] = values.to_numpy(zero_copy_only=False)  # null becomes NaN
        return numbers.astype(dtype.as_numpy_dtype, copy=False)
    if dtype == tf.string:
        filled = values.fill_null(MISSING_STRING) if values.null_count else values
        return filled.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
    if pa.types.is_floating(values.type):  # integers with nulls often come as floats
        values = values.cast(pa.int64(), safe=False)
    return (values.fill_null(MISSING_INT) if values.null_count else values).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def columns_read(folder: Path, columns: Iterable[str]) -> list[str] | None:
    """Those of ``columns`` that a SavedModel reads; None where it takes serialized examples alone, which do not tell.

    Raises
    ------
    TrainingError
        If the folder holds no model with a serving signature.
    """
    try:
        content = (folder / "saved_model.pb").read_bytes()
    except OSError as error:
        raise TrainingError(f"{folder} holds no SavedModel: {error.strerror or error}.") from error
    signatures = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].signature_def
    if "serving_raw" in signatures:
        return [column for column in columns if argument_name(column) in signatures["serving_raw"].inputs]
    if "serving_default" not in signatures:
        raise _no_signature(folder, [name for name in signatures if not name.startswith("__")])
    return None


def _no_signature(folder: str | Path, there: Iterable[str]) -> TrainingError:
    return TrainingError(
        f"The model in {folder} has no signature 'serving_default'.", got="serving_default", valid=there
    )


class ServedModel:
    """A SavedModel, loaded once, that predicts for raw rows.

    Parameters
    ----------
    folder
        ``Format-Serving`` of a :class:`~fluent_pipe.artifacts.Model`.

    Raises
    ------
    TrainingError
        If the folder holds no model with a serving signature.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            self._model = tf.saved_model.load(str(folder))
        except (OSError, ValueError) as error:
            raise TrainingError(f"{folder} holds no SavedModel that can be loaded: {error}.") from error
        signatures = self._model.signatures
        self._takes_columns = "serving_raw" in signatures
        name = "serving_raw" if self._takes_columns else "serving_default"
        if name not in signatures:
            raise _no_signature(folder, signatures)
        self._predict = signatures[name]
        self._inputs: dict[str, tf.TensorSpec] = self._predict.structured_input_signature[1]
        outputs = list(self._predict.structured_outputs)
        self._output = OUTPUT if OUTPUT in outputs or len(outputs) != 1 else outputs[0]
        if self._output not in outputs:
            raise TrainingError(f"Signature {name!r} has no output {OUTPUT!r}.", got=OUTPUT, valid=outputs)

    @property
    def columns(self) -> list[str]:
        """Arguments of ``serving_raw`` (see :func:`argument_name`); empty where it takes serialized examples alone."""
        return list(self._inputs) if self._takes_columns else []

    def predict(self, batch: pa.RecordBatch) -> np.ndarray[Any, Any]:
        """Predictions for raw rows of flat columns.

        Returns
        -------
        np.ndarray
            ``[rows]`` float32 for one output a row (binary, regression), ``[rows, classes]`` otherwise.

        Raises
        ------
        ArgumentError
            If a column that the model needs is missing, or of another type.
        """
        if self._takes_columns:
            inputs = {n: tf.constant(v, self._inputs[n].dtype) for n, v in raw_columns(batch, self._inputs).items()}
        else:
            (argument,) = self._inputs
            inputs = {argument: tf.constant(serialized(batch), tf.string)}
        predictions: np.ndarray[Any, Any] = self._predict(**inputs)[self._output].numpy()
        return predictions[:, 0] if predictions.ndim == 2 and predictions.shape[1] == 1 else predictions
