"""Slices on which a model is worse: statistics as scipy's on the rows, whatever the batches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fluent_pipe.errors import EvaluationError
from fluent_pipe.evaluation.discovery import row_loss, worse
from fluent_pipe.evaluation.loss_sums import LossSums
from tests.evaluation.losses import Columns, as_found, planted, slices_by_hand, summed, worse_by_hand


@given(st.integers(0, 2**32), st.integers(6, 300), st.integers(1, 3), st.integers(2, 20), st.integers(1, 5))
@settings(max_examples=80, deadline=None)
def test_as_welch_and_benjamini_yekutieli_on_the_rows(
    seed: int, rows: int, depth: int, at_least: int, batches: int
) -> None:
    random = np.random.default_rng(seed)
    columns: Columns = {
        "carrier": random.choice(np.array(["AA", "UA", None], object), rows).tolist(),
        "month": random.choice(np.array([1, 2, 3, None], object), rows).tolist(),
        "share": random.choice(np.array([0.5, -1.0, math.nan, math.inf], object), rows).tolist(),
    }
    loss = random.exponential(size=rows)
    for mask in slices_by_hand(columns, depth).values():
        loss = loss + mask * random.choice([0.0, 0.0, 0.0, 2.0])
    asked: dict[str, Any] = {"at_least": at_least, "effect_size": 0.1, "confidence": 0.8}
    expected = worse_by_hand(columns, loss, depth=depth, **asked)
    found = worse(summed(columns, loss, depth=depth, batches=batches), **asked)
    assert [f.slice for f in found] == [f.slice for f in expected]
    for ours, theirs in zip(found, expected, strict=True):
        for name, value in vars(theirs).items():
            if name != "slice":
                assert getattr(ours, name) == pytest.approx(value, rel=1e-6, abs=1e-12), name


def test_planted_slices_are_found_and_nothing_else() -> None:
    columns, loss = planted()
    found = worse(summed(columns, loss), effect_size=0.4)
    assert {tuple(f.slice.items()) for f in found} == {(("month", 6),), (("carrier", "B6"), ("origin", "LGA"))}
    for slice_found in found:
        assert slice_found.interval[0] < slice_found.difference < slice_found.interval[1]
        assert slice_found.interval[0] > 0
        assert slice_found.p_value <= slice_found.p_adjusted <= 0.05
    assert [f.interval[0] for f in found] == sorted((f.interval[0] for f in found), reverse=True)


def test_a_cross_needs_its_depth() -> None:
    columns, loss = planted()
    assert [f.slice for f in worse(summed(columns, loss, depth=1), effect_size=0.4)] == [{"month": 6}]


@pytest.mark.parametrize("kind", ["exponential", "log loss", "rare"])
def test_noise_is_not_found(kind: str) -> None:
    runs_with_discoveries = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        columns = {f"column {n}": random.integers(0, n + 2, 2000).tolist() for n in range(6)}
        probability = random.beta(1, 19 if kind == "rare" else 3, 2000)
        label = random.random(2000) < probability
        loss = random.exponential(size=2000) if kind == "exponential" else row_loss(label, probability, task="binary")
        # No effect is too small, so that the tests alone decide.
        runs_with_discoveries += bool(worse(summed(columns, loss), effect_size=0.0))
    assert runs_with_discoveries <= 3


def test_weights_as_a_plain_formula_has_them() -> None:
    columns, loss = planted(500)
    weight = np.random.default_rng(1).gamma(2.0, size=500)
    (found,) = (f for f in worse(summed(columns, loss, weight), at_least=20) if f.slice == {"month": 6})
    inside = np.array(columns["month"]) == 6
    moments = []
    for rows in (inside, ~inside):
        w, x = weight[rows], loss[rows]
        size, mean = w.sum() ** 2 / (w**2).sum(), (w * x).sum() / w.sum()
        variance = (w * (x - mean) ** 2).sum() / w.sum() * size / (size - 1)
        moments.append((mean, variance**0.5, size))
    (mean, spread, _), (mean_outside, spread_outside, _) = moments
    test = stats.ttest_ind_from_stats(*moments[0], *moments[1], equal_var=False, alternative="greater")
    assert found.rows == inside.sum()
    assert found.difference == pytest.approx(mean - mean_outside)
    assert found.p_value == pytest.approx(test.pvalue)
    assert found.effect_size == pytest.approx(2**0.5 * (mean - mean_outside) / (spread**2 + spread_outside**2) ** 0.5)


def test_means_are_those_of_repeated_rows() -> None:
    columns, loss = planted(2000)
    times = np.random.default_rng(1).integers(0, 4, 2000)
    repeated = {name: np.repeat(values, times).tolist() for name, values in columns.items()}
    weighted, plain = (
        {tuple(f.slice.items()): (pytest.approx(f.loss), pytest.approx(f.difference)) for f in worse(sums)}
        for sums in (summed(columns, loss, times), summed(repeated, np.repeat(loss, times)))
    )
    assert weighted
    assert weighted == plain


def test_equal_weights_change_nothing() -> None:
    columns, loss = planted(2000)
    assert as_found(summed(columns, loss, np.full(2000, 0.1, np.float32))) == as_found(summed(columns, loss))


def test_rows_of_weight_zero_do_not_count() -> None:
    columns, loss = planted(2000)
    weight = (np.arange(2000) % 3 > 0).astype(np.int64)
    kept = {name: [v for v, w in zip(values, weight, strict=True) if w] for name, values in columns.items()}
    assert as_found(summed(columns, loss, weight)) == as_found(summed(kept, loss[weight > 0]))


def test_one_heavy_row_is_not_many() -> None:
    columns = {"month": [1] * 500 + [2] * 500}
    loss = np.concatenate([np.linspace(2, 3, 500), np.linspace(0, 1, 500)])
    weight = np.ones(1000)
    assert worse(summed(columns, loss, weight))
    weight[0] = 1e6
    assert worse(summed(columns, loss, weight)) == []


@pytest.mark.parametrize("weight", [None, np.array([0.1, 0.7, 0.3] * 100)])
def test_a_slice_of_every_row_is_not_tested(weight: Any) -> None:
    columns = {"year": [2013] * 300, "gate": [None] * 300}
    assert worse(summed(columns, np.arange(300.0), weight), at_least=1, effect_size=0.0) == []


@pytest.mark.parametrize("constant", [0.0, math.log(2), 1e12])
def test_equal_losses_are_not_worse(constant: float) -> None:
    columns, _ = planted(1000)
    assert worse(summed(columns, np.full(1000, constant), np.full(1000, 0.3)), at_least=2, effect_size=0.0) == []


def test_a_slice_that_alone_has_losses_is_found() -> None:
    columns = {"month": [1, 2] * 500}
    (found,) = worse(summed(columns, np.array([1.0, 0.0] * 500)))
    assert (found.slice, found.difference) == ({"month": 1}, 1.0)
    assert found.p_value == 0.0
    assert math.isfinite(found.effect_size)


def test_nothing_in_nothing() -> None:
    empty = {"month": []}
    assert worse(LossSums().create_accumulator()) == []
    assert worse(summed(empty, np.zeros(0))) == []
    assert worse(summed({}, np.arange(300.0))) == []
    assert worse(summed({"month": [1, 2]}, np.zeros(2), np.zeros(2))) == []
    for rows in range(1, 5):
        assert worse(summed({"month": list(range(rows))}, np.arange(float(rows))), at_least=1) == []


def test_small_slices_are_left_out_unless_asked_for() -> None:
    columns = {"carrier": ["HA"] * 150 + ["UA"] * 30_000}
    loss = np.concatenate([np.linspace(2, 3, 150), np.linspace(0, 1, 30_000)])
    sums = summed(columns, loss)
    assert worse(sums) == []  # 1% of the rows are more
    assert [f.slice for f in worse(sums, at_least=150)] == [{"carrier": "HA"}]
    # The rest must be large enough as well.
    assert worse(summed(columns, -loss), at_least=151) == []


def test_losses() -> None:
    label = np.array([1, 0, 1], np.int64)
    binary = row_loss(label, np.array([[0.5], [0.25], [0.0]], np.float32), task="binary")
    assert binary == pytest.approx([-math.log(0.5), -math.log(0.75), -math.log(1e-7)])
    classes = row_loss(np.array([2, 0]), np.array([[0.1, 0.2, 0.7], [0.0, 0.5, 0.5]]), task="multiclass")
    assert classes == pytest.approx([-math.log(0.7), -math.log(1e-7)])
    assert row_loss(label, np.array([3, 0, -1]), task="regression").tolist() == [4.0, 0.0, 4.0]
    assert row_loss(np.ones(1), np.ones(1), task="binary") == pytest.approx([0.0], abs=1e-6)
    for task, empty in (("binary", np.zeros(0)), ("regression", np.zeros(0)), ("multiclass", np.zeros((0, 3)))):
        assert row_loss(np.zeros(0), empty, task=task).shape == (0,)


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_that_is_no_class_is_an_error(label: int) -> None:
    with pytest.raises(EvaluationError, match=f"Label {label} is not among the 3 classes"):
        row_loss(np.array([0, label]), np.full((2, 3), 1 / 3), task="multiclass")
