"""Verdicts: the first words say what it is, then why."""

import pytest

from fluent_pipe.display.charts import as_image
from fluent_pipe.display.infra import draw_infra, infra_rows
from fluent_pipe.display.verdicts import (
    blessing_text,
    draw_approval,
    draw_blessing,
    draw_predictions,
    draw_pushed,
)
from tests.display.model_facts import HOSTILE, checked, tame


def reason(*, ok=True, got=0.7, needed="at least 0.65", metric="auc", **more):
    return {
        "metric": metric,
        "slice": {},
        "got": got,
        "needed": needed,
        "baseline": None,
        "change": None,
        "ok": ok,
        **more,
    }


def blessing(*reasons, note=""):
    return {"blessed": all(r["ok"] for r in reasons), "baseline": None, "note": note, "reasons": list(reasons)}


SERVED = {
    "blessed": True, "reasons": [], "endpoint": None, "requests": 100, "concurrency": 1, "load_seconds": 1.35,
    "latency_ms": {"p50": 2.2, "p95": 3.1, "p99": 4.3}, "memory_mb": 614.2, "rows": 100, "largest_difference": 8.8e-08,
    "compared_with": "model.keras", "limits": {"load_seconds": 5, "latency_ms": 200, "memory_mb": None},
}  # fmt: skip


def test_a_blessing_says_so_first_and_draws_values_beside_their_limits():
    page = tame(draw_blessing(blessing(reason(), reason(needed="at least 0.6 and at most 0.9")), checked))
    assert page.words[0] == "✓ Blessed."
    assert "All 2 requirements hold." in page.text
    assert page.elements.count("svg") == 2
    assert "circle" in page.elements


def test_what_does_not_hold_stands_first_with_a_cross():
    facts = blessing(
        reason(metric="recall"),
        reason(ok=False, got=0.61, slice={"carrier": "AA"}),
        reason(ok=False, needed="a change of at least -0.01", change=-0.02, baseline=0.73),
        note="Compared with the last one.",
    )
    page = tame(draw_blessing(facts, checked))
    assert page.words[0] == "✗ Not blessed."
    assert "2 of 3 requirements do not hold. Compared with the last one." in page.text
    assert page.text.index("carrier=AA") < page.text.index("recall")
    lines = blessing_text(facts).splitlines()
    assert lines[0] == "not blessed. 2 of 3 requirements do not hold. Compared with the last one."
    assert lines[2].startswith("✗ no   auc")
    assert "-0.02" in lines[3]
    assert lines[-1].startswith("✓ yes")


def test_a_required_slice_without_rows_is_told_in_words():
    facts = blessing(reason(ok=False, got=None, slice={"carrier": None, "month": None}))
    page = tame(draw_blessing(facts, checked))
    assert "by carrier × month: no row has a value there" in page.text
    assert "svg" not in page.elements


def test_without_requirements_and_with_hundreds():
    assert "Nothing was required." in tame(draw_blessing(blessing(), checked)).text
    assert blessing_text(blessing()) == "blessed. Nothing was required."
    many = blessing(*(reason(slice={"tail": i}) for i in range(300)))
    assert "... and 260 more requirements" in tame(draw_blessing(many, checked)).text
    assert "... and 260 more requirements" in blessing_text(many)


def test_a_server_has_bars_against_its_limits():
    page = tame(draw_infra(SERVED, checked))
    assert page.words[0] == "✓ Infra-blessed."
    assert "3.1 ms, limit 200 ms" in page.text
    assert "1.35 s, limit 5 s" in page.text
    assert "100 rows compared with model.keras" in page.text
    limits = {row["figure"]: row["limit"] for row in infra_rows(SERVED)}
    assert limits["latency p95, ms"] == 200
    assert limits["latency p50, ms"] is None


def test_a_limit_that_is_crossed_is_marked():
    facts = {**SERVED, "blessed": False, "reasons": ["Loading the model took 7 s."], "load_seconds": 7}
    page = tame(draw_infra(facts, checked))
    assert page.words[0] == "✗ Not infra-blessed."
    assert "7 s, limit 5 s ✗" in page.text
    assert "Loading the model took 7 s." in page.text


def test_a_server_that_never_answered_has_no_figures():
    nothing = dict.fromkeys(("load_seconds", "latency_ms", "memory_mb", "largest_difference", "compared_with"))
    facts = {**SERVED, **nothing, "blessed": False, "reasons": ["The model did not load."], "requests": 0}
    page = tame(draw_infra(facts, checked))
    assert "No request was timed." in page.text
    assert "svg" not in page.elements
    older = {key: value for key, value in SERVED.items() if key != "limits"}
    assert "limit" not in infra_rows(older)[0]


def test_the_words_come_first():
    pushed = {"pushed": True, "version": 3, "destination": "gs://models/3", "reasons": []}
    assert tame(draw_pushed(pushed)).words[0] == "✓ Pushed as version 3"
    refused = {"pushed": False, "version": None, "destination": None, "reasons": ["not blessed"]}
    assert tame(draw_pushed(refused)).words == ["✗ Not pushed.", "not blessed"]
    approved = {"approved": True, "by": "Ada", "at": "2026-01-01", "note": "as last week"}
    assert tame(draw_approval(approved)).words[0] == "✓ Approved by Ada"
    assert tame(draw_approval({**approved, "approved": False})).words[0] == "✗ Rejected by Ada"
    assert tame(draw_approval({**approved, "approved": False, "by": ""})).words[0] == "! Not approved:"


@pytest.mark.parametrize(("failed", "mark"), [(0, "✓"), (2, "!")])
def test_predictions_say_how_many_and_show_the_first(failed, mark):
    facts = {
        "scored": True, "destination": "predictions", "format": "parquet", "files": ["a"], "rows": 1234,
        "failed": failed, "columns": {}, "classes": None, "reasons": [],
    }  # fmt: skip
    page = tame(draw_predictions(facts, [{"carrier": "AA", "prediction": 0.25}], "", checked))
    assert page.words[0] == f"{mark} 1,234 rows scored"
    assert "0.25" in page.text
    assert ("could not be read" in page.text) == bool(failed)
    nothing = tame(draw_predictions({**facts, "scored": False, "reasons": ["not blessed"]}, [], "", checked))
    assert nothing.words == ["✗ Not scored.", "not blessed"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_data(name):
    facts = blessing(reason(ok=False, metric=name, needed=name, slice={name: name}), note=name)
    tame(draw_blessing(facts, checked))
    tame(draw_blessing(facts, as_image))
    tame(draw_infra({**SERVED, "reasons": [name], "endpoint": name, "compared_with": name}, checked))
    tame(draw_pushed({"pushed": True, "version": 1, "destination": name, "reasons": []}))
    tame(draw_pushed({"pushed": False, "version": None, "destination": None, "reasons": [name]}))
    tame(draw_approval({"approved": True, "by": name, "at": name, "note": name}))
