"""Statistics as a table with pictures, and as text."""

import random
import time

import pytest

from fluent_pipe.display.anomalies import Trouble
from fluent_pipe.display.charts import as_image, inline
from fluent_pipe.display.statistics import draw_statistics
from fluent_pipe.display.statistics_text import statistics_text
from tests.display.made_up import HOSTILE, anomaly, distance, found, is_drawn_well, numeric, statistics, strings

DISTANCE = numeric("distance", [100, 200, 200, 300], whole=True)
CARRIER = strings("carrier", ["UA", "UA", "AA", None])
TWO = {"eval": statistics(2, DISTANCE, CARRIER), "train": statistics(4, DISTANCE, CARRIER)}


def test_a_row_a_feature_with_the_numbers_of_every_split():
    html = draw_statistics(TWO, inline)
    assert is_drawn_well(html)
    assert html.count("<tr") == 3
    assert html.count(">25%</b>") == 2, "missing, by split"
    assert "most frequent values in train, eval: UA 66.7%, AA 33.3%" in html
    assert html.index(">train<") < html.index(">eval<"), "the largest split first"


def test_in_a_terminal_each_split_has_a_line():
    lines = statistics_text(TWO).splitlines()
    assert lines[0] == "2 features: train 4 rows, eval 2 rows"
    distance_line = next(line for line in lines if line.startswith("distance"))
    assert distance_line.split() == ["distance", "train", "▄", "█", "▄", "0%", "200", "70.7", "100", "200", "300"]
    assert "2 values: UA 66.7%, AA 33.3%" in "\n".join(lines)


def test_nothing_is_said_of_splits_where_there_is_one():
    assert ">split</th>" not in draw_statistics({"train": statistics(4, DISTANCE)}, inline)
    assert ">split</th>" in draw_statistics(TWO, inline)


def test_anomalies_stand_at_their_feature_and_above_the_table():
    trouble = Trouble.from_facts(found(anomaly("carrier"), anomaly("carrier", split="eval")))
    html = draw_statistics(TWO, inline, trouble)
    assert "▲ 1 with anomalies: </b><bdi>carrier</bdi>" in html
    assert "▲ Unexpected string values (train, eval)" in html
    assert "▲ carrier: Unexpected string values (train, eval)" in statistics_text(TWO, trouble)


def test_that_there_are_no_anomalies_is_said_only_where_somebody_looked():
    assert "no anomalies" not in draw_statistics(TWO, inline)
    assert "no anomalies" in draw_statistics(TWO, inline, Trouble.from_facts(found()))
    assert "No anomalies." in statistics_text(TWO, Trouble.from_facts(found()))


def test_drift_stands_against_its_limit_and_is_marked_beyond_it():
    facts = found(drift=[distance("distance", 0.28, 0.1), distance("carrier", 0.01, 0.1, kind="skew", split="eval")])
    html = draw_statistics(TWO, inline, Trouble.from_facts(facts))
    assert "▲ 0.28 &gt; 0.1" in html
    assert "skew <bdi>eval</bdi> 0.01 ≤ 0.1" in html
    text = statistics_text(TWO, Trouble.from_facts(facts))
    assert "drift of distance in train: 0.28 > 0.1 ▲" in text
    assert "skew of carrier in eval: 0.01 ≤ 0.1\n" in f"{text}\n"


def test_much_that_is_missing_is_marked_by_more_than_a_colour():
    split = {"train": statistics(4, numeric("x", [1, None, None, None]), numeric("y", [1, 2, 3, 4]))}
    assert "<b style" in (html := draw_statistics(split, inline))
    assert ">75%</b>" in html
    assert "▲75%" in statistics_text(split)


@pytest.mark.parametrize(
    ("feature", "words"),
    [
        (numeric("x", [None, None]), "no values"),
        (numeric("x", [7, 7], whole=True), "always 7"),
        (strings("x", ["JFK", "JFK"]), "always JFK"),
        (strings("x", [""]), "always (empty)"),
        (numeric("x", [], nans=2), "no finite values"),
    ],
)
def test_where_there_is_nothing_to_draw_words_say_why(feature, words):
    split = {"train": statistics(2, feature)}
    assert words in draw_statistics(split, inline)
    assert words in statistics_text(split)


def test_nan_is_counted_and_told():
    split = {"train": statistics(4, numeric("x", [1, 2, 3], nans=1))}
    assert "0%, NaN 25%" in draw_statistics(split, inline)
    assert "NaN among the values of x: 25% in train" in statistics_text(split)


def test_a_split_that_lacks_a_feature_says_absent():
    splits = {"train": statistics(4, DISTANCE, CARRIER), "eval": statistics(2, CARRIER)}
    assert ">absent</b>" in draw_statistics(splits, inline)
    assert "absent" in statistics_text(splits)


def test_slices_are_counted_and_do_not_stand_for_the_split():
    sliced = {"train": statistics(4, DISTANCE, slices={"carrier_AA": [numeric("distance", [9e6])], "carrier_UA": []})}
    html = draw_statistics(sliced, inline)
    assert "<b><bdi>train</bdi></b> 4 rows" in html
    assert "9M" not in html
    assert "2 slices" in html
    assert "2 slices" in statistics_text(sliced)


def test_what_lies_far_out_is_left_out_and_said():
    fares = [10 + 0.1 * i for i in range(300)]
    html = draw_statistics({"train": statistics(301, numeric("fare", [*fares, 5000.0]))}, inline)
    assert "to 5,000 ▸" in html


def test_names_and_values_are_data():
    features = [strings(name, HOSTILE) for name in HOSTILE]
    splits = {name: statistics(8, *features) for name in HOSTILE[:4]}
    trouble = Trouble.from_facts(
        found(
            *(anomaly(name, name, detail=name, split=name) for name in HOSTILE),
            drift=[distance(name, 0.2, 0.1, split=name) for name in HOSTILE],
            notes=HOSTILE,
        )
    )
    assert is_drawn_well(draw_statistics(splits, inline, trouble))
    assert is_drawn_well(draw_statistics(splits, as_image, trouble))
    text = statistics_text(splits, trouble)
    assert not set("\x07\x1b\u202e") & set(text)


def test_text_is_no_wider_than_a_terminal():
    columns = [numeric("n" * 40, [1.23456e-9, None, -9.87654e12], nans=3), strings("s", ["long value " * 9, "b"])]
    splits = {name: statistics(3, *columns) for name in ("train", "evaluation", "test")}
    assert max(map(len, statistics_text(splits).splitlines())) <= 100


def test_a_thousand_features_are_bounded_and_quick():
    rng = random.Random(1)
    wide = statistics(9, *(numeric(f"f{i}", [rng.random() for _ in range(9)], buckets=20) for i in range(1000)))
    start = time.monotonic()
    html = draw_statistics({"train": wide, "eval": wide}, as_image)
    text = statistics_text({"train": wide, "eval": wide})
    assert time.monotonic() - start < 10
    assert "And 900 more features: to_frame() has them all." in html
    assert len(html) < 600_000
    assert "And 950 more features" in text


def test_a_demo_of_nineteen_columns_fits_in_a_report():
    rng = random.Random(1)
    columns = [numeric(f"f{i}", [rng.gauss(0, 1) for _ in range(200)]) for i in range(14)]
    columns += [strings(f"s{i}", [rng.choice("abcdefgh") for _ in range(200)]) for i in range(5)]
    assert len(draw_statistics({"train": statistics(9, *columns), "eval": statistics(4, *columns)}, inline)) < 80_000


def test_many_splits_and_none():
    many = {f"s{i}": statistics(4, DISTANCE, CARRIER) for i in range(9)}
    assert "And 3 more splits" in draw_statistics(many, inline)
    assert "And 3 more splits" in statistics_text(many)
    assert draw_statistics({}, inline) == "<p>No features.</p>"
    assert statistics_text({"train": statistics(0)}) == "No features."
