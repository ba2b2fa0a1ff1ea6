"""TensorFlow Serving's REST format: https://www.tensorflow.org/tfx/serving/api_rest.

Two things are added. A request that names no signature and holds columns is answered by ``serving_raw``, where the
model has it; there a column that is null or left out is a missing value. And answers are JSON in the strict sense: NaN
and infinities, which TensorFlow Serving writes as they are, become null. In requests they are welcome.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import orjson

from fluent_pipe.serving.model import COLUMNS_SIGNATURE, DEFAULT_SIGNATURE, Arrays, LoadedModel, Signature
from fluent_pipe.serving.tensors import RequestError, is_bytes, tensor
from fluent_pipe.training.raw_inputs import argument_name

FORMATS = ("instances", "inputs")


@dataclass(frozen=True)
class PredictRequest:
    """A request that is understood.

    Parameters
    ----------
    signature
        Answers it.
    arrays
        Its inputs.
    rows
        Of each input; None where they differ, or an input has none.
    row_format
        Whether the answer is one prediction a row (``instances``) or one array an output (``inputs``).
    """

    signature: Signature
    arrays: Arrays
    rows: int | None
    row_format: bool


def understood(body: bytes, model: LoadedModel, default: str | None = None) -> PredictRequest:
    """Read the body of a ``:predict`` request.

    Parameters
    ----------
    body
        JSON.
    model
        Has the signatures.
    default
        Signature of a request that names none.

    Raises
    ------
    RequestError
        With status 400, and the column's name where it is about a column.
    """
    asked = _json(body)
    given = [key for key in FORMATS if key in asked]
    if len(given) != 1:
        raise RequestError(400, 'A request has either "instances", a list of rows, or "inputs", an object of columns.')
    unknown = sorted(set(asked) - {*FORMATS, "signature_name"})
    if unknown:
        raise RequestError(
            400, f"The request has a key {unknown[0]!r}.", got=unknown[0], valid=[*FORMATS, "signature_name"]
        )
    row_format, values = given[0] == "instances", asked[given[0]]
    signature = _signature(model, asked.get("signature_name"), default, values)
    columns = _by_row(values, signature) if row_format else _by_column(values, signature)
    arrays = {name: tensor(columns[name], each) for name, each in signature.inputs.items()}
    counts = {len(array) if array.ndim else None for array in arrays.values()}
    rows = counts.pop() if len(counts) == 1 else None
    if signature.takes_columns and rows is None:
        short, long = (pick(arrays, key=lambda name: len(arrays[name])) for pick in (min, max))
        raise RequestError(
            400, f"Column {short!r} has {len(arrays[short])} rows, and column {long!r} has {len(arrays[long])}."
        )
    return PredictRequest(signature, arrays, rows, row_format)


def answer(request: PredictRequest, outputs: Arrays) -> bytes:
    """The body of the answer.

    Raises
    ------
    RequestError
        If rows were asked for and an output is not by row.
    """
    plain = {name: writable(name, array) for name, array in outputs.items()}
    if not request.row_format:
        return dumped({"outputs": next(iter(plain.values())) if len(plain) == 1 else plain})
    for name, array in outputs.items():
        if array.ndim == 0 or len(array) != request.rows:
            raise RequestError(
                400,
                f"Output {name!r} of signature {request.signature.name!r} has shape {list(array.shape)} for "
                f"{request.rows} rows, so it is not by row.",
                fix='Ask with "inputs" in place of "instances".',
            )
    if len(plain) == 1:
        return dumped({"predictions": next(iter(plain.values()))})
    rows = zip(*plain.values(), strict=True)
    return dumped({"predictions": [dict(zip(plain, row, strict=True)) for row in rows]})


def writable(name: str, array: np.ndarray[Any, Any]) -> Any:
    """An output as the JSON writer takes it: an array or lists; bytes in base64 where they are no text."""
    if array.dtype == object:
        return _texts(array.tolist(), as_bytes=name.endswith("_bytes"))
    if array.dtype.kind not in "fiub" or array.dtype == np.float16:  # bfloat16 is of no kind that NumPy has
        array = array.astype(np.float32)
    return np.ascontiguousarray(array) if array.ndim else array[()]


def dumped(value: Any) -> bytes:
    """A body, NumPy's arrays in it included."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _json(body: bytes) -> dict[str, Any]:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            asked = json.loads(body)  # takes NaN and Infinity, as TensorFlow Serving does
        except (ValueError, RecursionError):
            raise RequestError(400, f"The body is not JSON: {error}.") from None
    if not isinstance(asked, dict):
        raise RequestError(400, f"The body is a JSON {type(asked).__name__}, and an object is asked for.")
    return asked


def _signature(model: LoadedModel, name: Any, default: str | None, values: Any) -> Signature:
    if name is None or name == "":
        name = default or _fitting(model, values)
    if not isinstance(name, str) or name not in model.signatures:
        raise RequestError(400, f"The model has no signature {name!r}.", got=name, valid=sorted(model.signatures))
    return model.signatures[name]


def _fitting(model: LoadedModel, values: Any) -> str:
    """TensorFlow Serving's default, but for columns."""
    first = values[0] if isinstance(values, list) and values else values
    if COLUMNS_SIGNATURE not in model.signatures or not isinstance(first, dict) or is_bytes(first):
        return DEFAULT_SIGNATURE
    plain = model.signatures.get(DEFAULT_SIGNATURE)
    return DEFAULT_SIGNATURE if plain is not None and set(first) == set(plain.inputs) else COLUMNS_SIGNATURE


def _by_row(rows: Any, signature: Signature) -> dict[str, list[Any]]:
    if not isinstance(rows, list) or not rows:
        raise RequestError(400, '"instances" is a list of one row or more.')
    named = sum(type(row) is dict and not is_bytes(row) for row in rows)
    if not named and len(signature.inputs) == 1:
        return {next(iter(signature.inputs)): rows}
    if named < len(rows):
        place = next(i for i, row in enumerate(rows) if type(row) is not dict or is_bytes(row))
        raise RequestError(
            400,
            f"Row {place} is no object of columns, which signature {signature.name!r} takes.",
            valid=list(signature.inputs),
        )
    columns = _columns(signature, set(chain.from_iterable(rows)))
    if signature.takes_columns:
        return {name: [row.get(column) for row in rows] for name, column in columns.items()}
    try:
        return {name: [row[column] for row in rows] for name, column in columns.items()}
    except KeyError as error:
        place = next(i for i, row in enumerate(rows) if error.args[0] not in row)
        raise RequestError(400, f"Row {place} has no input {error.args[0]!r}.") from None


def _by_column(values: Any, signature: Signature) -> dict[str, Any]:
    if not isinstance(values, dict) or is_bytes(values):
        if len(signature.inputs) != 1:
            raise RequestError(
                400,
                f'"inputs" is an object of columns, which signature {signature.name!r} takes.',
                valid=list(signature.inputs),
            )
        return {next(iter(signature.inputs)): values}
    columns = _columns(signature, values)
    if not signature.takes_columns:
        return {name: values[column] for name, column in columns.items()}
    rows = max((len(v) for v in values.values() if isinstance(v, list)), default=0)
    if not rows:
        raise RequestError(400, '"inputs" holds no rows: each column is a list of values.')
    return {name: [None] * rows if values.get(c) is None else values[c] for name, c in columns.items()}


def _columns(signature: Signature, given: Collection[str]) -> Mapping[str, str]:
    """The name in the request for each input; a column may go by its own name or by that of the argument."""
    named = {column if column in signature.inputs else argument_name(column): column for column in given}
    what = "column" if signature.takes_columns else "input"
    for name, column in named.items():
        if name not in signature.inputs:
            raise RequestError(
                400,
                f"Signature {signature.name!r} takes no {what} {column!r}.",
                got=column,
                valid=list(signature.inputs),
            )
    absent = [name for name in signature.inputs if name not in named]
    if absent and not signature.takes_columns:
        raise RequestError(
            400, f"There is no input {absent[0]!r}, which signature {signature.name!r} takes.", valid=list(given)
        )
    return {name: named.get(name, name) for name in signature.inputs}


def _texts(value: Any, *, as_bytes: bool) -> Any:
    if isinstance(value, list):
        return [_texts(v, as_bytes=as_bytes) for v in value]
    if not as_bytes:
        try:
            return value.decode()
        except UnicodeDecodeError:
            pass
    return {"b64": base64.b64encode(value).decode()}
