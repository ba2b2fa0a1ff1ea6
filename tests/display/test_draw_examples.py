"""Rows by split, and columns by type."""

from fluent_pipe.display.charts import inline
from fluent_pipe.display.examples import draw_examples, examples_text
from tests.display.made_up import HOSTILE, is_drawn_well

FLIGHTS = {
    "splits": {"train": {"rows": 80}, "eval": {"rows": 20}},
    "columns": {"carrier": "string", "distance": "int64", "hour": "int64"},
    "rejected": 0,
}


def test_splits_and_columns():
    html = draw_examples(FLIGHTS, inline)
    assert is_drawn_well(html)
    assert "80%" in html
    assert "<b>int64</b> (2): <bdi>distance</bdi>, <bdi>hour</bdi>" in html
    assert examples_text(FLIGHTS).splitlines() == [
        "split  rows  of all",
        "train    80  ████████████████     80%",
        "eval     20  ████                 20%",
        "3 columns",
        "  string (1): carrier",
        "  int64 (2): distance, hour",
    ]


def test_rows_that_were_left_out_are_told():
    facts = {**FLIGHTS, "rejected": 3, "filtered": {"train": 7}}
    for drawn in (draw_examples(facts, inline), examples_text(facts)):
        assert "3 rows were rejected" in drawn
        assert "filtered out" in drawn


def test_no_rows_and_very_many_columns():
    facts = {"splits": {"all": {"rows": 0}}, "columns": {f"c{i}": "int64" for i in range(999)}, "rejected": 0}
    assert is_drawn_well(draw_examples(facts, inline))
    assert "999 columns" in examples_text(facts)
    assert "c999" not in examples_text(facts)
    assert max(map(len, examples_text(facts).splitlines())) <= 100


def test_names_are_data():
    facts = {"splits": {n: {"rows": 1} for n in HOSTILE}, "columns": {n: n for n in HOSTILE}, "rejected": 1}
    assert is_drawn_well(draw_examples(facts, inline))
    assert not set("\x07\x1b\u202e") & set(examples_text(facts))
