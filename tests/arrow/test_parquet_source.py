"""Parquet files as a source: one schema for all of them."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fluent_pipe.arrow.files import list_pieces
from fluent_pipe.arrow.parquet_source import survey
from fluent_pipe.errors import InputError


def read(folder, columns=None, range_bytes=64 << 20):
    reader, pieces = survey(list_pieces((("", (str(folder),)),)), columns, range_bytes=range_bytes)
    batches = [batch for piece in pieces for batch in reader.read(piece)]
    return pa.Table.from_batches(batches, reader.schema), pieces


def test_integers_and_floats_meet_and_order_does_not_matter(tmp_path):
    pq.write_table(pa.table({"x": pa.array([1], pa.int32()), "n": pa.nulls(1)}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"n": ["z"], "x": [0.5]}), tmp_path / "b.parquet")
    table, _ = read(tmp_path)
    assert table.to_pydict() == {"x": [1.0, 0.5], "n": [None, "z"]}


def test_types_stay_and_dictionaries_are_decoded(tmp_path):
    columns = {
        "b": [True],
        "d": [dt.date(2013, 1, 1)],
        "l": [["a", "b"]],
        "f": pa.array([1.5], pa.float32()),
        "c": pa.array(["x"]).dictionary_encode(),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    table, _ = read(tmp_path)
    assert [str(k) for k in table.schema.types] == ["bool", "date32[day]", "list<item: string>", "float", "string"]
    assert table.to_pydict() == {"b": [True], "d": [dt.date(2013, 1, 1)], "l": [["a", "b"]], "f": [1.5], "c": ["x"]}


def test_row_groups_are_shared(tmp_path):
    pq.write_table(pa.table({"x": range(1000)}), tmp_path / "a.parquet", row_group_size=100)
    table, pieces = read(tmp_path, range_bytes=1000)
    assert len(pieces) > 2
    assert table["x"].to_pylist() == list(range(1000))


def test_columns(tmp_path):
    pq.write_table(pa.table({"x": [1], "y": [2], "s": [{"a": 1}]}), tmp_path / "a.parquet")
    assert read(tmp_path, ["y"])[0].to_pydict() == {"y": [2]}
    with pytest.raises(InputError, match=r"columns= names 'yy', .*There are: x, y, s. Did you mean 'y'"):
        read(tmp_path, ["yy"])
    with pytest.raises(InputError, match=r"a.parquet: Column 's' is nested .*leave 's' out with columns="):
        read(tmp_path)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"x": [1]}, "b.parquet: This file lacks 'y', compared with .*a.parquet"),
        ({"x": ["one"], "y": [1]}, "b.parquet: Column 'x' is string here and int64 in .*a.parquet"),
    ],
)
def test_files_that_do_not_go_together(tmp_path, other, message):
    pq.write_table(pa.table({"x": [1], "y": [2]}), tmp_path / "a.parquet")
    pq.write_table(pa.table(other), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_what_is_no_parquet_and_what_is_empty(tmp_path):
    (tmp_path / "a.parquet").write_text("x,y\n")
    with pytest.raises(InputError, match=r"a.parquet: This is not a Parquet file"):
        read(tmp_path)
    pq.write_table(pa.table({"x": pa.array([], pa.int64())}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="There are columns and no row"):
        read(tmp_path)
