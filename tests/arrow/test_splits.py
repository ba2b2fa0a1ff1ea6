"""Splits by hash: stable, in proportion, the same for any batches."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluent_pipe.arrow.hashing import hash_rows, hash_values
from fluent_pipe.arrow.splits import Splitter

SHARES = (("train", 8), ("eval", 1), ("test", 1))


def test_shares_are_kept_and_every_row_is_somewhere():
    batch = pa.RecordBatch.from_pydict({"i": np.arange(50_000), "s": [str(i % 97) for i in range(50_000)]})
    parts = dict(Splitter(SHARES).split(batch))
    assert sum(part.num_rows for part in parts.values()) == 50_000
    assert parts["train"].num_rows == pytest.approx(40_000, rel=0.02)
    assert parts["test"].num_rows == pytest.approx(5_000, rel=0.05)


def test_one_value_of_the_partition_column_is_in_one_split():
    batch = pa.RecordBatch.from_pydict({"i": np.arange(1000), "user": [f"user {i % 50}" for i in range(1000)]})
    users = [set(part.column(1).to_pylist()) for _, part in Splitter(SHARES, "user").split(batch)]
    assert sum(map(len, users)) == len(set().union(*users)) == 50


def test_the_hash_is_the_same_tomorrow():
    batch = pa.RecordBatch.from_pydict({"i": [1, None], "f": [0.5, -1.0], "s": ["jfk", ""], "l": [[1, 2], None]})
    assert hash_rows(batch.columns, 2).tolist() == HASHES


HASHES = [3833284302802635740, 9173560561319605113]

COLUMNS = {
    "bool": st.booleans(),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    "string": st.text(st.characters(blacklist_categories=("Cs",)), max_size=5),
    "binary": st.binary(max_size=5),
    "date32": st.dates(),
    "timestamp[us]": st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)),
    "list<string>": st.lists(st.sampled_from(["a", "b", "", None]), max_size=3),
    "dictionary": st.sampled_from(["x", "y"]),
    "decimal": st.decimals(-100, 100, places=2).map(lambda d: d + Decimal("0.00")),
}
TYPES = {
    "list<string>": pa.list_(pa.string()),
    "timestamp[us]": pa.timestamp("us"),
    "date32": pa.date32(),
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
    "decimal": pa.decimal128(9, 2),
}


@settings(deadline=None, max_examples=100)
@given(data=st.data(), kind=st.sampled_from(sorted(COLUMNS)), at=st.integers(0, 20))
def test_equal_values_have_equal_hashes_in_any_slice(data, kind, at):
    values = data.draw(st.lists(st.none() | COLUMNS[kind], max_size=20))
    array = pa.array(values, TYPES.get(kind) or pa.type_for_alias(kind))
    whole = hash_values(array)
    assert np.concatenate([hash_values(array.slice(0, at)), hash_values(array.slice(at))]).tolist() == whole.tolist()
    # -0.0 and 0.0 are told apart, as their text is.
    assert len(set(whole.tolist())) == len({repr(value) for value in values})
