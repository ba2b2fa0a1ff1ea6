"""Curves and confusion matrices: few bytes, true numbers, whatever the label is."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluent_pipe.display.confusion import class_matrix, confused
from fluent_pipe.display.curves import curves_text, draw_curves, precision_recall_points, roc_points
from fluent_pipe.display.thinning import thinned
from fluent_pipe.display.thresholds import area_below, nearest, stops, thresholds
from tests.display.model_facts import HOSTILE, checked, curves, tame


def test_the_area_below_roc_is_that_of_all_pairs_in_their_order():
    drawn = random.Random(1)
    labels = [drawn.random() < 0.4 for _ in range(200)]
    scores = [round(drawn.random() * 0.5 + 0.3 * y, 2) for y in labels]
    cuts = [-0.001, *sorted(set(scores))]
    counts = {"thresholds": cuts, "tp": [], "fp": [], "tn": [], "fn": []}
    for cut in cuts:
        for name, of, above in (("tp", True, True), ("fp", False, True), ("fn", True, False), ("tn", False, False)):
            counts[name].append(sum(y == of and (s > cut) == above for s, y in zip(scores, labels, strict=True)))
    pairs = [
        (s > t) + (s == t) / 2
        for s, y in zip(scores, labels, strict=True) if y
        for t, other in zip(scores, labels, strict=True) if not other
    ]  # fmt: skip
    assert area_below(roc_points(thresholds(counts))) == pytest.approx(sum(pairs) / len(pairs))


def test_all_curves_of_a_binary_label_are_small_and_say_their_numbers():
    facts = curves()
    sizes = []

    def measured(chart):
        sizes.append(len(chart.svg()))
        return checked(chart)

    page = tame(draw_curves(facts, {"auc": 0.91234}, measured))
    assert len(sizes) == 4
    assert max(sizes) < 5000
    assert sum(sizes) < 14_000
    at = nearest(thresholds(facts["binary"]), 0.5)
    for words in ("ROC, area 0.9123", "Calibration", "base 0.2", "threshold 0.5", f"{at.tp:,.0f}", f"{at.fn:,.0f}"):
        assert words in page.text
    text = curves_text(facts, {})
    assert f"{at.tp:,.0f} found, {at.fn:,.0f} missed" in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_labels_of_one_class_have_no_roc_and_no_rows_have_nothing():
    ones = {"thresholds": [0, 0.5, 1], "tp": [10, 9, 0], "fp": [0, 0, 0], "tn": [0, 0, 0], "fn": [0, 1, 10]}
    page = tame(draw_curves({"binary": ones}, {}, checked))
    assert "No ROC curve: all labels are of one class." in page.text
    assert "Precision-recall" in page.text
    nothing = {name: [0, 0] for name in ones}
    tame(draw_curves({"binary": nothing, "calibration": {"prediction": [], "label": [], "weight": []}}, {}, checked))
    assert "No curves" in tame(draw_curves({}, {}, checked)).text
    assert curves_text({}, {})


def test_numbers_are_calibrated_on_axes_that_fit_them():
    calibration = {"prediction": [100.0, 200.0, 300.0], "label": [110.0, 190.0, float("nan")], "weight": [5, 9, 1]}
    page = tame(draw_curves({"calibration": calibration}, {}, checked))
    assert "Predicted and actual" in page.text
    assert "predicted 200, actual 190, weight 9" in page.text
    assert "300" not in page.text  # its label is not a number
    tame(draw_curves({"calibration": {"prediction": [3.0], "label": [3.0], "weight": [1]}}, {}, checked))


def test_many_buckets_are_put_together_by_their_weight():
    many = {
        "prediction": [i / 1000 for i in range(1000)],
        "label": [i / 1000 for i in range(1000)],
        "weight": [1.0] * 1000,
    }
    drawn = draw_curves({"calibration": many}, {}, checked)
    assert drawn.count("<circle") == 20


@pytest.mark.parametrize("count", [1, 3, 8, 9, 25])
def test_classes_are_squares_in_a_matrix(count):
    names = [f"class {i}" for i in range(count)]
    counts = [[90 if i == j else 1 for j in range(count)] for i in range(count)]
    assert len(checked(class_matrix(names, counts))) < 40_000
    tame(draw_curves({"classes": {"names": names, "counts": counts}}, {}, checked))


def test_of_too_many_classes_the_pairs_are_told_that_are_confused():
    names = [f"class {i}" for i in range(60)]
    counts = [[50.0 if i == j else 0.0 for j in range(60)] for i in range(60)]
    counts[7][8] = 30.0
    page = tame(draw_curves({"classes": {"names": names, "counts": counts}}, {}, checked))
    assert "svg" not in page.elements
    assert confused(names, counts) == [
        {"label": "class 7", "predicted": "class 8", "rows": 30.0, "share of the label": "37.5%"}
    ]
    assert "60 classes, 99.0% right" in curves_text({"classes": {"names": names, "counts": counts}}, {})


def test_names_of_classes_are_data():
    counts = [[i + j for j in range(len(HOSTILE))] for i in range(len(HOSTILE))]
    page = tame(draw_curves({"classes": {"names": list(HOSTILE), "counts": counts}}, {}, checked))
    assert HOSTILE[0] in page.text


def test_stops_of_a_slider_are_in_order_and_hold_the_middle():
    found = thresholds(curves()["binary"])
    chosen = stops(found)
    assert len(chosen) == 101
    assert [o.threshold for o in chosen] == sorted(o.threshold for o in chosen)
    assert nearest(chosen, 0.5).threshold == 0.5
    assert len(stops(found[:3])) == 3


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=60))
def test_a_thinned_line_stays_where_it_was(heights):
    points = [(float(i), h) for i, h in enumerate(heights)]
    kept = thinned(points, 0.5)
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    for x, y in points:
        assert min(_off((x, y), a, b) for a, b in pairwise(kept)) <= 0.5 + 1e-9


def _off(point, a, b):
    length = math.dist(a, b) ** 2
    along = ((point[0] - a[0]) * (b[0] - a[0]) + (point[1] - a[1]) * (b[1] - a[1])) / length if length else 0
    along = min(max(along, 0), 1)
    return math.dist(point, (a[0] + along * (b[0] - a[0]), a[1] + along * (b[1] - a[1])))


def test_precision_is_told_where_something_is_predicted_positive():
    found = thresholds(curves(thresholds=11)["binary"])
    points = precision_recall_points(found)
    assert points == sorted(points)
    assert len(points) < len(found) + 1
