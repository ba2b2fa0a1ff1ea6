"""Rows to CSV and lines of JSON: what Arrow holds is what is read back, missing values, lists and bytes included."""

from __future__ import annotations

import datetime as dt
import json

import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluent_pipe.arrow.predictions import CsvWriter, JsonLinesWriter, json_lines

ROWS = {
    "whole": [1, None],
    "number": [0.1, float("nan")],
    "narrow": pa.array([0.1, None], pa.float32()),
    "text": ['a,"b\n', ""],
    "nothing": pa.nulls(2),
    "bytes": pa.array([b"x\xff", b"y"]),
    "truth": [True, None],
    "day": [dt.date(2026, 1, 2), None],
    "time": pa.array([dt.datetime(2026, 1, 2, 3), None], pa.timestamp("us")),
    "numbers": [[1.5, None], None],
    "words": [["a", '"'], []],
    "coded": pa.array(["a", None]).dictionary_encode(),
    "took": pa.array([5, None], pa.duration("s")),
    'a "name"': [1, 2],
}


@pytest.mark.parametrize("begin", [0, 1])
def test_json_lines_hold_what_the_rows_hold(begin):
    batch = pa.RecordBatch.from_pydict(ROWS).slice(begin)
    told = [json.loads(line) for line in json_lines(batch).decode().splitlines()]
    first = {
        "whole": 1, "number": 0.1, "narrow": 0.1, "text": 'a,"b\n', "nothing": None, "bytes": {"b64": "eP8="},
        "truth": True, "day": "2026-01-02", "time": "2026-01-02 03:00:00.000000", "numbers": [1.5, None],
        "words": ["a", '"'], "coded": "a", "took": 5, 'a "name"': 1,
    }  # fmt: skip
    second = {**dict.fromkeys(ROWS), "text": "", "bytes": "y", "words": [], 'a "name"': 2}
    assert told == [first, second][begin:]


@given(st.lists(st.tuples(st.floats(), st.text(), st.lists(st.integers(-(2**63), 2**63 - 1))), min_size=1))
def test_any_value_is_the_same_in_json(rows):
    numbers, texts, lists = map(list, zip(*rows, strict=True))
    texts = [text.encode(errors="replace").decode() for text in texts]
    batch = pa.RecordBatch.from_pydict({"n": numbers, "t": texts, "l": pa.array(lists, pa.list_(pa.int64()))})
    told = [json.loads(line) for line in json_lines(batch).decode().split("\n")[:-1]]
    finite = [n if abs(n) < float("inf") else None for n in numbers]
    assert [(r["n"], r["t"], r["l"]) for r in told] == list(zip(finite, texts, lists, strict=True))


def test_csv_is_read_back_by_arrow(tmp_path):
    writer = CsvWriter(tmp_path / "rows.csv")
    writer.write(pa.RecordBatch.from_pydict(ROWS))
    writer.write(pa.RecordBatch.from_pydict(ROWS))
    writer.close()
    told = pacsv.read_csv(tmp_path / "rows.csv", parse_options=pacsv.ParseOptions(newlines_in_values=True))
    assert told.num_rows == writer.rows == 4
    assert told.schema.names == list(ROWS)
    assert told["text"].to_pylist()[:2] == ['a,"b\n', ""]
    assert told["whole"].to_pylist()[:2] == [1, None]
    assert told["numbers"].to_pylist()[:2] == ["[1.5,null]", ""]


@pytest.mark.parametrize("kind", [CsvWriter, JsonLinesWriter])
def test_no_rows_make_no_file(tmp_path, kind):
    writer = kind(tmp_path / "rows")
    writer.close()
    assert not writer.path.exists()
