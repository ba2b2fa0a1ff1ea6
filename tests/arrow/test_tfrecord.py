"""TFRecord files of tf.Example as a source: values, types over all records, records that are something else."""

from __future__ import annotations

import math
import string

import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fluent_pipe.arrow import tf_example
from fluent_pipe.arrow.csv import TypesTooNarrow
from fluent_pipe.arrow.files import Rejected, list_pieces
from fluent_pipe.arrow.tfrecord import scan, survey
from fluent_pipe.errors import InputError
from tests import tfrecords


def read(pattern, columns=None) -> tuple[pa.Table, list[Rejected]]:
    """All rows in order, and the rejected records."""
    reader, pieces = survey(list_pieces((("", (str(pattern),)),)), columns)
    try:
        parts = [part for piece in pieces for part in reader.read(piece)]
    except TypesTooNarrow:
        reader = scan(reader, pieces)
        parts = [part for piece in pieces for part in reader.read(piece)]
    batches = [part for part in parts if isinstance(part, pa.RecordBatch)]
    return pa.Table.from_batches(batches, reader.schema), [part for part in parts if isinstance(part, Rejected)]


def test_single_values_are_flat_and_what_is_left_out_is_missing(tmp_path):
    tfrecords.write(tmp_path / "a", [{"b": 1, "t": "Wien", "f": 0.5, "n": None}, {"b": None, "many": ["x", "y"]}, {}])
    table, rejected = read(tmp_path / "a")
    kinds = {"b": "int64", "f": "float", "many": "list<item: string>", "n": "null", "t": "string"}
    assert {field.name: str(field.type) for field in table.schema} == kinds
    assert table.to_pydict() == {
        "b": [1, None, None],
        "f": [0.5, None, None],
        "many": [None, ["x", "y"], None],
        "n": [None, None, None],
        "t": ["Wien", None, None],
    }
    assert rejected == []


def test_bytes_that_are_no_text_make_a_binary_column(tmp_path):
    tfrecords.write(tmp_path / "a", [{"x": "Zoë"}, {"x": b"\xff"}])
    assert read(tmp_path / "a")[0].to_pydict() == {"x": ["Zoë".encode(), b"\xff"]}


@pytest.mark.parametrize(
    ("late", "kind"),
    [({"x": [1, 2]}, "list<item: int64>"), ({"x": 1, "y": 0.5}, "int64"), ({"x": 1, "t": b"\xff"}, "int64")],
    ids=["more values", "another feature", "no text"],
)
def test_types_come_from_all_the_records(tmp_path, monkeypatch, late, kind):
    monkeypatch.setattr("fluent_pipe.arrow.tfrecord_file.ROWS_PER_BATCH", 10)
    tfrecords.write(tmp_path / "a", [{"x": 1, "t": "a"}] * 25 + [late])
    table, _ = read(tmp_path / "a")
    assert str(table.schema.field("x").type) == kind
    assert table.num_rows == 26
    assert set(table.schema.names) == {"x", "t", *late}


ROWS = st.fixed_dictionaries(
    {},
    optional={
        "i": st.integers(-(2**63), 2**63 - 1),
        "f": st.floats(width=32, allow_nan=False),
        "t": st.text(string.printable, max_size=5),
        "b": st.binary(min_size=1, max_size=5),
        "l": st.lists(st.integers(0, 9), min_size=1, max_size=3),
    },
)


@settings(max_examples=40, deadline=None)
@given(drawn=st.lists(ROWS, min_size=1, max_size=30).filter(any), cut=st.integers(0, 30))
def test_rows_come_back_from_one_file_or_many_plain_or_gzipped(tmp_path_factory, drawn, cut):
    folder = tmp_path_factory.mktemp("rows")
    parts = [part for part in (drawn[:cut], drawn[cut:]) if part]
    for name in ("one", "zipped.gz"):
        tfrecords.write(folder / name, drawn)
    for number, part in enumerate(parts):
        tfrecords.write(folder / f"many-{number}", part)
    table, _ = read(folder / "one")
    for other in ("zipped.gz", "many-*"):
        assert read(folder / other)[0].equals(table)
    names = sorted({name for row in drawn for name in row})
    assert table.schema.names == names
    for got, row in zip(table.to_pylist(), drawn, strict=True):
        assert {name: _said(value, row.get(name)) for name, value in got.items()} == {n: row.get(n) for n in names}


def _said(value, wanted):
    """A value as it was written: bytes that happen to be UTF-8 throughout come back as text, lists of one as one."""
    if isinstance(value, str) and isinstance(wanted, bytes):
        return value.encode()
    if isinstance(value, int) and isinstance(wanted, list):
        return [value]
    return value


@settings(max_examples=20, deadline=None)
@given(drawn=st.lists(ROWS, min_size=1, max_size=20).filter(any))
def test_what_is_encoded_is_what_tensorflow_decodes(drawn):
    names = sorted({name for row in drawn for name in row})
    batch = pa.RecordBatch.from_pylist([{n: row.get(n) for n in names} for row in drawn])
    for record, row in zip(tf_example.serialized(batch), drawn, strict=True):
        features = tf.train.Example.FromString(record).features.feature
        assert {name for name, feature in features.items() if feature.WhichOneof("kind")} == set(row)
        if "f" in row:
            assert math.isclose(features["f"].float_list.value[0], row["f"], rel_tol=1e-6)


def test_columns(tmp_path):
    tfrecords.write(tmp_path / "a", [{"x": 1, "y": 2}, {"x": 3, "z": 4}])
    assert read(tmp_path / "a", ["z", "x"])[0].to_pydict() == {"z": [None, 4], "x": [1, 3]}
    with pytest.raises(InputError, match=r"columns= names 'xx', which no record has. There are: x, y, z"):
        read(tmp_path / "a", ["xx"])


def test_records_that_are_no_example_are_told_apart(tmp_path):
    sound = [{"x": i} for i in range(20)]
    tfrecords.write(tmp_path / "a", [*sound, b"hello", *sound, b"\x12\x03abc", {}, *sound])
    table, rejected = read(tmp_path / "a")
    assert table["x"].to_pylist() == [*range(20), *range(20), None, *range(20)]
    where = str(tmp_path / "a")
    assert rejected == [
        Rejected(where, 21, "not a tf.Example", "hello"),
        Rejected(where, 42, "not a tf.Example", "\x12\x03abc"),
    ]


def test_files_of_something_else_are_refused(tmp_path):
    tfrecords.write(tmp_path / "a", [b"hello"] * 3)
    with pytest.raises(InputError, match=r"a: The first 3 records are not tf.Example. Write them as tf.train.Example"):
        read(tmp_path / "a")
    sequence = tf.train.SequenceExample()
    sequence.context.feature["x"].int64_list.value.append(1)
    sequence.feature_lists.feature_list["steps"].feature.add().int64_list.value.append(3)
    tfrecords.write(tmp_path / "a", [sequence.SerializeToString()])
    with pytest.raises(InputError, match=r"a: The record is not a tf.Example. .*SequenceExample"):
        read(tmp_path / "a")


def test_files_without_a_record(tmp_path):
    tfrecords.write(tmp_path / "a.gz", [])
    with pytest.raises(InputError, match=r"a.gz: There is no record"):
        read(tmp_path / "a.gz")
    tfrecords.write(tmp_path / "b.gz", [{}, {}])
    with pytest.raises(InputError, match="The records hold no feature"):
        read(tmp_path / "*.gz")
    tfrecords.write(tmp_path / "b.gz", [{"x": 1}])
    assert read(tmp_path / "*.gz")[0].to_pydict() == {"x": [1]}


@pytest.mark.parametrize("rows_per_batch", [2, 100])
def test_a_feature_of_two_types_is_named(tmp_path, monkeypatch, rows_per_batch):
    monkeypatch.setattr("fluent_pipe.arrow.tfrecord_file.ROWS_PER_BATCH", rows_per_batch)
    tfrecords.write(tmp_path / "a", [{"x": 1}, {"x": 2}, {"y": 1}, {"x": 0.5}])
    with pytest.raises(InputError, match=r"a, record 4: Feature 'x' is float here and int64 in .*one type"):
        read(tmp_path / "a")


def test_a_feature_of_another_type_in_another_file(tmp_path):
    for number, value in enumerate([1, 2, 3, 4, "five"]):
        tfrecords.write(tmp_path / f"{number}", [{"x": value}])
    with pytest.raises(InputError, match=r"4, record 1: Feature 'x' is bytes here and int64 in .*0, record 1"):
        read(tmp_path / "*")
