"""Parallel coordinates: an axis a hyperparameter, a line a trial, the objective last."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.charts import Chart, fitted, label, line_path, short, ticks, told_apart, width_of
from fluent_pipe.display.colours import BAD, INK, SERIES
from fluent_pipe.display.markup import joined, tag

TOP, HEIGHT = 46.0, 190.0
BOTTOM = TOP + HEIGHT
UNSET = BOTTOM + 20
"""Where lines go through an axis whose hyperparameter the trial does not have."""
MOST_TEXTS = 12
BEST = SERIES[1]
CHIP, ON_CHIP = "#e8e8e8", "#444"


@dataclass(frozen=True)
class Axis:
    """One axis.

    Parameters
    ----------
    name
        Written above it.
    values
        All that lines have there; None is not set.
    upside_down
        Whether the lowest is on top, where it is the best.
    """

    name: str
    values: tuple[Any, ...]
    upside_down: bool = False

    @property
    def categories(self) -> list[str]:
        """Texts in order, where not all values are numbers."""
        there = [v for v in self.values if v is not None]
        if all(_is_number(v) for v in there):
            return []
        return sorted({str(v) for v in there})

    @property
    def is_log(self) -> bool:
        """Whether values span decades, and crowd at the low end as they do where they were drawn from a log scale."""
        low, high = self.span
        if low <= 0 or high / low < 20:
            return False
        crowded = sum(v <= low + (high - low) / 10 for v in self.values if _is_number(v)) - 1
        return high / low >= 1000 or crowded >= 0.25 * (len(self.values) - 1)

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest number."""
        numbers = [float(v) for v in self.values if _is_number(v)]
        return (min(numbers), max(numbers)) if numbers else (0.0, 1.0)

    def at(self, value: Any) -> float:
        """Height of a value in pixels."""
        if value is None:
            return UNSET
        if texts := self.categories:
            share = (texts.index(str(value)) + 0.5) / len(texts)
        elif not _is_number(value):
            return UNSET
        else:
            low, high = self.span
            if self.is_log:
                low, high, value = math.log(low), math.log(high), math.log(value)
            share = (value - low) / (high - low) if high > low else 0.5
        return round(TOP + HEIGHT * share if self.upside_down else BOTTOM - HEIGHT * share, 1)

    def marks(self) -> list[tuple[float, str]]:
        """Height and text of the ticks: both ends, and between them what does not touch."""
        if texts := self.categories:
            step = -(-len(texts) // MOST_TEXTS)
            return [(self.at(text), text) for text in texts[::step]]
        low, high = self.span
        between = _powers(low, high) if self.is_log else ticks(low, high, 4)
        marks = [(self.at(v), text) for v, text in zip((low, high), told_apart([low, high]), strict=True)]
        for value, text in zip(between, told_apart(between), strict=True):
            y = self.at(value)
            if all(abs(y - other) >= 14 for other, _ in marks):
                marks.append((y, short(value) if self.is_log else text))
        return marks[1:] if low == high else marks


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _powers(low: float, high: float) -> list[float]:
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    step = max(1, (last - first) // 5)
    return [10.0**p for p in range(first, last + 1, step)]


def parallel_coordinates(
    axes: Sequence[Axis], lines: Sequence[Mapping[str, Any]], *, best: Mapping[str, Any] | None, title: str
) -> Chart:
    """The chart.

    Parameters
    ----------
    axes
        From left to right; the last is the objective.
    lines
        Each a value by name of the axis. One without a value of the objective has failed, and ends before it, dashed.
    best
        Which of them stands out.
    title
        What it shows.
    """
    left, step = 60.0, max(96.0, min(150.0, 640 / max(len(axes) - 1, 1)))
    xs = [left + step * i for i in range(len(axes))]
    unset = any(line.get(a.name) is None for a in axes[:-1] for line in lines)
    goal = axes[-1].name
    done = [line for line in lines if line is not best and line.get(goal) is not None]
    failed = [line for line in lines if line.get(goal) is None]
    faint = max(0.2, min(0.7, 8 / max(len(done), 1)))
    parts: list[Markup | None] = [
        *(_head(a, x, step) for a, x in zip(axes, xs, strict=True)),
        label(left - 8, UNSET + 4, "not set", anchor="end", font_style="italic") if unset else None,
        _lines(done, axes, xs, stroke=SERIES[0], stroke_opacity=round(faint, 2), stroke_width=1.3),
        _lines(failed, axes[:-1], xs, stroke=BAD, stroke_dasharray="4 3", stroke_width=1.2),
        *(_cross(xs[-2], axes[-2].at(line.get(axes[-2].name))) for line in failed),
    ]
    if best is not None:
        parts.append(_lines([best], axes, xs, stroke=BEST, stroke_width=3.5))
        parts.append(label(xs[-1] + 7, axes[-1].at(best[goal]) + 4, f"best {short(best[goal])}", font_weight=600))
    parts += [_marks(a, x, min(step - 30, 52)) for a, x in zip(axes[:-1], xs, strict=False)]  # above the lines
    parts.append(_marks(axes[-1], xs[-1], 60, aside=axes[-1].at(best[goal]) if best else None))
    below = UNSET + 8 if unset else BOTTOM
    return Chart(xs[-1] + 84, below + 12, joined(parts), title)


def _head(axis: Axis, x: float, step: float) -> Markup:
    notes = {"log": axis.is_log and not axis.categories, "lowest on top": axis.upside_down}
    said = ", ".join(note for note, there in notes.items() if there)
    return joined(
        tag("line", x1=x, x2=x, y1=TOP, y2=BOTTOM, stroke=INK),
        label(x, 16, fitted(axis.name, step - 8), anchor="middle", full=axis.name, font_weight=600),
        label(x, 31, said, anchor="middle", font_size=10) if said else None,
    )


def _marks(axis: Axis, x: float, width: float, *, aside: float | None = None) -> Markup:
    """Ticks with texts on the left; of the objective on the right, and not where the best one's is."""
    if axis.categories:
        return joined(_chip(x, y, fitted(text, width + 20, 10), text) for y, text in axis.marks())
    right = aside is not None
    texts = [(y, text) for y, text in axis.marks() if aside is None or abs(y - aside) >= 14]
    written = (label(x + 7 if right else x - 6, y + 4, fitted(text, width, 10), full=text) for y, text in texts)
    lines = (tag("line", x1=x - 3, x2=x + 3, y1=y, y2=y, stroke=INK) for y, _ in texts)
    return tag("g", lines, written, text_anchor=None if right else "end", font_size=10)


def _chip(x: float, y: float, text: str, full: str) -> Markup:
    """A category's name, on a ground of its own: this is where lines meet."""
    width = width_of(text, 10) + 8
    ground = tag("rect", x=round(x - width / 2, 1), y=y - 8, width=round(width, 1), height=16, rx=4, fill=CHIP)
    return joined(ground, label(x, y + 4, text, anchor="middle", full=full, font_size=10, fill=ON_CHIP))


def _lines(
    lines: Sequence[Mapping[str, Any]], axes: Sequence[Axis], xs: Sequence[float], **style: Any
) -> Markup | None:
    if not lines:
        return None
    spots = ([(x, a.at(line.get(a.name))) for a, x in zip(axes, xs, strict=False)] for line in lines)
    # One element a line, so that where lines cross their opacities add up.
    return tag("g", (tag("path", d=line_path(s)) for s in spots), fill="none", stroke_linejoin="round", **style)


def _cross(x: float, y: float) -> Markup:
    return tag("path", d=f"M{x + 4:g},{y - 4:g}l8,8m0,-8l-8,8", stroke=BAD, stroke_width=2, fill="none")
