"""Histograms of splits on common cells."""

import math
import random

import pytest

from fluent_pipe.display.distributions import cells, values
from tests.display.made_up import Histogram, numeric, strings


def test_splits_of_different_range_stand_on_the_same_cells():
    drawn = cells([numeric("x", [0, 1, 2, 3, 4]), numeric("x", [2, 3, 6, 8])], 4)
    assert (drawn.low, drawn.high) == (0, 8)
    assert drawn.shares[0] == pytest.approx([0.6, 0.4, 0, 0])
    assert drawn.shares[1] == pytest.approx([0.25, 0.25, 0.25, 0.25])


def test_whole_numbers_have_a_cell_each_where_there_is_room():
    months = [1, 2, 2, 3, 3, 3, 12]
    drawn = cells([numeric("month", months, whole=True)])
    assert (drawn.low, drawn.high) == (0.5, 12.5)
    assert drawn.shares[0] == pytest.approx([months.count(month) / 7 for month in range(1, 13)])


def test_cells_of_many_whole_numbers_hold_equally_many():
    drawn = cells([numeric("day", list(range(1, 101)), whole=True)], 25)
    assert drawn.shares[0] == pytest.approx([0.04] * 25)


def test_zero_and_one_are_told_apart():
    assert cells([numeric("late", [0, 0, 0, 1], whole=True)]).shares[0] == pytest.approx([0.75, 0.25])


def test_an_outlier_does_not_squash_the_rest():
    rng = random.Random(1)
    drawn = cells([numeric("fare", [*(rng.gauss(20, 5) for _ in range(999)), 1e9])])
    assert drawn.high < 60
    assert drawn.greatest == 1e9
    # TFDV's statistics tell no more than that: its buckets are ten million wide, and its quantiles tenths.
    assert drawn.above == pytest.approx(0.1, abs=0.002)
    assert sum(drawn.shares[0]) + drawn.above == pytest.approx(1)
    assert sum(share > 0.01 for share in drawn.shares[0]) > 10


def test_what_lies_far_out_on_both_sides_is_left_out():
    drawn = cells([numeric("x", [-1e6, *(i / 100 for i in range(998)), 1e6])])
    assert (drawn.least, drawn.greatest) == (-1e6, 1e6)
    assert drawn.low > -30
    assert drawn.high < 40
    assert drawn.below > 0 < drawn.above


def test_all_is_drawn_where_nothing_is_far_out():
    rng = random.Random(1)
    drawn = cells([numeric("x", [rng.gauss(0, 1) for _ in range(1000)])])
    assert (drawn.low, drawn.high) == (drawn.least, drawn.greatest)
    assert drawn.below == drawn.above == 0


def test_shares_are_those_of_the_values_whatever_the_split_is_large():
    values_ = [random.Random(1).expovariate(1) for _ in range(50)]
    small, large = numeric("x", values_), numeric("x", values_ * 20)
    one, other = cells([small, large]).shares
    assert one == pytest.approx(other)


def test_a_value_that_repeats_at_the_low_end_is_in_the_first_cell():
    drawn = cells([numeric("tips", [0.0] * 67 + [float(i) for i in range(1, 34)])], 33)
    assert drawn.shares[0][0] == pytest.approx(0.68, abs=0.02)


def test_infinite_values_have_no_place_on_the_axis():
    feature = numeric("x", [1.0, 2.0, 3.0, 4.0])
    for histogram in feature.num_stats.histograms:
        lowest = histogram.buckets[0].low_value
        histogram.buckets.insert(0, Histogram.Bucket(low_value=-math.inf, high_value=lowest, sample_count=2))
        histogram.buckets.add(low_value=4.0, high_value=math.inf, sample_count=2)
    drawn = cells([feature], 3)
    assert (drawn.low, drawn.high) == (1, 4)
    assert drawn.shares[0] == pytest.approx((0.5, 0.25, 0.25))


@pytest.mark.parametrize("feature", [numeric("x", [None, None]), numeric("x", [], nans=3), strings("x", ["a"]), None])
def test_without_finite_values_there_is_no_histogram(feature):
    assert cells([feature]) is None


def test_a_constant_is_one_cell():
    drawn = cells([numeric("x", [3.5, 3.5])])
    assert (drawn.least, drawn.greatest, drawn.shares) == (3.5, 3.5, ((1.0,),))


def test_the_most_frequent_values_of_all_splits_come_first():
    drawn = values([strings("c", ["a", "a", "b", None]), strings("c", ["b", "c", "b", "b"])], 2)
    assert [value for value, _ in drawn.shares] == ["b", "a"]
    assert drawn.shares[0][1] == pytest.approx((1 / 3, 3 / 4))
    assert drawn.distinct == 2


def test_a_split_without_the_column_has_no_shares():
    assert values([strings("c", ["a"]), None]).shares == (("a", (1.0, 0.0)),)
    assert values([strings("c", [None]), None]) is None
