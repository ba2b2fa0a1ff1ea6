"""How columns are cut into slices."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluent_pipe.evaluation.cuts import Cut, cuts, slice_values
from fluent_pipe.evaluation.slices import membership

Store = Callable[..., list[Path]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    def write(columns: dict[str, Any], *, files: int = 1, rows_per_group: int = 1000) -> list[Path]:
        table = pa.table(columns)
        paths = [tmp_path / f"{number}.parquet" for number in range(files)]
        each = -(-table.num_rows // files)
        for number, path in enumerate(paths):
            pq.write_table(table.slice(number * each, each), path, row_group_size=rows_per_group)
        return paths

    return write


def test_few_values_are_slices_and_many_numbers_are_buckets(store: Store) -> None:
    files = store(
        {
            "carrier": ["AA", "UA", None, "B6"] * 25,
            "month": [1, 2, 3, 4] * 25,
            "international": [True, False] * 50,
            "share": [0.5, 0.25] * 50,
            "distance": list(range(100)),
            "tailnum": [f"N{n}" for n in range(100)],
        }
    )
    names = ["tailnum", "distance", "carrier", "month", "international", "share", "absent"]
    assert cuts(files, names) == (
        Cut("distance", (20.0, 40.0, 60.0, 80.0)),
        Cut("carrier"),
        Cut("month"),
        Cut("international"),
        Cut("share"),
    )


def test_a_column_with_more_than_the_limit_of_values_is_not_cut_by_value(store: Store) -> None:
    files = store({"three": [1, 2, 3] * 10, "number.four": [1, 2, 3, 4, 4] * 6})
    expected = (Cut("three"), Cut("number.four", (3.0,)))
    assert cuts(files, ["three", "number.four"], most_values=3, buckets=2) == expected


@pytest.mark.parametrize(
    "column",
    [
        pa.array([7] * 200),
        pa.array([7, None] * 100),
        pa.array([float("nan")] * 200),
        pa.nulls(200),
        pa.array([None] * 200, pa.string()),
        pa.array([[1], [2]] * 100),
        pa.array([{"a": 1}, {"a": 2}] * 100),
        pa.array([f"N{n}" for n in range(200)]),
        pa.array([f"N{n}" for n in range(200)]).dictionary_encode(),
        pa.array([datetime(2013, 1, 1) + timedelta(hours=n) for n in range(200)]),
        pa.array([b"\xff" + bytes([n]) for n in range(200)], pa.binary(2)),
        pa.array([2**64 - 1 - n for n in range(200)], pa.uint64()),
    ],
    ids=lambda column: str(column.type),
)
def test_columns_that_give_no_cut(store: Store, column: pa.Array) -> None:
    assert cuts(store({"column": column}), ["column"]) == ()


def test_no_files_and_no_rows_give_no_cuts(store: Store) -> None:
    assert cuts([], ["month"]) == ()
    assert cuts(store({"month": pa.array([], pa.int64())}), ["month"]) == ()
    assert cuts(store({"month": [1, 2]}), []) == ()


def test_unusual_numbers_are_cut_too(store: Store) -> None:
    number = np.arange(1000) / 8
    number[::10] = np.nan
    number[1::10] = np.inf
    number[2::10] = -np.inf
    files = store(
        {
            "number": number,
            "decimal": [Decimal(n) / 4 for n in range(1000)],
            "span": pa.array(list(range(1000)), pa.duration("s")),
            "infinite": np.where(np.arange(1000) % 2, np.inf, -np.inf),
        }
    )
    found = {cut.column: cut for cut in cuts(files, ["number", "decimal", "span", "infinite"], buckets=2)}
    assert found["number"].edges == pytest.approx((62.5,), abs=1)
    assert found["decimal"].labels == ("< 125", ">= 125")
    assert found["span"].labels == ("< 500", ">= 500")
    assert found["infinite"] == Cut("infinite")


def test_many_rows_with_the_lowest_value_are_a_bucket_of_their_own(store: Store) -> None:
    rain = np.concatenate([np.zeros(900), np.arange(1, 101) / 100])
    assert cuts(store({"rain": rain}), ["rain"]) == (Cut("rain", (0.01,)),)


def test_many_rows_with_one_value_leave_fewer_buckets(store: Store) -> None:
    size = np.concatenate([np.arange(50), np.full(850, 50), np.arange(51, 151)])
    assert cuts(store({"size": size}), ["size"]) == (Cut("size", (50.0,)),)


def test_rows_come_from_all_over_the_files(store: Store) -> None:
    # In the order of time, as rows often are: the first rows have one month only.
    files = store({"month": np.repeat(np.arange(1, 13), 500), "minute": np.arange(6000)}, files=4, rows_per_group=100)
    month, minute = cuts(files, ["month", "minute"], rows=300, buckets=4)
    assert month == Cut("month")
    assert minute.edges == pytest.approx((1500, 3000, 4500), abs=600)
    assert cuts(files, ["month", "minute"], rows=300, buckets=4) == (month, minute)


def test_no_more_rows_than_asked_for(store: Store) -> None:
    files = store({"number": np.arange(6000)}, files=3, rows_per_group=7)
    # As many values as rows that were seen.
    assert cuts(files, ["number"], rows=100, most_values=100) == (Cut("number"),)
    assert cuts(files, ["number"], rows=100, most_values=99) != (Cut("number"),)


def test_rows_that_come_in_turns_are_all_seen(store: Store) -> None:
    files = store({"shop": ["north", "south", "east", "west"] * 1000})
    assert cuts(files, ["shop"], rows=1000) == (Cut("shop"),)


@pytest.mark.parametrize(
    ("edges", "labels"),
    [
        ((100.0, 250.0), ("< 100", "[100, 250)", ">= 250")),
        ((0.5,), ("< 0.5", ">= 0.5")),
        ((-1e-05, 1234567.0), ("< -1e-05", "[-1e-05, 1234567)", ">= 1234567")),
        (
            (0.1, 0.1 + 2**-56, 1e16),
            ("< 0.1", "[0.1, 0.10000000000000002)", "[0.10000000000000002, 1e+16)", ">= 1e+16"),
        ),
        (None, ()),
    ],
)
def test_labels(edges: tuple[float, ...] | None, labels: tuple[str, ...]) -> None:
    assert Cut("distance", edges).labels == labels


@pytest.mark.parametrize(
    "values",
    [1_000_000 + np.arange(500), 0.1 + np.arange(500) * 1e-9, np.arange(500) * 1e12, -np.arange(500.0)],
    ids=["identifiers", "close together", "huge", "negative"],
)
def test_edges_keep_the_digits_that_tell_them_apart(store: Store, values: Any) -> None:
    (cut,) = cuts(store({"number": values}), ["number"])
    counts = np.bincount(np.searchsorted(cut.edges, values, side="right"))
    assert counts == pytest.approx([100] * 5, abs=10)
    assert len(set(cut.labels)) == 5


@given(
    st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.integers(-5, 5).map(float), max_size=30),
    st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=4, unique=True).map(sorted),
)
@settings(max_examples=60, deadline=None)
def test_each_number_is_in_the_bucket_that_its_label_says(numbers: list[float | None], edges: list[float]) -> None:
    batch = pa.RecordBatch.from_arrays([pa.array(numbers, pa.float64())], names=["number"])
    cut = Cut("number", tuple(edges))
    bounds = dict(zip(cut.labels, zip([-np.inf, *edges], [*edges, np.inf], strict=True), strict=True))
    assert len(bounds) == len(edges) + 1
    for number, label in zip(numbers, slice_values(batch, [cut])["number"].to_pylist(), strict=True):
        if number is None or np.isnan(number):
            assert label is None
        else:
            low, high = bounds[label]
            assert low <= number < high or number == high == np.inf


def test_slices_of_cut_columns_are_found_as_those_of_any_column() -> None:
    batch = pa.RecordBatch.from_pydict({"distance": [733, None, 80], "carrier": ["AA", "UA", None]})
    columns = slice_values(batch, [Cut("distance", (100.0,)), Cut("carrier")])
    cut = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    assert membership(cut, ("distance",)).keys == [(("distance", ">= 100"),), (("distance", "< 100"),)]
    assert membership(cut, ("carrier", "distance")).keys == [(("carrier", "AA"), ("distance", ">= 100"))]


def test_a_bucketed_column_may_be_empty_in_a_batch() -> None:
    batch = pa.RecordBatch.from_arrays([pa.nulls(2)], names=["distance"])
    assert slice_values(batch, [Cut("distance", (1.0,))])["distance"].to_pylist() == [None, None]
    assert slice_values(batch.slice(0, 0), [Cut("distance", (1.0,))])["distance"].to_pylist() == []


def test_cuts_pickle() -> None:
    cut = Cut("distance", (1.0, 2.0))
    assert pickle.loads(pickle.dumps(cut)) == cut
