"""What validate found, as tables and text."""

import math

from fluent_pipe.display.anomalies import anomalies_text, draw_anomalies
from fluent_pipe.display.charts import inline
from tests.display.made_up import HOSTILE, anomaly, distance, found, is_drawn_well


def test_no_anomalies_is_said_clearly():
    assert "✓ No anomalies." in draw_anomalies(found(), inline)
    assert anomalies_text(found()) == "✓ No anomalies."


def test_each_anomaly_is_a_row_with_its_details():
    facts = found(anomaly("carrier"), anomaly(None, "No data", detail="The split has no rows.", split="eval"))
    html = draw_anomalies(facts, inline)
    assert is_drawn_well(html)
    assert "▲ 2 anomalies in 1 column." in html
    assert "(the whole split)" in html
    assert ">ERROR</b>" in html
    text = anomalies_text(facts)
    assert text.startswith("▲ 2 anomalies in 1 column.")
    assert "    The split has no rows." in text


def test_distances_stand_against_their_limits_the_worst_first():
    facts = found(drift=[distance("near", 0.02, 0.1), distance("far", 0.3, 0.1, kind="skew")])
    html = draw_anomalies(facts, inline)
    assert "2 distances measured, 1 over the limit." in html
    assert "▲ over the limit" in html
    assert html.index(">far<") < html.index(">near<")
    text = anomalies_text(facts)
    assert text.index("far") < text.index("near")
    assert "██████|████ ▲" in text
    assert "█·····|····" in text


def test_notes_say_what_could_not_be_compared():
    facts = found(notes=["Drift was not measured: there is no earlier run on other data to compare with."])
    assert "<li>Drift was not measured" in draw_anomalies(facts, inline)
    assert "Drift was not measured" in anomalies_text(facts)


def test_odd_numbers_draw_something_sensible():
    odd = [distance("a", math.nan, 0.1), distance("b", math.inf, 0.1), distance("c", 0.2, 0.0), distance("d", 0, 0)]
    facts = found(drift=odd)
    assert is_drawn_well(draw_anomalies(facts, inline))
    assert anomalies_text(facts).count("▲") == 2


def test_very_many_are_bounded():
    facts = found(*(anomaly(f"c{i}") for i in range(130)), drift=[distance(f"c{i}", 1, 2) for i in range(120)])
    html = draw_anomalies(facts, inline)
    assert "And 30 more anomalies" in html
    assert "And 20 more distances" in html
    assert "And 50 more rows" in anomalies_text(facts)


def test_names_are_data():
    facts = found(
        *(anomaly(name, name, detail=name, split=name, severity=name) for name in HOSTILE),
        drift=[distance(name, 0.2, 0.1, split=name) for name in HOSTILE],
        notes=HOSTILE,
    )
    assert is_drawn_well(draw_anomalies(facts, inline))
    assert not set("\x07\x1b\u202e") & set(anomalies_text(facts))
