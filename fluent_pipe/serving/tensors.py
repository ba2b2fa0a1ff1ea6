"""Values of a JSON request as arrays, column by column; what does not fit is refused by the column's name."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import tensorflow as tf

from fluent_pipe.errors import ServingError
from fluent_pipe.serving.model import Input


class RequestError(ServingError):
    """A request that is refused.

    Parameters
    ----------
    status
        The HTTP status.
    fact, others
        As :class:`~fluent_pipe.errors.FluentPipeError` has them.
    """

    def __init__(self, status: int, fact: str, **others: Any) -> None:
        super().__init__(fact, **others)
        self.status = status


def tensor(values: Any, each: Input) -> np.ndarray[Any, Any]:
    """The array for one input.

    Parameters
    ----------
    values
        As JSON has them, the batch first: nested lists of numbers, texts or ``{"b64": ...}``.
    each
        What the signature takes. Where it knows missing values, null is one, and so is what a row is shorter by than
        the longest.

    Raises
    ------
    RequestError
        If type or shape are others; names the input.
    """
    flat, shape = _flattened(values, each)
    if each.missing is not None:
        flat = _filled(flat, each)
    array = _leaves(flat, each, rows=shape[0] if shape else 1).reshape(shape)
    if each.shape is not None and any(want not in (None, is_) for want, is_ in zip(each.shape, shape, strict=True)):
        raise _refused(each, f"got {list(shape)}")
    return array


def padded(arrays: Sequence[np.ndarray[Any, Any]], each: Input) -> np.ndarray[Any, Any]:
    """Arrays below each other; where the widths differ, filled up at the end with what stands for missing."""
    if arrays[0].ndim == 2 and len({a.shape[1] for a in arrays}) > 1:
        width = max(a.shape[1] for a in arrays)
        arrays = [
            np.pad(a, ((0, 0), (0, width - a.shape[1])), constant_values=each.missing)
            if a.dtype != object
            else np.hstack([a, np.full((len(a), width - a.shape[1]), each.missing, object)])
            for a in arrays
        ]
    return np.concatenate(arrays)


def is_bytes(value: Any) -> bool:
    """Whether a JSON value stands for bytes: ``{"b64": text}``."""
    return type(value) is dict and len(value) == 1 and "b64" in value


def _flattened(values: Any, each: Input) -> tuple[list[Any], list[int]]:
    """Leaves in order, and the shape that they came in."""
    flat, shape = [values], list[int]()
    rank = None if each.shape is None else len(each.shape)
    while len(shape) < rank if rank is not None else all(type(v) is list for v in flat) and flat:
        if each.missing is not None and len(shape) == 1:
            flat = [v if type(v) is list else [] if v is None else [v] for v in flat]
        if set(map(type, flat)) - {list}:
            raise _refused(each, f"got {_short(next(v for v in flat if type(v) is not list))} in place of a list")
        if each.missing is not None and len(shape) == 1:
            flat = _of_one_width(flat, each)
        lengths = set(map(len, flat))
        if len(lengths) > 1:
            raise _refused(each, f"got rows of {min(lengths)} and of {max(lengths)} values")
        shape.append(lengths.pop() if lengths else 0)
        flat = list(chain.from_iterable(flat))
    return flat, shape


def _of_one_width(rows: list[list[Any]], each: Input) -> list[list[Any]]:
    fixed = each.shape[1] if each.shape is not None else None
    width = max(map(len, rows), default=0) if fixed is None else fixed
    return [row + [None] * (width - len(row)) for row in rows]


def _filled(flat: list[Any], each: Input) -> list[Any]:
    """Null becomes what stands for missing. A list of one value is that value, as people have them in rows."""
    kinds = set(map(type, flat))
    if list in kinds:
        flat = [v[0] if type(v) is list and len(v) == 1 else None if v == [] else v for v in flat]
        kinds = set(map(type, flat))
    if float in kinds and each.dtype.is_integer:  # integers with gaps are floats in most tables
        flat = [_whole(v) if type(v) is float else v for v in flat]
        kinds = set(map(type, flat))
    return [each.missing if v is None else v for v in flat] if type(None) in kinds else flat


def _whole(value: float) -> Any:
    if value != value:
        return None
    return int(value) if value.is_integer() else value


_ACCEPTED: Mapping[str, frozenset[type]] = {
    "f": frozenset({int, float}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "b": frozenset({bool}),
    "O": frozenset({str, dict, bytes}),
}


def _leaves(flat: list[Any], each: Input, *, rows: int) -> np.ndarray[Any, Any]:
    dtype = np.dtype(each.dtype.as_numpy_dtype)
    kind = "f" if each.dtype.is_floating else dtype.kind  # bfloat16 is of no kind that NumPy has
    accepted = _ACCEPTED.get(kind)
    if accepted is None:
        raise RequestError(501, f"{_called(each)} is {each.dtype.name}, which JSON has no form for.")
    if not set(map(type, flat)) <= accepted:
        place = next(i for i, v in enumerate(flat) if type(v) not in accepted)
        raise _refused(each, f"got {_short(flat[place])}", row=place * rows // len(flat))
    if kind == "O":
        return _texts(flat, each)
    try:
        if kind == "u" and min(flat, default=0) < 0:
            raise OverflowError
        wide = np.array(flat, {"f": np.float64, "b": np.bool_, "u": np.uint64}.get(kind, np.int64))
        with np.errstate(over="ignore"):
            array: np.ndarray[Any, Any] = wide.astype(dtype)
    except OverflowError:
        raise _refused(each, "got a number that is out of its range") from None
    if array.dtype != wide.dtype:
        back = array.astype(wide.dtype)
        lost = np.isfinite(wide) != np.isfinite(back) if kind == "f" else wide != back
        if lost.any():
            raise _refused(each, f"got {wide[lost][0]}, which is out of its range")
    return array


def _texts(flat: list[Any], each: Input) -> np.ndarray[Any, Any]:
    array = np.empty(len(flat), object)
    try:
        array[:] = [v.encode() if type(v) is str else v if type(v) is bytes else _decoded(v) for v in flat]
    except (binascii.Error, TypeError, KeyError, ValueError):
        raise _refused(each, 'got an object other than {"b64": base64 text}') from None
    return array


def _decoded(value: dict[str, Any]) -> bytes:
    if len(value) != 1:
        raise KeyError("b64")
    return base64.b64decode(value["b64"], validate=True)


def _refused(each: Input, got: str, *, row: int | None = None) -> RequestError:
    at = "" if row is None else f" in row {row}"
    takes = "text" if each.dtype == tf.string else each.dtype.name
    if each.shape is not None and (len(each.shape) != 1 or each.shape[0] is not None):
        takes += f" of shape {['any' if size is None else size for size in each.shape]}".replace("'", "")
    return RequestError(400, f"{_called(each)} takes {takes}, {got}{at}.")


def _called(each: Input) -> str:
    return f"{'Input' if each.missing is None else 'Column'} {each.name!r}"


def _short(value: Any) -> str:
    text = "null" if value is None else str(value).lower() if type(value) is bool else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
