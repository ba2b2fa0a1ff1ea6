"""What generate_statistics() leaves: TFDV's statistics, split by split and slice by slice."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_data_validation.utils import slicing_util
from tensorflow_metadata.proto.v0 import statistics_pb2

from fluent_pipe import progress
from fluent_pipe.arrow.tfx import to_tfx
from fluent_pipe.artifacts import Examples
from fluent_pipe.components.generate_statistics import DEFAULTS, GenerateStatistics, stats_options
from fluent_pipe.components.inputs import ExamplesInput
from fluent_pipe.components.slicing import by_columns, sample_rows
from fluent_pipe.errors import ArgumentError, InputError
from fluent_pipe.steps import data
from fluent_pipe.steps.base import Ref, pairs
from fluent_pipe.steps.limits import SliceColumns, slice_columns
from tests.beam_jobs import context, examples, job, run

Datasets = dict[str, statistics_pb2.DatasetFeatureStatistics]


def rows(count: int, seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    fare = random.gamma(2.0, 6.0, count)
    return pa.table(
        {
            "fare": pa.array(fare, mask=random.random(count) < 0.1),
            "month": pa.array(random.integers(1, 4, count)),
            "carrier": pa.array(random.choice(["UA", "AA", "B6", "WN"], count, p=[0.5, 0.3, 0.15, 0.05])),
            "origin": pa.array(random.choice(["EWR", "JFK"], count), mask=random.random(count) < 0.2),
        }
    )


def statistics_of(folder: Path, split: str = "train") -> Datasets:
    loaded = tfdv.load_stats_binary(str(folder / f"Split-{split}" / "FeatureStats.pb"))
    return {dataset.name: dataset for dataset in loaded.datasets}


def generate(
    folder: Path, slices: SliceColumns = (), sample: float | None = None, options: Any = (), **splits: pa.Table
) -> Path:
    step = data.GenerateStatistics(
        id="generate_statistics", examples=Ref("from_arrow", Examples), split_names=tuple(splits), slices=slices,
        sample=sample, options=pairs(dict(options)),
    )  # fmt: skip
    where = context(folder, "generate_statistics")
    return run(GenerateStatistics(step, where, examples(folder / "examples", **splits)))


def columns_of(dataset: statistics_pb2.DatasetFeatureStatistics) -> dict[str, statistics_pb2.FeatureNameStatistics]:
    return {feature.path.step[0]: feature for feature in dataset.features}


def assert_same(ours: statistics_pb2.DatasetFeatureStatistics, theirs: statistics_pb2.DatasetFeatureStatistics) -> None:
    assert ours.num_examples == theirs.num_examples
    mine, other = columns_of(ours), columns_of(theirs)
    assert mine.keys() == other.keys()
    for name, feature in mine.items():
        assert feature.type == other[name].type, name
        if feature.HasField("num_stats"):
            assert_same_numbers(feature.num_stats, other[name].num_stats)
        else:
            assert feature.string_stats.unique == other[name].string_stats.unique
            assert list(feature.string_stats.top_values) == list(other[name].string_stats.top_values)
            assert feature.string_stats.rank_histogram == other[name].string_stats.rank_histogram


def assert_same_numbers(ours: statistics_pb2.NumericStatistics, theirs: statistics_pb2.NumericStatistics) -> None:
    counts = ("num_non_missing", "num_missing", "min_num_values", "max_num_values", "tot_num_values")
    assert [getattr(ours.common_stats, c) for c in counts] == [getattr(theirs.common_stats, c) for c in counts]
    assert (ours.min, ours.max, ours.num_zeros) == (theirs.min, theirs.max, theirs.num_zeros)
    assert ours.mean == pytest.approx(theirs.mean)
    assert ours.std_dev == pytest.approx(theirs.std_dev)
    # Quantile sketches depend on the order in which batches meet, within the error that TFDV asks of them.
    total = max(ours.common_stats.tot_num_values, 1)
    for mine, other in zip(ours.histograms, theirs.histograms, strict=True):
        assert mine.type == other.type
        assert len(mine.buckets) == len(other.buckets)
        if mine.type == statistics_pb2.Histogram.STANDARD:
            pairs_of = zip(mine.buckets, other.buckets, strict=True)
            ahead = np.cumsum([a.sample_count - b.sample_count for a, b in pairs_of])
            assert np.abs(ahead).max() <= 0.02 * total + 1


def test_the_statistics_are_those_of_tfdv_on_a_dataframe(tmp_path: Path) -> None:
    splits = {"train": rows(1_000), "eval": rows(350, seed=1)}
    folder = generate(tmp_path, **splits)
    for split, table in splits.items():
        expected = tfdv.generate_statistics_from_dataframe(table.to_pandas(), tfdv.StatsOptions(**DEFAULTS))
        (dataset,) = statistics_of(folder, split).values()
        assert_same(dataset, expected.datasets[0])


@settings(max_examples=6, deadline=None)
@given(
    count=st.integers(1, 700),
    seed=st.integers(0, 99),
    options=st.fixed_dictionaries(
        {}, optional={"num_histogram_buckets": st.integers(1, 50), "num_top_values": st.integers(1, 5)}
    ),
)
def test_batches_of_any_size_give_what_one_gives(
    tmp_path_factory: pytest.TempPathFactory, count: int, seed: int, options: dict[str, Any]
) -> None:
    table = rows(count, seed)
    folder = generate(tmp_path_factory.mktemp("statistics"), options=options, train=table)
    expected = tfdv.generate_statistics_from_dataframe(table.to_pandas(), stats_options(options))
    assert_same(statistics_of(folder)[""], expected.datasets[0])


def test_options_that_need_the_whole_of_tfdv_give_the_same_counts(tmp_path: Path) -> None:
    table = rows(600)
    options = {"use_sketch_based_topk_uniques": False, "feature_allowlist": ["carrier", "fare"]}
    exact = statistics_of(generate(tmp_path / "exact", options=options, slices=(("carrier",),), train=table))
    usual = statistics_of(generate(tmp_path / "usual", slices=(("carrier",),), train=table))
    assert exact.keys() == usual.keys()
    for name, dataset in exact.items():
        assert columns_of(dataset).keys() == {"carrier", "fare"}
        assert dataset.num_examples == usual[name].num_examples
        counts = [columns_of(d[name])["carrier"].string_stats.rank_histogram.buckets for d in (exact, usual)]
        assert [(b.label, b.sample_count) for b in counts[0]] == [(b.label, b.sample_count) for b in counts[1]]


def test_missing_is_null_and_nan_is_a_value(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array([1.0, float("nan"), None, 3.0])})
    statistics = columns_of(statistics_of(generate(tmp_path, train=table))[""])["x"].num_stats
    assert statistics.common_stats.num_missing == 1
    assert statistics.histograms[0].num_nan == 1
    assert statistics.mean == 2.0


def test_every_type_that_a_source_gives_is_counted(tmp_path: Path) -> None:
    table = pa.table(
        {
            "flag": [True, False, None],
            "day": [dt.date(2013, 1, 1), dt.date(2013, 1, 2), None],
            "nothing": pa.nulls(3),
            "tags": [["a", "b"], None, ["c"]],
        }
    )
    columns = columns_of(statistics_of(generate(tmp_path, train=table))[""])
    kinds = statistics_pb2.FeatureNameStatistics
    assert columns["flag"].type == kinds.INT
    assert columns["day"].string_stats.top_values[0].value.startswith("2013-01-0")
    assert columns["tags"].string_stats.common_stats.max_num_values == 2
    assert "nothing" in columns


def test_slices_hold_the_rows_of_each_value_and_cross(tmp_path: Path) -> None:
    table = rows(900)
    slices = slice_columns(["carrier", ["origin", "month"]])
    datasets = statistics_of(generate(tmp_path, slices=slices, train=table))
    assert next(iter(datasets)) == "All Examples"
    assert datasets["All Examples"].num_examples == 900
    frame = table.to_pandas()
    counts = {f"carrier_{carrier}": n for carrier, n in frame.carrier.value_counts().items()}
    crosses = frame.groupby(["month", "origin"]).size()
    counts |= {f"month_{month}_origin_{origin}": n for (month, origin), n in crosses.items()}
    assert {n: d.num_examples for n, d in datasets.items() if n != "All Examples"} == counts
    inside = frame[frame.carrier == "UA"].fare
    assert columns_of(datasets["carrier_UA"])["fare"].num_stats.mean == pytest.approx(inside.mean())
    # The numbers of a slice are those of its rows alone.
    options = tfdv.StatsOptions(**DEFAULTS)
    alone = tfdv.generate_statistics_from_dataframe(frame[frame.carrier == "UA"].reset_index(drop=True), options)
    assert_same(datasets["carrier_UA"], alone.datasets[0])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "ä", None]), st.sampled_from([0, -1, 7, None]), st.integers(0, 3)),
        max_size=20,
    )
)
def test_slicing_whole_columns_gives_what_tfdv_gives(values: list[tuple[str | None, int | None, int]]) -> None:
    strings, numbers, others = zip(*values, strict=True) if values else ((), (), ())
    batch = to_tfx(
        pa.record_batch(
            [pa.array(strings, pa.string()), pa.array(numbers, pa.int64()), pa.array(others, pa.int64())],
            ["s", "n", "o"],
        )
    )
    for columns in (("s",), ("n",), ("n", "s")):
        theirs = {k: v.to_pydict() for k, v in slicing_util.get_feature_value_slicer(dict.fromkeys(columns))(batch)}
        assert {k: v.to_pydict() for k, v in by_columns(batch, columns)} == theirs


def test_a_row_with_several_values_is_in_several_slices() -> None:
    batch = to_tfx(pa.record_batch([pa.array([["a", "b"], ["b"], None])], ["tags"]))
    assert {name: part.num_rows for name, part in by_columns(batch, ("tags",))} == {"tags_a": 1, "tags_b": 2}


def test_a_sample_is_of_rows_and_the_same_each_time(tmp_path: Path) -> None:
    table = rows(3_000)
    once = statistics_of(generate(tmp_path / "once", sample=0.2, train=table))
    again = statistics_of(generate(tmp_path / "again", sample=0.2, train=table))
    assert 480 < once[""].num_examples < 720
    assert once[""].num_examples == again[""].num_examples
    (batch,) = table.combine_chunks().to_batches()
    assert sample_rows(batch, 0.5).equals(sample_rows(batch, 0.5))


def test_a_slice_column_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'carrier'") as caught:
        generate(tmp_path, slices=(("carier",),), train=rows(10))
    assert caught.value.step == "generate_statistics"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"num_histogram_bucket": 5}, "Did you mean 'num_histogram_buckets'"),
        ({"sample_rate": 0.1}, "sample="),
        ({"experimental_slice_functions": ()}, "slices="),
        ({"semantic_domain_stats_sample_rate": 7.0}, "refuses"),
    ],
)
def test_options_are_checked(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        stats_options(option)


def test_an_empty_split_leaves_empty_statistics(tmp_path: Path) -> None:
    datasets = statistics_of(generate(tmp_path, train=rows(0)))
    assert [d.num_examples for d in datasets.values()] == [0]


def test_live_rows_are_counted_and_reported(tmp_path: Path) -> None:
    progress.reset()
    step = data.GenerateStatistics(id="statistics", examples=Ref("source", Examples), split_names=("train", "eval"))
    where = context(tmp_path, "statistics")
    with job(where) as pipeline:
        live = {s: pipeline | s >> beam.Create([rows(50).combine_chunks().to_batches()[0]]) for s in ("train", "eval")}
        GenerateStatistics(step, where, ExamplesInput("examples", live=live)).build(pipeline)
    assert progress.snapshot()["statistics"].rows == 100
    assert statistics_of(tmp_path / "statistics", "eval")[""].num_examples == 50
