"""Rows in memory as Arrow, and their fingerprint."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from fluent_pipe.arrow.memory import fingerprint, to_table
from fluent_pipe.errors import InputError


def test_a_frame_loses_its_index_and_nan_is_missing():
    frame = pd.DataFrame({"x": [1.5, np.nan], "s": ["a", None], 3: [1, 2]}, index=["p", "q"])
    assert to_table(frame).to_pydict() == {"x": [1.5, None], "s": ["a", None], "3": [1, 2]}


def test_a_column_of_mixed_types_is_named():
    with pytest.raises(InputError, match=r"Column 'age' holds values .* one type: int, str. .*astype"):
        to_table(pd.DataFrame({"age": [1, "two"]}))


def test_other_things_are_refused():
    with pytest.raises(InputError, match="Rows of type list cannot be read"):
        to_table([1, 2])


def test_equal_content_has_an_equal_fingerprint():
    frame = pd.DataFrame({"x": np.arange(1000), "s": [str(i) for i in range(1000)]})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    chunked = pa.concat_tables([table.slice(0, 10), table.slice(10)])
    assert fingerprint(frame) == fingerprint(table) == fingerprint(chunked) == fingerprint(table.to_batches()[0])


@pytest.mark.parametrize(
    "other",
    [
        {"x": [1, 3]},
        {"x": [2, 1]},
        {"y": [1, 2]},
        {"x": [1.0, 2.0]},
        {"x": [1]},
        {"x": [1, None]},
        {"x": [{"a": 1}, {"a": 2}]},
    ],
)
def test_other_content_has_another(other):
    assert fingerprint(pa.table({"x": [1, 2]})) != fingerprint(pa.table(other))


def test_nested_columns_have_one_too():
    day = dt.date(2013, 1, 1)
    table = pa.table({"s": [{"a": day}], "l": [[[1]]]})
    assert fingerprint(table) == fingerprint(pa.table({"s": [{"a": day}], "l": [[[1]]]}))
    assert fingerprint(table) != fingerprint(pa.table({"s": [{"a": day}], "l": [[[2]]]}))
