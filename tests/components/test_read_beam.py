"""Rows of a Beam transform of the user's: one schema for all, each split in its files, what goes wrong is told."""

from __future__ import annotations

import threading
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest

import fluent_pipe as fp
from fluent_pipe.errors import ArgumentError, InputError, UserCodeError
from fluent_pipe.steps.sources import FromBeam
from fluent_pipe.store.fingerprint import of_value
from tests.components.test_read_examples import rows

PEOPLE = [{"id": i, "name": f"name {i}", "score": None if i % 3 else i / 2} for i in range(100)]


@pytest.fixture
def read(tmp_path):
    """Runs a pipeline of one transform; its examples."""

    def run(transform, **more):
        pipeline = fp.Pipeline("p", root=tmp_path / "root").from_beam(transform, **more)
        return pipeline.run(progress=False).examples.artifact

    return run


@pytest.fixture
def refused(tmp_path):
    """The text of the error that a transform ends in, with nothing published."""

    def run(transform, kind, **more):
        with pytest.raises(kind) as caught:
            fp.Pipeline("p", root=tmp_path / "root").from_beam(transform, **more).run(progress=False)
        assert type(caught.value) is kind
        assert caught.value.step == "from_beam"
        assert not list((tmp_path / "root").glob("p/from_beam/*"))
        return str(caught.value)

    return run


def test_dictionaries_are_rows(read):
    examples = read(beam.Create(PEOPLE, reshuffle=False), partition_by="id")
    assert examples.facts()["columns"] == {"id": "int64", "name": "string", "score": "double"}
    found = rows(examples, "train") + rows(examples, "eval")
    assert sorted(found, key=lambda row: row["id"]) == PEOPLE
    assert not list(examples.path.glob(".*"))


def test_steps_of_the_same_job_see_the_rows(tmp_path):
    begun = fp.Pipeline("p", root=tmp_path).from_beam(beam.Create(PEOPLE, reshuffle=False))
    pipeline = begun.generate_statistics().infer_schema()
    assert len(pipeline.plan().jobs) == 1
    assert "score" in (pipeline.run(progress=False).schema.path / "schema.pbtxt").read_text()


class Person(NamedTuple):
    """A row with names."""

    name: str
    id: int


def test_named_tuples_rows_and_record_batches(read):
    one = {"train": 1}
    wanted = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    batch = pa.RecordBatch.from_pydict({"name": pa.array(["a", "b"]).dictionary_encode(), "id": [1, 2]})
    table = pa.Table.from_batches([batch])
    for kind in (
        [Person("a", 1), Person("b", 2)],
        [beam.Row(id=1, name="a"), beam.Row(id=2, name="b")],
        [batch],
        [table],
    ):
        assert rows(read(beam.Create(kind), splits=one), "train") == wanted


class Batches(beam.PTransform):
    """Batches of several types."""

    def expand(self, begin):
        """Numbers of several widths, and columns that are empty in some."""
        return begin | beam.Create([1, 2, 3]) | beam.Map(self.batch)

    @staticmethod
    def batch(number):
        columns = [
            {"x": pa.array([1], pa.int32()), "n": pa.nulls(1), "l": [[]]},
            {"n": ["a"], "l": [[1, 2]], "x": [2.5]},
            {"x": pa.nulls(1), "l": [None], "n": ["b"]},
        ]
        return pa.RecordBatch.from_pydict(columns[number - 1])


def test_types_meet(read):
    examples = read(Batches(), splits={"all": 1})
    assert examples.facts()["columns"] == {"l": "list<item: int64>", "n": "string", "x": "double"}
    assert rows(examples, "all") == [
        {"l": None, "n": "b", "x": None},
        {"l": [1, 2], "n": "a", "x": 2.5},
        {"l": [], "n": None, "x": 1.0},
    ]


def test_a_transform_can_be_run_again(tmp_path):
    rows = beam.Create(PEOPLE[:10]) | beam.Map(lambda row: {"x": row["id"]})
    pipeline = fp.Pipeline("p", root=tmp_path).from_beam(rows, splits={"all": 1}).cache(False)
    first, second = (pipeline.run(progress=False).examples.artifact for _ in range(2))
    assert first.path != second.path
    assert first.fingerprint == second.fingerprint


def test_rows_are_split_as_rows_of_a_table_are(read, tmp_path):
    live = read(beam.Create(PEOPLE))
    table = pa.Table.from_pylist(PEOPLE)
    stored = fp.Pipeline("t", root=tmp_path / "root").from_arrow(table).run(progress=False).examples.artifact
    assert all(rows(live, split) == rows(stored, split) for split in ("train", "eval"))


def fails(row):
    raise ValueError(f"no luck with {row['id']}")


class Broken(beam.PTransform):
    """Holds what does not pickle."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def expand(self, begin):
        """Take the lock along."""
        lock = self.lock
        return begin | beam.Create([1]) | beam.Map(lambda row: (lock, row))


class Several(beam.PTransform):
    """Gives two collections."""

    def expand(self, begin):
        """Both of them."""
        return {"a": begin | "a" >> beam.Create([1]), "b": begin | "b" >> beam.Create([2])}


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (beam.Create([[1, 2]]), ["A row is list: [1, 2].", "dict, NamedTuple, beam.Row, pyarrow.RecordBatch"]),
        (beam.Create([{"a": 1, "b": 2}, {"a": 1, "c": 3}]), ["Some rows lack 'b' and have also 'c'", "None for what"]),
        (beam.Create([{"a": 1}, {"a": "x"}]), ["Column 'a' holds values", "int, str"]),
        (beam.Create([{"a": {"b": 1}}]), ["Column 'a' is nested"]),
        (beam.Create([{1: 1}]), ["named by 1"]),
        (beam.Create([{}]), ["no column"]),
        (beam.Create([]), ["gives no row"]),
        (
            beam.Create([pa.RecordBatch.from_pydict({"a": v}) for v in ([1], ["x"])]),
            ["Column 'a' is string in some rows and int64 in others"],
        ),
        (
            beam.Create([pa.RecordBatch.from_pydict({v: [1]}) for v in "ab"]),
            ["Some rows lack 'a' and have also 'b', compared with others"],
        ),
    ],
    ids=["list", "names", "mixed", "nested", "number", "empty row", "no row", "batch types", "batch names"],
)
def test_rows_that_do_not_go_together(refused, transform, words):
    text = refused(transform, InputError)
    for word in words:
        assert word in text


def test_a_partition_column_that_does_not_exist(refused):
    told = refused(beam.Create(PEOPLE), InputError, partition_by="nam")
    assert "partition_by names column 'nam'" in told
    assert "Did you mean 'name'?" in told


def test_what_the_transform_raises_names_its_line(refused):
    text = refused(beam.Create(PEOPLE[:1]) | beam.Map(fails), UserCodeError)
    assert "ValueError: no luck with 0" in text
    assert f"{__file__}:{fails.__code__.co_firstlineno + 1}" in text
    assert "Traceback" not in text


def test_a_transform_that_cannot_be_applied(refused):
    assert "cannot pickle '_thread.lock' object" in refused(Broken(), UserCodeError)
    assert "Several gives a dict, not one PCollection" in refused(Several(), UserCodeError)
    assert "cannot be applied" in refused(beam.Map(fails), UserCodeError)


class Connected(beam.DoFn):
    """Leaves its connection behind when it travels."""

    def __init__(self, table):
        super().__init__()
        self.table = table
        self.connection = iter([table])

    def __getstate__(self):
        return {"table": self.table}

    def process(self, row):
        """Keep the row."""
        yield row


def test_what_is_left_behind_is_no_part_of_the_key():
    assert of_value(Connected("trips")) == of_value(Connected("trips")) != of_value(Connected("fares"))


def test_what_is_no_transform():
    with pytest.raises(ArgumentError, match=r"from_beam\(\) takes a Beam PTransform, got \[1\]"):
        fp.Pipeline("p").from_beam([1])


class Numbers(beam.PTransform):
    """So many rows."""

    def __init__(self, count):
        super().__init__()
        self.count = count

    def expand(self, begin):
        """Rows of one number."""
        return begin | beam.Create([self.count]) | beam.FlatMap(lambda count: [{"x": int(i)} for i in np.arange(count)])


def test_the_key_is_of_the_code_and_of_the_version(tmp_path):
    def state(transform, **more) -> str:
        chain = fp.Pipeline("p", root=tmp_path).from_beam(transform, splits={"all": 1}, **more)
        return chain.plan().steps[0].state

    numbers = Numbers(5)
    fp.Pipeline("p", root=tmp_path).from_beam(numbers, splits={"all": 1}).run(progress=False)
    assert state(numbers) == state(Numbers(5)) == "cached"
    assert state(Numbers(6)) == state(Numbers(5), version="2024-05-01") == "run"
    chained = beam.Create([1]) | beam.Map(fails)
    before = of_value(chained)
    _ = beam.Pipeline() | chained
    assert of_value(chained) == before
    assert isinstance(fp.Pipeline("p").from_beam(numbers).steps[0], FromBeam)
