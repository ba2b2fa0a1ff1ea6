"""Slices of a batch: those that TFMA finds row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_model_analysis.slicer import slicer_lib

from fluent_pipe.evaluation.slices import SliceKey, membership


def rows_of(batch: pa.RecordBatch, columns: tuple[str, ...]) -> list[set[SliceKey]]:
    found: list[set[SliceKey]] = [set() for _ in range(batch.num_rows)]
    members = membership(batch, columns)
    for row, code in zip(members.rows, members.codes, strict=True):
        found[row].add(members.keys[code])
    return found


def tfma_rows(batch: pa.RecordBatch, columns: tuple[str, ...]) -> list[set[SliceKey]]:
    spec = slicer_lib.SingleSliceSpec(columns=columns)
    rows = []
    for row in batch.to_pylist():
        features = {name: np.array(values(value)) for name, value in row.items()}
        rows.append(set(slicer_lib.get_slices_for_features_dicts([], features, [spec])))
    return rows


def values(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


words = st.none() | st.sampled_from(["a", "b", "Ünité"])
numbers = st.none() | st.integers(-3, 3)
lists = st.none() | st.lists(st.sampled_from(["x", "y", "z"]), max_size=3)


@given(st.lists(st.tuples(words, numbers, lists), max_size=12), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_same_slices_as_tfma(rows: list[tuple[Any, Any, Any]], skipped: int) -> None:
    word, number, many = zip(*rows, strict=True) if rows else ((), (), ())
    batch = pa.RecordBatch.from_arrays(
        [pa.array(word, pa.string()), pa.array(number, pa.int64()), pa.array(many, pa.list_(pa.string()))],
        names=["word", "number", "many"],
    ).slice(skipped)
    for columns in ((), ("word",), ("many",), ("word", "number"), ("number", "many", "word")):
        assert rows_of(batch, columns) == tfma_rows(batch, columns)


def test_columns_of_a_cross_are_in_alphabetical_order() -> None:
    batch = pa.RecordBatch.from_pydict({"origin": ["JFK"], "month": [3]})
    assert membership(batch, ("origin", "month")).keys == [(("month", 3), ("origin", "JFK"))]


@pytest.mark.parametrize(
    "column",
    [
        pa.nulls(2),
        pa.array([None, None], pa.string()),
        pa.array([[], None], pa.list_(pa.int64())),
        pa.array([float("nan"), None], pa.float64()),
    ],
    ids=["null", "string", "list", "nan"],
)
def test_missing_values_are_in_no_slice(column: pa.Array) -> None:
    batch = pa.RecordBatch.from_arrays([column, pa.array(["a", "b"])], names=["gate", "carrier"])
    assert membership(batch, ("gate",)).rows.size == 0
    assert membership(batch, ("carrier", "gate")).keys == []
