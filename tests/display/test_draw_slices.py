"""An evaluation as a picture: what is worst stands first, and what is drawn is what was measured."""

import re
from xml.etree import ElementTree as ET

import pytest

from fluent_pipe.display.charts import as_image, inline
from fluent_pipe.display.evaluation import draw_evaluation, draw_slices, evaluation_text, slices_text
from fluent_pipe.display.slice_bars import slice_bars
from fluent_pipe.display.slices import Slice, chosen, of_metric, order, worst_first
from fluent_pipe.errors import ArgumentError
from tests.display.model_facts import HOSTILE, checked, evaluation, tame

CARRIERS = {"carrier": ["AA", "B6", "DL"], "origin": ["JFK", "LGA"]}


def bars(chart):
    """Width of each bar, in order."""
    root = ET.fromstring(chart.svg())
    return [float(r.get("width")) for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("height") == "12"]


def test_the_worst_slice_stands_first_and_an_error_is_worst_when_high():
    slices = [Slice({"c": n}, 500, v) for n, v in (("a", 0.7), ("b", 0.9), ("c", None), ("d", 0.6))]
    assert [s.columns["c"] for s in worst_first(slices, "auc")] == ["d", "a", "b", "c"]
    assert [s.columns["c"] for s in worst_first(slices, "mean_squared_error")] == ["b", "a", "d", "c"]
    assert order("mean_squared_error") == "worst (highest) first"


def test_bars_begin_at_the_overall_value_and_counts_at_zero():
    slices = [Slice({"c": "a"}, 500, 0.6), Slice({"c": "b"}, 500, 0.7), Slice({"c": "d"}, 500, 0.8)]
    low, middle, high = bars(slice_bars(slices, Slice({}, 1500, 0.7), "auc"))
    assert low == pytest.approx(high, abs=0.1)
    assert middle < 1
    counted = [Slice({"c": "a"}, 100, 100), Slice({"c": "b"}, 200, 200)]
    first, second = bars(slice_bars(counted, Slice({}, 300, 300), "example_count"))
    assert second == pytest.approx(2 * first, abs=0.1)


def test_intervals_baselines_and_small_samples_are_marked_and_explained():
    facts = evaluation({"carrier": ["AA", "B6"]}, intervals=True, baseline=True)
    facts["slices"][1]["metrics"]["example_count"] = 12
    text = tame(draw_slices(chosen(facts, "carrier"), facts, "auc", checked)).text
    assert "baseline model" in text
    assert "confidence interval" in text
    assert "fewer than 100 examples" in text
    assert re.search(r"0\.\d+ ±0\.\d+", text)
    plain = tame(draw_slices(chosen(evaluation(CARRIERS), "carrier"), evaluation(CARRIERS), "auc", checked)).text
    assert "baseline" not in plain
    assert "interval" not in plain


def test_slices_are_chosen_by_exactly_their_columns_or_by_a_value():
    facts = evaluation(CARRIERS)
    both = {"slice": {"origin": "JFK", "month": 7}, "metrics": dict(facts["slices"][0]["metrics"])}
    facts["slices"].append(both)
    assert [o["slice"] for o in chosen(facts, "carrier")] == [{"carrier": c} for c in ("AA", "B6", "DL")]
    assert chosen(facts, "month, origin") == chosen(facts, ["origin", "month"]) == [both]
    assert chosen(facts, "month × origin") == chosen(facts, {"month": 7}) == chosen(facts, "month=7") == [both]
    assert [o["slice"] for o in chosen(facts, "origin=LGA")] == [{"origin": "LGA"}]
    assert len(chosen(facts, None)) == 6


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("carier", "There are: carrier, origin. Did you mean 'carrier'?"),
        ("carrier=AX", "There are: carrier=AA, carrier=B6, carrier=DL. Did you mean 'carrier=AA'?"),
        (["carrier", "origin"], "No slice by 'carrier × origin' was evaluated."),
    ],
)
def test_a_slice_that_was_not_evaluated_is_an_error_that_lists_those_that_were(asked, said):
    with pytest.raises(ArgumentError) as raised:
        chosen(evaluation(CARRIERS), asked)
    assert said in str(raised.value)


def test_a_column_may_hold_a_comma_and_an_equals_sign():
    facts = evaluation({"a, b=c": ["x", "y"]})
    assert len(chosen(facts, "a, b=c")) == 2


def test_many_slices_are_bounded_in_the_picture_and_as_text():
    facts = evaluation({"tail": [f"N{i}" for i in range(300)]})
    page = tame(draw_slices(chosen(facts, "tail"), facts, "auc", checked))
    assert "... and 260 more slices, worst (lowest) first: to_frame() has them all." in page.text
    assert "... and 201 more slices" in page.text  # of the table, which has the overall row too
    assert slices_text(chosen(facts, "tail"), facts, "auc").count("\n") < 45
    assert len(draw_evaluation(facts, inline)) < 60_000


def test_what_is_not_a_number_is_a_dash():
    facts = evaluation(CARRIERS)
    for entry, value in zip(facts["slices"], (None, float("nan"), None, float("inf"), 0.5), strict=False):
        entry["metrics"]["auc"] = value
    assert "–" in tame(draw_evaluation(facts, checked)).text
    assert "–" in slices_text(chosen(facts, None), facts, "auc")
    for entry in facts["slices"]:
        entry["metrics"]["auc"] = None
    tame(draw_evaluation(facts, checked))
    assert "auc" in evaluation_text(facts)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_none_one_and_some_slices(count):
    facts = evaluation({"carrier": [f"C{i}" for i in range(count)]} if count else None)
    page = tame(draw_evaluation(facts, checked))
    assert "0.8" in page.text
    assert ("auc by slice" in page.text) == bool(count)
    assert all(len(line) <= 100 for line in evaluation_text(facts).splitlines())


def test_the_only_chart_there_is_stands_open():
    assert ("open", "") in tame(draw_evaluation(evaluation({"carrier": ["AA", "B6"]}), inline)).attributes
    assert ("open", "") not in tame(draw_evaluation(evaluation(CARRIERS), inline)).attributes


def test_slices_that_were_searched_for_have_their_effect_and_p_value():
    facts = evaluation({"carrier": ["AA", "B6"]})
    facts["found"] = []
    assert "No slice is significantly worse" in tame(draw_evaluation(facts, checked)).text
    assert "No slice is significantly worse" in evaluation_text(facts)
    facts["found"] = [
        {
            "slice": {"carrier": name}, "rows": 1234, "loss": 0.7, "loss_elsewhere": 0.5, "difference": 0.2,
            "interval": [0.15, 0.25], "effect_size": 0.31, "p_value": 1e-9, "p_adjusted": 2.5e-8,
        }
        for name in HOSTILE
    ]  # fmt: skip
    page = tame(draw_evaluation(facts, checked))
    for words in ("0.31", "2.5e-08", "1,234", "more loss than elsewhere"):
        assert words in page.text
    assert "2.5e-08" in evaluation_text(facts)


def test_names_are_data():
    facts = evaluation({name: list(HOSTILE) for name in HOSTILE[:-1]}, intervals=True, baseline=True)
    facts["slices"] = [
        {**one, "metrics": {**one["metrics"], HOSTILE[0]: 0.5, HOSTILE[1]: 0.25}} for one in facts["slices"]
    ]
    facts["primary_metric"] = HOSTILE[0]
    page = tame(draw_evaluation(facts, checked))
    assert HOSTILE[0] in page.text
    tame(draw_evaluation(facts, as_image))
    tame(draw_slices(chosen(facts, HOSTILE[0]), facts, "auc", checked))


def test_the_overall_line_says_its_value():
    facts = evaluation(CARRIERS)
    chart = slice_bars(
        [of_metric(o, "auc") for o in chosen(facts, "carrier")], of_metric(facts["slices"][0], "auc"), "auc"
    )
    assert "overall 0.8<" in chart.svg()
    assert "auc (higher is better)" in chart.svg()
