"""Curves of a model: ROC, precision and recall, calibration; drawn from ``curves.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.charts import Chart, Embed, Scale, label, line_path, x_axis, y_axis
from fluent_pipe.display.colours import FAINT, INK, SERIES
from fluent_pipe.display.confusion import binary_matrix, classes_text, draw_classes
from fluent_pipe.display.figures import figure
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.prose import paragraph
from fluent_pipe.display.text import in_words, sparkline
from fluent_pipe.display.thinning import Point, thinned
from fluent_pipe.display.thresholds import AtThreshold, area_below, nearest, thresholds

SIDE = 200.0
LEFT, TOP = 44.0, 32.0
BUCKETS = 20
"""Most points of a calibration curve."""


def draw_curves(curves: Mapping[str, Any], metrics: Mapping[str, Any], embed: Embed) -> Markup:
    """All that there is: curves side by side, then the confusion matrix.

    Parameters
    ----------
    curves
        As in ``curves.json``.
    metrics
        Overall metrics, for the areas under curves that were evaluated.
    embed
        How charts get into the page.
    """
    charts: list[Chart] = []
    notes: list[str] = []
    if found := thresholds(curves.get("binary") or _NONE):
        charts, notes = _binary_charts(found, metrics)
    if calibration := _buckets(curves.get("calibration") or {}):
        charts.append(calibration_chart(calibration, shares=bool(found)))
    if found:
        charts.append(binary_matrix(nearest(found, 0.5)))
    drawn = tag("div", (joined(embed(chart), " ") for chart in charts)) if charts else None
    classes = draw_classes(curves["classes"], embed) if curves.get("classes") else None
    if drawn is None and classes is None:
        return paragraph("No curves were kept of this evaluation: it had no rows, or too many classes.")
    return joined(drawn, [paragraph(n) for n in notes], classes)


def curves_text(curves: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The same as text."""
    lines: list[str] = []
    if found := thresholds(curves.get("binary") or _NONE):
        roc, pr = roc_points(found), precision_recall_points(found)
        at = nearest(found, 0.5)
        if roc:
            lines.append(f"ROC               {sparkline(_heights(roc))}  area {_area('auc', metrics, roc)}")
        if pr:
            area = _area("auc_precision_recall", metrics, pr)
            lines.append(f"precision-recall  {sparkline(_heights(pr))}  area {area}")
        rates = {"precision": at.precision, "recall": at.recall, "accuracy": at.accuracy}
        lines += [
            f"at threshold {at.threshold:.3g}: " + ", ".join(f"{name} {figure(rate)}" for name, rate in rates.items()),
            f"  label 1: {in_words(at.tp)} found, {in_words(at.fn)} missed",
            f"  label 0: {in_words(at.tn)} right, {in_words(at.fp)} false alarms",
        ]
    if buckets := _buckets(curves.get("calibration") or {}):
        lines.append(f"calibration       {sparkline([y for _, y, _ in buckets])}  mean label by mean prediction")
    if curves.get("classes"):
        lines.append(classes_text(curves["classes"]))
    return "\n".join(lines) or "no curves were kept: no rows, or too many classes"


_NONE: Mapping[str, Sequence[float]] = {"thresholds": [], "tp": [], "fp": [], "tn": [], "fn": []}


def roc_points(found: Sequence[AtThreshold]) -> list[Point]:
    """False positive rate and recall, from (0, 0) to (1, 1); none where a class has no rows."""
    points = [(one.false_positive_rate, one.recall) for one in found]
    known = sorted((x, y) for x, y in points if x is not None and y is not None)
    return [(0.0, 0.0), *known, (1.0, 1.0)] if known else []


def precision_recall_points(found: Sequence[AtThreshold]) -> list[Point]:
    """Recall and precision, by recall."""
    points = [(one.recall, one.precision) for one in found]
    return sorted((x, y) for x, y in points if x is not None and y is not None)


def _binary_charts(found: Sequence[AtThreshold], metrics: Mapping[str, Any]) -> tuple[list[Chart], list[str]]:
    charts, notes = [], []
    at = nearest(found, 0.5)
    if roc := roc_points(found):
        area = _area("auc", metrics, roc)
        chance = [(0.0, 0.0), (1.0, 1.0)]
        mark = (at.false_positive_rate or 0.0, at.recall or 0.0)
        axes = ("false positive rate", "true positive rate")
        charts.append(_unit_chart(f"ROC, area {area}", axes, roc, chance, mark))
    else:
        notes.append("No ROC curve: all labels are of one class.")
    if pr := precision_recall_points(found):
        rate = (at.tp + at.fn) / at.total
        base = [(0.0, rate), (1.0, rate)]
        area = _area("auc_precision_recall", metrics, pr)
        spot = None if at.recall is None or at.precision is None else (at.recall, at.precision)
        axes = ("recall", "precision")
        charts.append(_unit_chart(f"Precision-recall, area {area}", axes, pr, base, spot, note=f"base {rate:.3g}"))
    if charts:
        notes.append(f"○ at threshold {at.threshold:.3g}; dashed: what chance would do.")
    return charts, notes


def _area(metric: str, metrics: Mapping[str, Any], points: Sequence[Point]) -> str:
    value = metrics.get(metric)
    return figure(value if isinstance(value, float) and math.isfinite(value) else area_below(points))


def _unit_chart(
    title: str,
    axes: tuple[str, str],
    points: Sequence[Point],
    chance: Sequence[Point],
    mark: Point | None,
    note: str = "",
) -> Chart:
    """A line over the square from (0, 0) to (1, 1)."""
    x, y = Scale((0, 1), (LEFT, LEFT + SIDE)), Scale((0, 1), (TOP + SIDE, TOP))
    line = line_path([(round(a, 1), round(b, 1)) for a, b in thinned([(x(a), y(b)) for a, b in points], 0.5)])
    parts: list[Markup | None] = [
        _frame(x, y, title, axes),
        tag("path", d=line_path([(x(a), y(b)) for a, b in chance]), stroke=INK, stroke_dasharray="4 3", fill="none"),
        label(LEFT + 4, y(chance[0][1]) + (-5 if chance[0][1] < 0.5 else 13), note) if note else None,
        tag("path", d=line, stroke=SERIES[0], stroke_width=2, fill="none", stroke_linejoin="round"),
    ]
    if mark is not None:
        parts.append(tag("circle", cx=x(mark[0]), cy=y(mark[1]), r=4, stroke=SERIES[1], stroke_width=2, fill="none"))
    return Chart(LEFT + SIDE + 12, TOP + SIDE + 36, joined(parts), title)


def _frame(x: Scale, y: Scale, title: str, axes: tuple[str, str]) -> Markup:
    middle = TOP + SIDE / 2
    return joined(
        x_axis(x, TOP + SIDE, title=axes[0], grid=SIDE),
        y_axis(y, LEFT, count=5, grid=SIDE),
        tag("text", axes[1], transform=f"translate(11 {middle:g}) rotate(-90)", text_anchor="middle"),
        label(LEFT + SIDE / 2, 14, title, anchor="middle", font_weight=600),
    )


Bucket = tuple[float, float, float]


def _buckets(calibration: Mapping[str, Sequence[float]]) -> list[Bucket]:
    """Mean prediction, mean label and weight; where there are many buckets, neighbours are put together."""
    columns = (calibration.get(name, ()) for name in ("prediction", "label", "weight"))
    there = sorted(b for b in zip(*columns, strict=True) if b[2] and b[2] > 0 and all(map(math.isfinite, b)))
    if len(there) <= BUCKETS:
        return there
    low, high = there[0][0], there[-1][0]
    width = (high - low) / BUCKETS or 1.0
    groups: dict[int, list[Bucket]] = {}
    for bucket in there:
        groups.setdefault(min(int((bucket[0] - low) / width), BUCKETS - 1), []).append(bucket)
    return [_together(group) for group in groups.values()]


def _together(group: Sequence[Bucket]) -> Bucket:
    weight = sum(w for _, _, w in group)
    return sum(p * w for p, _, w in group) / weight, sum(y * w for _, y, w in group) / weight, weight


def calibration_chart(buckets: Sequence[Bucket], *, shares: bool) -> Chart:
    """Mean label by mean prediction, the area of a point by its weight; on the diagonal they agree.

    Parameters
    ----------
    buckets
        Mean prediction, mean label and weight.
    shares
        Whether both are shares in [0, 1]; else the axes fit the data.
    """
    values = [v for p, y, _ in buckets for v in (p, y)]
    low, high = (0.0, 1.0) if shares else (min(values), max(values))
    pad = 0.0 if shares else ((high - low) or abs(high) or 1.0) * 0.05
    domain = (low - pad, high + pad)
    x, y = Scale(domain, (LEFT, LEFT + SIDE)), Scale(domain, (TOP + SIDE, TOP))
    most = max(w for _, _, w in buckets)
    points = [(x(p), y(t)) for p, t, _ in buckets]
    dots = (
        tag("circle", tag("title", f"predicted {p:.4g}, actual {t:.4g}, weight {w:,.0f}"), cx=x(p), cy=y(t),
            r=round(1.5 + 5 * math.sqrt(w / most), 1))
        for p, t, w in buckets
    )  # fmt: skip
    title = "Calibration" if shares else "Predicted and actual"
    body = joined(
        _frame(x, y, title, ("mean prediction", "mean label")),
        tag("path", d=line_path([(x(d), y(d)) for d in domain]), stroke=INK, stroke_dasharray="4 3", fill="none"),
        tag("path", d=line_path(points), stroke=SERIES[0], fill="none", stroke_opacity=0.6),
        tag("g", dots, fill=SERIES[0], fill_opacity=0.75, stroke=FAINT),
    )
    return Chart(LEFT + SIDE + 12, TOP + SIDE + 36, body, title)


def _heights(points: Sequence[Point], count: int = 32) -> list[float]:
    """The line's height at even steps from 0 to 1."""
    heights = []
    for i in range(count):
        at = i / (count - 1)
        heights.append(min(points, key=lambda p: abs(p[0] - at))[1])
    return heights
