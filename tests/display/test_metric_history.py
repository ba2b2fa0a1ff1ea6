"""A metric from run to run."""

import math
import re
from itertools import pairwise

from fluent_pipe.display.charts import inline
from fluent_pipe.display.history import Point, metric_history, sparkline

NAME = "<script>alert(1)</script>"


def test_each_run_is_a_point_that_leads_to_it():
    points = [Point(0.7, "Jan 1", "run one", "/r/1", pushed=True), Point(0.6, "Jan 2", "run two\nfailed", "/r/2")]
    svg = inline(metric_history(points, "auc"))
    assert re.findall(r'href="([^"]+)"', svg) == ["/r/1", "/r/2"]
    assert "auc 0.7\nrun one" in svg
    assert svg.count("l4.6,8.4h-9.2z") == 2  # one of them in the legend


def test_what_has_no_finite_value_is_left_out():
    values = [0.5, None, math.nan, math.inf, 0.6]
    chart = metric_history([Point(v, "Jan 1", "run", "/r") for v in values], "auc")
    assert chart.label == "auc over 2 runs"
    assert "nan" not in inline(chart)
    assert sparkline(values, "auc").label == "auc from run to run: 0.5 to 0.6, now 0.6"


def test_none_one_equal_and_many_runs_draw():
    for values in ([], [None], [0.5], [0.5] * 3, [0.0, 0.0], [1e300, -1e300], list(range(1000))):
        chart = metric_history([Point(v, "Jan 1", "run") for v in values], "auc")
        assert "nan" not in inline(chart).lower().replace("nanc", "")
        assert inline(sparkline(values, "auc")).startswith("<svg")
    assert "No run has a value of auc." in inline(metric_history([], "auc"))


def test_dates_have_room():
    svg = inline(metric_history([Point(i, f"Dec {i % 28 + 1}", "run") for i in range(200)], "auc"))
    at = sorted(float(x) for x in re.findall(r'<text x="([\d.]+)" y="[\d.]+"[^>]*>Dec', svg))
    assert len(at) > 5
    assert all(b - a > 40 for a, b in pairwise(at[:-1]))


def test_names_are_only_text():
    points = [Point(0.5, NAME, NAME, "/r/1"), Point(0.6, NAME, NAME)]
    for chart in (metric_history(points, NAME), sparkline([0.5, 0.6], NAME)):
        assert "<script" not in inline(chart)
