"""The slider: its data lies in the page, nothing in it can end the element, and without a script it stays hidden."""

import json
import re

from fluent_pipe.display.threshold_slider import json_island, slider_script, threshold_slider
from fluent_pipe.display.thresholds import nearest, thresholds
from tests.display.model_facts import HOSTILE, Page, curves


def test_the_matrix_at_one_half_is_there_without_a_script():
    facts = curves()
    html = str(threshold_slider(facts))
    at = nearest(thresholds(facts["binary"]), 0.5)
    assert "<p hidden" in html
    assert f"{at.tp:,.0f}" in Page(html).text
    assert f"{at.precision:.4f}" in html
    assert len(html) < 12_000


def test_the_data_holds_what_each_stop_shows():
    facts = curves(thresholds=11)
    html = str(threshold_slider(facts))
    island = re.search(r'<script type="application/json">(.*?)</script>', html)[1]
    stops = json.loads(island)
    assert stops == [[o.threshold, o.tp, o.fp, o.tn, o.fn] for o in thresholds(facts["binary"])]
    assert 'max="10"' in html
    assert 'value="5"' in html


def test_nothing_in_data_ends_the_element():
    for name in HOSTILE:
        island = json_island({"name": name, "again": [name]})
        assert island.count("<") == 2
        assert json.loads(re.search(r">(.*)<", str(island), re.DOTALL)[1])["name"] == name


def test_the_script_asks_for_nothing_and_makes_no_markup_of_data():
    script = str(slider_script())
    assert "</" not in script
    for word in ("http", "fetch", "import", "innerHTML", "eval"):
        assert word not in script


def test_labels_that_are_not_binary_have_none():
    assert threshold_slider({"classes": {"names": ["a"], "counts": [[1]]}}) == ""
    assert threshold_slider({"binary": {name: [] for name in ("thresholds", "tp", "fp", "tn", "fn")}}) == ""
