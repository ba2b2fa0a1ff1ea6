"""Filters and maps of Arrow batches: the forms they take, the job they share, and what goes wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import fluent_pipe as fp
from fluent_pipe.errors import ArgumentError, OrderError
from tests.own_code import TRIPS, refused


@pytest.fixture
def source(tmp_path):
    return fp.Pipeline("p", root=tmp_path).from_arrow(TRIPS, partition_by="user")


def table(batch):
    return pa.Table.from_batches([batch])


def long(batch):
    return pc.greater(batch.column("miles"), 6)


def test_filter_and_map_share_the_job_of_the_source(tmp_path):
    data = fp.Pipeline("p", root=tmp_path).from_arrow(TRIPS).filter(long).filter(pc.field("miles") < 12)
    pipeline = data.map(lambda b: table(b).append_column("feet", pc.multiply(b.column("miles"), 5280.0)))
    pipeline = pipeline.generate_statistics()
    assert pipeline.plan().jobs == (("from_arrow", "filter", "filter_2", "map", "generate_statistics"),)
    run = pipeline.run(progress=False)
    expected = [float(n % 13) for n in range(1000) if 6 < n % 13 < 12]
    rows = pa.concat_tables([run.examples.table(split) for split in ("train", "eval")])
    assert sorted(rows["miles"].to_pylist()) == sorted(expected)
    assert rows["feet"].to_pylist() == [5280 * miles for miles in rows["miles"].to_pylist()]
    assert {r["rows"] for r in run.statistics.rows()} == {r["rows"] for r in run.examples.rows()}
    filtered = run.artifact(fp.Examples, step="filter")
    assert sum(filtered.facts()["filtered"].values()) == sum(n % 13 <= 6 for n in range(1000))
    assert "filtered out" in filtered.summary()
    assert pipeline.run(progress=False).timings.steps_run == ()


@pytest.mark.parametrize(
    "keep",
    [
        long,
        lambda b: b.column("miles").to_numpy() > 6,
        lambda b: pc.field("miles") > 6,
        lambda b: table(b).to_pandas()["miles"] > 6,
        lambda b: pc.if_else(long(b), True, pa.scalar(None, pa.bool_())),
        pc.field("miles") > 6,
    ],
    ids=["arrow", "numpy", "returned expression", "pandas", "null", "expression"],
)
def test_truth_values_may_come_in_many_forms(source, keep):
    run = source.filter(keep).run(progress=False)
    assert sum(r["rows"] for r in run.examples.rows()) == sum(n % 13 > 6 for n in range(1000))


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        (lambda b: None, ["returned nothing", "a truth value for each row"]),
        (lambda b: b, ["returned RecordBatch"]),
        (lambda b: True, ["returned bool"]),
        (lambda b: np.arange(b.num_rows), ["returned int64 values"]),
        (lambda b: np.array([True]), ["returned 1 truth values for"]),
        (lambda b: pc.greater(b.column("miles"), 99), ["dropped all", "rows of split 'train'"]),
        (lambda b: b.column("mile"), ["raised KeyError", "test_filter_and_map.py:", "Did you mean 'miles'?"]),
        (pc.field("mile") > 0, ["(mile > 0)", "Did you mean 'miles'?"]),
        (pc.field("user") > 0, ["(user > 0) cannot be computed"]),
        (pc.field("miles") + 1, ["returned double values"]),
    ],
)
def test_a_filter_that_goes_wrong(source, keep, words):
    refused(source.filter(keep).generate_statistics(), "filter", *words)


def by_length(batch):
    """A train split has more rows in a batch than an eval split."""
    return table(batch).append_column("x", pa.array([None if batch.num_rows < 400 else 1.5] * batch.num_rows))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: None, ["returned nothing", "Return a pyarrow.RecordBatch"]),
        (lambda b: b.to_pandas(), ["returned DataFrame", "from_pandas"]),
        (lambda b: b.slice(1), ["rows for", "filter() drops rows"]),
        (by_length, ["batches of different columns", "'x'", "null", "Give each column its type"]),
        (lambda b: table(b).append_column("s", pa.array([{"a": 1}] * b.num_rows)), ["Column 's' is nested"]),
        (lambda b: table(b).append_column("user", b.column("user")), ["Column 'user' is there 2 times"]),
        (lambda b: table(b).drop(["user"]), ["dropped column 'user'", "partition_by="]),
        (lambda b: table(b).set_column(0, "user", pc.utf8_upper(b.column("user"))), ["changed column 'user'"]),
        (lambda b: b["mile"], ["raised KeyError", "test_filter_and_map.py:", "Did you mean 'miles'?"]),
    ],
)
def test_a_map_that_goes_wrong(source, change, words):
    refused(source.map(change).generate_statistics(), "map", *words)


def test_filter_and_map_come_before_statistics(source):
    with pytest.raises(OrderError, match=r"filter\(\) must come before generate_statistics\(\)"):
        source.generate_statistics().filter(long)
    with pytest.raises(OrderError, match=r"map\(\) must come before generate_statistics\(\)"):
        source.generate_statistics().map(long)
    with pytest.raises(ArgumentError, match=r"filter\(\) takes a function, got 5"):
        source.filter(5)


def test_types_that_turn_out_too_narrow_are_tried_again(tmp_path):
    lines = ["miles,city", *(f"{n},Graz" for n in range(2000)), "0.5,Linz"]
    (tmp_path / "trips.csv").write_text("\n".join(lines))
    data = fp.Pipeline("p", root=tmp_path / "root").from_csv(tmp_path / "trips.csv")
    data = replace(data, steps=(replace(data.steps[0], block_bytes=1024),))
    run = data.filter(pc.field("miles") < 1000).map(table).generate_statistics().run(progress=False)
    assert run.examples.artifact.facts()["columns"] == {"miles": "double", "city": "string"}
    assert sum(r["rows"] for r in run.examples.rows()) == 1001
