"""Transformed columns as arrays: what one transformed feature is, and its Arrow column in NumPy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from fluent_pipe.errors import TrainingError

PADDING: Mapping[str, Any] = {"float32": 0.0, "int64": -1, "string": b""}
"""What fills the rows of a multi-valued feature up to the longest row of a batch, by dtype."""


@dataclass(frozen=True)
class Feature:
    """One transformed feature.

    Parameters
    ----------
    name
        Name of the feature.
    dtype
        ``"float32"``, ``"int64"`` or ``"string"``.
    shape
        Shape of one row of a dense feature; ``()`` and ``(1,)`` are both one value.
    multi_valued
        True for a sparse or ragged feature: any number of values a row.
    filled_with
        What fills its short rows; None for :data:`PADDING`.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    multi_valued: bool = False
    filled_with: Any = None

    @property
    def row_shape(self) -> tuple[int | None, ...]:
        """Shape of one row as a model sees it: ``(1,)`` for one value, ``(None,)`` for any number."""
        return (None,) if self.multi_valued else self.shape or (1,)

    @property
    def padding(self) -> Any:
        """What fills short rows of a multi-valued feature."""
        return PADDING[self.dtype] if self.filled_with is None else self.filled_with


def features_of(facts: Mapping[str, Any]) -> dict[str, Feature]:
    """All transformed features, label and weight among them, from ``transform.json``."""
    return {
        name: Feature(
            name,
            _dtype(described["dtype"]),
            tuple(size for size in described["shape"] if size is not None),
            described["kind"] != "dense",
        )
        for name, described in facts["features"].items()
    }


def _dtype(name: str) -> str:
    if name in ("float32", "float64", "float", "double"):
        return "float32"
    return "string" if name in ("string", "bytes", "object") else "int64"


def to_array(column: pa.Array | pa.ChunkedArray, feature: Feature) -> np.ndarray[Any, Any]:
    """The column as one array, without a copy where Arrow's memory will do.

    Returns
    -------
    np.ndarray
        Shape ``[rows, *feature.row_shape]``. Multi-valued rows are filled up to the longest with
        :data:`PADDING`, and are at least one wide.

    Raises
    ------
    TrainingError
        If the column's values do not fill the feature's shape.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # an empty one stays chunked
        column = pa.concat_arrays(column.chunks)
    if feature.multi_valued:
        return pad(*values_and_lengths(column, feature), feature.padding)
    values = _plain(_flat(column), feature)
    size = math.prod(feature.shape)
    if len(values) != len(column) * size:
        raise TrainingError(
            f"Feature {feature.name!r} holds {len(values):,} values in {len(column):,} rows, and its shape is "
            f"{list(feature.shape)}.",
            fix="Give every row the same number of values in preprocessing_fn.",
        )
    return values.reshape((len(column), *(feature.shape or (1,))))


def values_and_lengths(column: pa.Array, feature: Feature) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The values of a multi-valued column one after the other, and how many each row has.

    Raises
    ------
    TrainingError
        If rows hold lists of lists.
    """
    if not _is_list(column.type):
        present = column.is_valid().to_numpy(zero_copy_only=False)
        return _plain(column.drop_null(), feature), present.astype(np.int64)
    if _is_list(column.type.value_type):
        raise TrainingError(
            f"Feature {feature.name!r} has lists of lists in a row, which a Keras input cannot take.",
            fix="Make it dense, or flatten it, in preprocessing_fn.",
        )
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return _plain(column.flatten(), feature), lengths


def pad(values: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any], padding: Any) -> np.ndarray[Any, Any]:
    """Rows of ``lengths`` values, filled up with ``padding`` to the longest; ``[rows, max(1, longest)]``."""
    width = max(1, int(lengths.max(initial=0)))
    rows = np.full((len(lengths), width), padding, dtype=values.dtype)
    rows[np.arange(width) < lengths[:, None]] = values
    return rows


def _flat(column: pa.Array) -> pa.Array:
    while _is_list(column.type):
        column = column.flatten()
    return column


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _plain(values: pa.Array, feature: Feature) -> np.ndarray[Any, Any]:
    if values.null_count and feature.dtype != "float32":
        raise TrainingError(
            f"Feature {feature.name!r} is missing in {values.null_count:,} rows; {feature.dtype} has no such value.",
            fix="Fill it in preprocessing_fn.",
        )
    if feature.dtype == "string":
        values = values.cast(pa.binary())
    array: np.ndarray[Any, Any] = values.to_numpy(zero_copy_only=False)
    return array if feature.dtype == "string" else array.astype(feature.dtype, copy=False)
