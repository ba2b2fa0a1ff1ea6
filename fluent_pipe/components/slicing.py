"""Slices and samples of record batches, whole columns at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_data_validation.utils import slicing_util

from fluent_pipe.errors import InputError


def by_columns(rows: pa.RecordBatch, columns: tuple[str, ...]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The rows of each value, or cross of values, of ``columns``; rows where one is missing are in no slice.

    Parameters
    ----------
    rows
        Columns as :func:`fluent_pipe.arrow.tfx.to_tfx` leaves them: lists, or of type null.
    columns
        Which columns; all exist.

    Yields
    ------
    tuple of str and pa.RecordBatch
        The slice's name as TFDV writes it (``"month_1_origin_EWR"``: columns by name), and its rows in order.

    Raises
    ------
    InputError
        If a value to slice by is not UTF-8 text: TFDV's statistics cannot hold its name.
    """
    arrays = {name: rows.column(rows.schema.get_field_index(name)) for name in sorted(columns)}
    if any(pa.types.is_null(array.type) for array in arrays.values()):
        return
    if any((pc.max(pc.list_value_length(array)).as_py() or 0) > 1 for array in arrays.values()):
        # A row with several values is in several slices; TFDV's own slicer joins them.
        yield from slicing_util.get_feature_value_slicer(dict.fromkeys(columns))(rows)
        return
    codes = np.zeros(rows.num_rows, np.int64)
    present = np.ones(rows.num_rows, bool)
    texts: list[list[str]] = []
    for name, array in arrays.items():
        one, values = _codes(array)
        present &= one >= 0
        codes = codes * max(len(values), 1) + one
        texts.append([f"{name}_{_text(value, name)}" for value in values.to_pylist()])
    where = np.flatnonzero(present)
    if not len(where):
        return
    order = where[np.argsort(codes[where], kind="stable")]
    groups, starts = np.unique(codes[order], return_index=True)
    taken = _take(rows, order)
    for code, start, end in zip(groups, starts, [*starts[1:], len(order)], strict=True):
        yield "_".join(_parts(int(code), texts)), taken.slice(start, end - start)


def sample_rows(batch: pa.RecordBatch, share: float) -> pa.RecordBatch:
    """About ``share`` of the rows, each as likely; the same ones for the same batch, whatever worker has it."""
    seed = zlib.crc32(repr(batch.slice(0, 16).to_pydict()).encode())
    keep = np.random.default_rng([seed, batch.num_rows]).random(batch.num_rows) < share
    return _take(batch, np.flatnonzero(keep))


def _codes(column: pa.Array) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Position of each row's value among the distinct ones (-1: missing), and the distinct ones."""
    encoded = column.flatten().dictionary_encode()
    codes = np.full(len(column), -1, np.int64)
    rows = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
    codes[rows] = encoded.indices.to_numpy(zero_copy_only=False)
    return codes, encoded.dictionary


def _parts(code: int, texts: list[list[str]]) -> list[str]:
    parts: list[str] = []
    for column in reversed(texts):
        code, position = divmod(code, len(column))
        parts.insert(0, column[position])
    return parts


def _text(value: object, column: str) -> str:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"A value to slice by is not UTF-8 text: {value!r}.",
            where=f"column {column!r}",
            fix="Slice by another column.",
        ) from error


def _take(batch: pa.RecordBatch, rows: npt.NDArray[np.int64]) -> pa.RecordBatch:
    positions = pa.array(rows)
    return pa.RecordBatch.from_arrays([column.take(positions) for column in batch.columns], schema=batch.schema)
