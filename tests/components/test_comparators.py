"""Drift between samples of the same data reads about 0, whatever their extremes; a real change is seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from fluent_pipe.arrow.tfx import to_tfx
from fluent_pipe.components.common_cells import CELLS, on_common_cells
from fluent_pipe.components.comparators import add, compare, distances, too_many_values
from fluent_pipe.components.generate_statistics import stats_options
from fluent_pipe.report.distances import of_categories, of_numbers
from fluent_pipe.steps.limits import infinity_norm, jensen_shannon

Values = npt.NDArray[Any]
Sample = Callable[[np.random.Generator, int], Values]

# TFDV's means and variances of such numbers overflow; its histograms do not.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

few_and_fast = settings(max_examples=12, deadline=None)

SAMPLES: dict[str, Sample] = {
    "hours": lambda random, size: random.integers(0, 24, size),
    "normal": lambda random, size: random.normal(20.0, 4.0, size),
    "lognormal": lambda random, size: random.lognormal(2.0, 0.8, size),
    "many zeros": lambda random, size: np.where(random.random(size) < 0.7, 0.0, random.lognormal(0.0, 1.0, size)),
    "prices": lambda random, size: random.choice([0.99, 1.99, 4.99, 9.99, 49.99], size, p=[0.4, 0.3, 0.2, 0.09, 0.01]),
    "distances": lambda random, size: random.choice(np.array([184, 187, 200, 733, 762, 1400, 2475, 4983]), size),
}


def statistics(columns: Mapping[str, Any], buckets: int = 100) -> statistics_pb2.DatasetFeatureStatisticsList:
    batch = pa.table(dict(columns)).combine_chunks().to_batches()[0]
    return stats_impl.generate_statistics_in_memory(to_tfx(batch), stats_options({"num_histogram_buckets": buckets}))


def divergences(one: Mapping[str, Any], other: Mapping[str, Any], buckets: int = 100) -> dict[str, float]:
    sides = statistics(one, buckets), statistics(other, buckets)
    limits = dict.fromkeys(one, jensen_shannon(0.1))
    compared = compare("drift", tfdv.infer_schema(sides[0]), limits, *sides)
    return {entry["column"]: entry["value"] for entry in distances(compared, "train")}


def divergence(one: Values, other: Values, buckets: int = 100) -> float:
    return divergences({"x": one}, {"x": other}, buckets)["x"]


finite_or_not = st.floats(width=64) | st.just(0.0) | st.just(1.0)
whole_numbers = st.integers(-(2**62), 2**62) | st.integers(-3, 3)


@few_and_fast
@given(
    values=st.lists(finite_or_not, min_size=1, max_size=60) | st.lists(whole_numbers, min_size=1, max_size=60),
    others=st.lists(finite_or_not, min_size=1, max_size=60),
)
def test_it_is_0_of_the_same_values_symmetric_and_between_0_and_1(values: list[Any], others: list[float]) -> None:
    one, other = np.array(values), np.array(others)
    assert divergence(one, one.copy()) == pytest.approx(0.0, abs=1e-9)
    assert -1e-9 <= divergence(one, other) <= 1.0
    assert divergence(one, other) == pytest.approx(divergence(other, one), abs=1e-12)


@few_and_fast
@given(name=st.sampled_from(sorted(SAMPLES)), seed=st.integers(0, 10_000), buckets=st.sampled_from([10, 100]))
def test_two_samples_of_the_same_data_hardly_differ(name: str, seed: int, buckets: int) -> None:
    random = np.random.default_rng(seed)
    assert divergence(SAMPLES[name](random, 5_000), SAMPLES[name](random, 3_000), buckets) < 0.03


@few_and_fast
@given(
    name=st.sampled_from(sorted(SAMPLES)), seed=st.integers(0, 10_000), far=st.sampled_from([-1e4, 1e4, 1e9]),
    buckets=st.sampled_from([10, 100]),
)  # fmt: skip
def test_a_far_outlier_is_not_drift(name: str, seed: int, far: float, buckets: int) -> None:
    random = np.random.default_rng(seed)
    one, other = SAMPLES[name](random, 5_000), SAMPLES[name](random, 5_000)
    other[0] = far
    assert divergence(one, other, buckets) < 0.03


@few_and_fast
@given(
    name=st.sampled_from(["hours", "normal", "lognormal", "distances"]), seed=st.integers(0, 10_000),
    times=st.sampled_from([0.5, 2.0]),
)  # fmt: skip
def test_scaled_data_drift(name: str, seed: int, times: float) -> None:
    random = np.random.default_rng(seed)
    one, other = SAMPLES[name](random, 4_000), SAMPLES[name](random, 4_000)
    assert divergence(one, (other * times).astype(one.dtype)) > 0.1


def test_it_is_what_counting_the_values_in_equal_shares_gives() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(0.0, 1.0, 20_000), random.normal(1.0, 1.3, 20_000)
    edges = np.quantile(np.concatenate([one, other]), np.linspace(0, 1, CELLS + 1))
    first, second = (np.histogram(values, edges)[0] / len(values) for values in (one, other))
    middle = (first + second) / 2
    expected = sum((p * np.log2(np.where(p > 0, p / middle, 1.0))).sum() for p in (first, second)) / 2
    assert expected > 0.1
    assert divergence(one, other) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_report_measures_without_tfdv_what_tfdv_measures(name: str) -> None:
    random = np.random.default_rng(1)
    one, other = SAMPLES[name](random, 500), SAMPLES[name](random, 700) * 1.3
    sides = [statistics({"x": side}).datasets[0].features[0] for side in (one, other)]
    assert of_numbers(*sides) == pytest.approx(divergence(one, other), abs=1e-9)


def test_the_largest_difference_of_a_share_too() -> None:
    one, other = (statistics({"x": np.array(list(letters) * 30)}) for letters in ("abb", "acbc"))
    compared = compare("drift", tfdv.infer_schema(one), {"x": infinity_norm(0.1)}, one, other)
    (measured,) = distances(compared, "train")
    sides = [side.datasets[0].features[0] for side in (one, other)]
    assert of_categories(*sides) == pytest.approx(measured["value"], abs=1e-9)


def test_hours_that_shift_by_three_drift() -> None:
    hours = np.clip(np.random.default_rng(0).normal(13.0, 4.5, 5_000).astype(int), 0, 20)
    assert divergence(hours, hours + 3) > 0.1
    assert divergence(hours[hours > 0], hours) < 0.02


def test_what_is_no_finite_number_is_counted_apart() -> None:
    values = np.random.default_rng(0).normal(size=2_000)
    holes, ends = values.copy(), values.copy()
    holes[:600], ends[:300], ends[300:600] = np.nan, np.inf, -np.inf
    columns = {"holes": holes, "ends": ends, "nan": np.full(2_000, np.nan), "inf": np.full(2_000, np.inf)}
    assert divergences(columns, columns) == pytest.approx(dict.fromkeys(columns, 0.0), abs=1e-9)
    changed = {"holes": values, "ends": values, "nan": values, "inf": -columns["inf"]}
    found = divergences(columns, changed)
    assert found["holes"] > 0.1
    assert found["ends"] > 0.1
    assert (found["nan"], found["inf"]) == pytest.approx((1.0, 1.0))


def test_constants_are_the_same_or_wholly_different() -> None:
    columns = {"same": np.full(500, 7.5), "zeros": np.zeros(500), "near": np.full(500, 7.5), "whole": np.full(500, 3)}
    changed = {"same": np.full(90, 7.5), "zeros": np.zeros(90), "near": np.full(90, 7.6), "whole": np.full(90, 4)}
    assert divergences(columns, changed) == pytest.approx({"same": 0.0, "zeros": 0.0, "near": 1.0, "whole": 1.0})


def test_a_side_without_values_is_not_measured() -> None:
    empty = pa.array([None] * 20, type=pa.float64())
    assert divergences({"x": np.ones(20), "y": np.ones(20)}, {"x": empty}) == {}


def test_the_statistics_stay_as_they_are() -> None:
    sides = statistics({"x": np.arange(50)}), statistics({"x": np.arange(90)})
    before = [side.SerializeToString(deterministic=True) for side in sides]
    copies = on_common_cells(*(side.datasets[0].features[0] for side in sides))
    compare("skew", tfdv.infer_schema(sides[0]), {"x": jensen_shannon(0.1)}, *sides)
    assert [side.SerializeToString(deterministic=True) for side in sides] == before
    edges = [[bucket.low_value for bucket in copy.num_stats.histograms[0].buckets] for copy in copies]
    assert edges[0] == edges[1]


def test_an_anomaly_has_tfdvs_words_and_joins_others_of_its_column() -> None:
    sides = statistics({"x": np.zeros(50)}), statistics({"x": np.ones(50)})
    schema = tfdv.infer_schema(sides[0])
    limits = {"x": jensen_shannon(0.1)}
    compared = compare("drift", schema, limits, *sides)
    (reason,) = compared.anomaly_info["x"].reason
    assert reason.short_description == "High approximate Jensen-Shannon divergence between current and previous"
    found = anomalies_pb2.Anomalies()
    add(found, compared)
    assert found == compared
    skewed = compare("skew", schema, limits, *sides)
    add(found, skewed)
    info = found.anomaly_info["x"]
    assert info.short_description == "Multiple errors"
    assert info.description == " ".join(each.description for each in info.reason)
    (measured,) = found.drift_skew_info
    assert len(measured.drift_measurements) == len(measured.skew_measurements) == 1


def test_a_star_leaves_out_strings_of_which_chance_makes_samples_differ() -> None:
    random = np.random.default_rng(0)
    size = 6_000
    columns = {
        "carrier": random.choice(["UA", "AA"], size),
        "airport": random.integers(0, 100, size).astype(str),
        "tail": random.integers(0, 1_500, size).astype(str),
        "user": random.integers(0, 600, size).astype(str),
        "named": np.arange(size).astype(str),
        "number": np.arange(size),
    }
    both = statistics(columns), statistics(columns)
    star, named = ("*", jensen_shannon(0.1)), ("named", jensen_shannon(0.1))
    left_out = too_many_values((star, named), *both)
    assert left_out.keys() == {"tail", "user"}
    assert left_out["user"] == "600 different values in 6,000"
    assert too_many_values((named,), *both) == {}
    assert too_many_values((("*", infinity_norm(0.1)),), *both) == {}
