"""A search as a picture: an axis a hyperparameter, the best stands out, those that failed are told apart."""

import pytest

from fluent_pipe.display.charts import as_image
from fluent_pipe.display.parallel import Axis
from fluent_pipe.display.trials import draw_trials, in_a_line, trial_table, trials_text
from tests.display.model_facts import HOSTILE, checked, search, tame


def test_an_axis_is_logarithmic_where_values_span_decades():
    assert Axis("learning_rate", (1e-5, 1e-4, 3e-4, 1e-2, 1e-1)).is_log
    assert not Axis("units", tuple(range(8, 512, 7))).is_log
    assert not Axis("dropout", (0.0, 0.1, 0.5)).is_log
    rate = Axis("learning_rate", (1e-4, 1e-3, 1e-2))
    assert rate.at(1e-3) == pytest.approx((rate.at(1e-4) + rate.at(1e-2)) / 2)
    assert [text for _, text in rate.marks()] == ["0.0001", "0.01", "0.001"]


def test_texts_and_switches_are_categories_and_what_is_not_set_lies_below():
    activation = Axis("activation", ("relu", "tanh", None))
    assert activation.categories == ["relu", "tanh"]
    assert activation.at(None) > activation.at("relu") > activation.at("tanh")
    assert Axis("frozen", (True, False)).categories == ["False", "True"]


def test_the_best_is_on_top_whichever_way_is_better():
    assert Axis("val_loss", (0.2, 0.5), upside_down=True).at(0.2) < Axis("val_loss", (0.2, 0.5)).at(0.2)


@pytest.mark.parametrize("direction", ["max", "min"])
def test_the_best_trial_leads_the_table_and_is_marked(direction):
    facts = search(20, direction=direction, failed=3)
    rows = trial_table(facts)
    assert rows[0]["trial"] == f"★\N{NO-BREAK SPACE}{facts['best']}"
    scores = [r[facts["objective"]] for r in rows if r[facts["objective"]] is not None]
    assert scores == sorted(scores, reverse=direction == "max")
    assert [r["failed"] for r in rows][-3:] == ["ResourceExhausted: no memory"] * 3
    drawn = draw_trials(facts, checked)
    assert drawn.count("stroke-dasharray") == 1
    assert "3 failed" in tame(drawn).text
    assert "not set" in tame(drawn).text


def test_two_hundred_trials_of_twelve_hyperparameters_are_bounded():
    facts = search(200, names=tuple(f"units_{i}" for i in range(9)))
    page = tame(draw_trials(facts, checked))
    assert "... and 170 more trials: to_frame() has them all." in page.text
    assert len(draw_trials(facts, checked)) < 100_000
    wide = search(20, names=tuple(f"units_{i}" for i in range(30)))
    assert max(map(len, trials_text(wide).splitlines())) <= 100
    assert "more hyperparameters: to_frame() has them all" in trials_text(wide)
    assert "21 more hyperparameters in the table" in tame(draw_trials(wide, checked)).text


def test_one_trial_and_none_have_no_axes():
    page = tame(draw_trials(search(1), checked))
    assert "svg" not in page.elements
    assert "best is trial 0" in page.text
    given = {**search(1), "trials": [], "best": None, "values": {"units": 3}}
    assert "units" in tame(draw_trials(given, checked)).text
    assert trials_text(given).splitlines()[1].split() == ["units", "3"]


def test_a_search_of_which_nothing_was_completed_says_so():
    facts = search(3, failed=3)
    assert "none was completed" in in_a_line(facts)
    assert "svg" not in tame(draw_trials(facts, checked)).elements
    assert "no trial was completed" in trials_text(facts)


def test_names_and_values_are_data():
    facts = search(12, names=tuple(n for n in HOSTILE if n), failed=1)
    for trial, name in zip(facts["trials"], HOSTILE, strict=False):
        trial["hyperparameters"]["activation"] = name
        trial["reason"] = name
    facts["objective"], facts["notes"] = HOSTILE[1], [HOSTILE[0]]
    page = tame(draw_trials(facts, checked))
    assert HOSTILE[1] in page.text
    tame(draw_trials(facts, as_image))
