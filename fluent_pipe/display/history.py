"""A metric from run to run: a chart whose points lead to the runs, and a line in the size of a word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fluent_pipe.display.charts import Chart, Scale, label, line_path, y_axis
from fluent_pipe.display.colours import GOOD, INK, SERIES
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.text import in_words

LINE = SERIES[0]


@dataclass(frozen=True)
class Point:
    """One run.

    Parameters
    ----------
    value
        Of the metric; None where the run has none.
    when
        A few characters, for the axis.
    what
        Shown when one points at it.
    href
        Where a click leads.
    pushed
        Whether its model was pushed.
    """

    value: float | None
    when: str
    what: str
    href: str | None = None
    pushed: bool = False


def sparkline(values: Sequence[float | None], name: str, *, width: float = 120, height: float = 26) -> Chart:
    """Values from the oldest to the newest, without axes; the newest has a dot.

    Examples
    --------
    >>> sparkline([0.61, None, 0.7], "auc").label
    'auc from run to run: 0.61 to 0.7, now 0.7'
    """
    there = _finite(values)
    if not there:
        return Chart(width, height, Markup(""), f"{name}: no values")
    x = Scale((0, max(len(values) - 1, 1)), (4, width - 5))
    y = _scale(list(there.values()), height - 5, 5)
    at = [(x(i) if len(values) > 1 else width - 5, y(value)) for i, value in there.items()]
    line = tag("path", d=line_path(at), fill="none", stroke=LINE, stroke_width=1.5, stroke_linejoin="round")
    dot = tag("circle", cx=at[-1][0], cy=at[-1][1], r=2.5, fill=LINE)
    low, high, last = (in_words(v) for v in (min(there.values()), max(there.values()), list(there.values())[-1]))
    words = f"{name} from run to run: {low} to {high}, now {last}" if len(there) > 1 else f"{name}: {last}"
    return Chart(width, height, joined(line if len(at) > 1 else None, dot), words)


def metric_history(points: Sequence[Point], name: str, *, width: float = 860, height: float = 220) -> Chart:
    """A metric over runs, the oldest first and evenly spaced; a triangle is a model that was pushed.

    Parameters
    ----------
    points
        Those without a finite value leave a gap in their place.
    name
        Of the metric.
    """
    there = _finite([p.value for p in points])
    words = f"{name} over {len(there)} {'run' if len(there) == 1 else 'runs'}"
    if not there:
        nothing = label(width / 2, height / 2, f"No run has a value of {name}.", anchor="middle")
        return Chart(width, height, nothing, words)
    left, right, top, bottom = 54.0, width - 14, 34.0, height - 34
    x = Scale((0, len(points) - 1), (left + 10, right - 4))
    y = _scale(list(there.values()), bottom, top + 6)
    at = {i: (x(i), y(value)) for i, value in there.items()}
    parts = [
        y_axis(y, left, title=name, grid=right - left, count=5),
        tag("line", x1=left, x2=right, y1=bottom, y2=bottom, stroke=INK),
        _dates(points, x, bottom),
        tag("path", d=line_path(list(at.values())), fill="none", stroke=LINE, stroke_width=1.5, opacity=0.55),
        *(_dot(points[i], place, name) for i, place in at.items()),
        _legend(right),
    ]
    return Chart(width, height, joined(parts), words)


def _dot(point: Point, place: tuple[float, float], name: str) -> Markup:
    """The point, on a larger one that is not seen and easier to hit."""
    words = f"{name} {in_words(point.value)}\n{point.what}"
    seen = _mark(*place, pushed=point.pushed)
    drawn = (tag("title", words), tag("circle", cx=place[0], cy=place[1], r=8, fill_opacity=0), seen)
    return tag("a", *drawn, href=point.href) if point.href else tag("g", *drawn)


def _mark(x: float, y: float, *, pushed: bool) -> Markup:
    """A triangle for a model that was pushed, else a dot: told apart by form as well as by colour."""
    if not pushed:
        return tag("circle", cx=x, cy=y, r=2.7, fill=LINE)
    return tag("path", d=f"M{x:g},{y - 5:g}l4.6,8.4h-9.2z", fill=GOOD)


def _legend(right: float) -> Markup:
    marks = (_mark(right - 142, 8, pushed=True), _mark(right - 76, 8, pushed=False))
    return joined(*marks, label(right - 134, 12, "pushed"), label(right - 69, 12, "not pushed"))


def _dates(points: Sequence[Point], x: Scale, bottom: float) -> Markup:
    """As many dates as have room, the newest always."""
    widest = max(len(p.when) for p in points) * 6.6 + 14
    room = max(1, int((x.range[1] - x.range[0]) // widest))
    step = max(1, math.ceil(len(points) / room))
    chosen = range(len(points) - 1, -1, -step)
    parts = []
    for i in chosen:
        at = x(i)
        anchor = "end" if i == len(points) - 1 and len(points) > 1 else "middle"
        parts.append(tag("line", x1=at, x2=at, y1=bottom, y2=bottom + 3, stroke=INK))
        parts.append(label(at + (4 if anchor == "end" else 0), bottom + 15, points[i].when, anchor=anchor))
    parts.append(label(sum(x.range) / 2, bottom + 29, "runs, the newest to the right", anchor="middle"))
    return joined(parts)


def _scale(values: Sequence[float], bottom: float, top: float) -> Scale:
    """A scale with a little room about the values, also where all are the same."""
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    return Scale((low - room, high + room), (bottom, top))


def _finite(values: Sequence[float | None]) -> dict[int, float]:
    return {i: float(v) for i, v in enumerate(values) if v is not None and math.isfinite(v)}
