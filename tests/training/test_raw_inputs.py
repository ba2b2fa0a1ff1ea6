"""Flat Arrow columns as tensors, with a value for what is missing."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import tensorflow as tf

from fluent_pipe.training.raw_inputs import MISSING_INT, raw_columns, serialized

SPECS = {
    "fare": tf.TensorSpec([None], tf.float32),
    "count": tf.TensorSpec([None], tf.int64),
    "name": tf.TensorSpec([None], tf.string),
    "tags": tf.TensorSpec([None, None], tf.string),
}


def test_missing_values_have_a_value() -> None:
    rows = pa.RecordBatch.from_pydict(
        {
            "fare": pa.array([1.5, None]),
            "count": pa.array([None, 3]),
            "name": pa.array(["a", None]),
            "tags": pa.array([["x", "y"], None]),
            "unused": pa.array([1, 2]),
        }
    )
    columns = raw_columns(rows, SPECS)
    assert list(columns) == ["fare", "count", "name", "tags"]
    np.testing.assert_array_equal(columns["fare"], np.array([1.5, np.nan], np.float32))
    assert columns["count"].tolist() == [MISSING_INT, 3]
    assert columns["name"].tolist() == [b"a", b""]
    assert columns["tags"].tolist() == [[b"x", b"y"], [b"", b""]]


def test_types_of_files_that_say_the_same_are_taken() -> None:
    rows = pa.RecordBatch.from_pydict(
        {
            "fare": pa.array([2, None], pa.int32()),
            "count": pa.array([1.0, None], pa.float64()),
            "name": pa.array(["a", "b"]).dictionary_encode(),
            "tags": pa.array(["x", None]),
        }
    )
    columns = raw_columns(rows, SPECS)
    assert columns["fare"].dtype == np.float32
    assert columns["count"].tolist() == [1, MISSING_INT]
    assert columns["name"].tolist() == [b"a", b"b"]
    assert columns["tags"].tolist() == [[b"x"], [b""]]


def test_examples_leave_out_what_is_missing() -> None:
    rows = pa.RecordBatch.from_pydict({"fare": pa.array([1.5, None]), "empty": pa.nulls(2)})
    first, second = (tf.train.Example.FromString(example) for example in serialized(rows))
    assert first.features.feature["fare"].float_list.value == [1.5]
    assert not second.features.feature["fare"].float_list.value
    assert "empty" not in first.features.feature
