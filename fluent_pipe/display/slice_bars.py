"""One metric over slices as a chart: bars that begin at the overall value, so that what is worse points one way."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from fluent_pipe.display.charts import Chart, Scale, fitted, label, line_path, width_of, x_axis
from fluent_pipe.display.colours import INK, SERIES
from fluent_pipe.display.figures import figure, figures
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.slices import FEW, Slice
from fluent_pipe.steps.metrics import COUNTS, direction

ROW = 19
BARS = 330
BETTER, WORSE = SERIES[0], SERIES[1]
BASELINE = SERIES[3]


def slice_bars(slices: Sequence[Slice], overall: Slice, metric: str) -> Chart:
    """The chart, in the order given.

    Parameters
    ----------
    slices
        Each is a row: its name, a bar from the overall value with whiskers for its interval, the value, its examples.
    overall
        The reference line; without a value, and for counts, bars begin at zero.
    metric
        Its name.
    """
    names = _names(slices)
    texts = figures([(s.value, s.interval) for s in slices])
    left = min(230.0, max(map(width_of, [*names, _heading(slices)])) + 12)
    values = max(76.0, max(map(width_of, texts)) + 10)
    top, bottom = 40, 40 + ROW * len(slices)
    from_zero = metric in COUNTS or overall.value is None
    origin = 0.0 if from_zero or overall.value is None else overall.value
    scale = Scale(_domain([*slices, *([] if from_zero else [overall])], origin), (left, left + BARS))
    numbers = left + BARS + values
    parts: list[Markup | None] = [
        x_axis(scale, bottom, title=_title(metric), grid=bottom - top),
        None if from_zero else _reference(scale(origin), top, bottom, f"overall {figure(overall.value)}", scale.range),
        label(left - 6, 34, fitted(_heading(slices), left - 8), anchor="end", full=_heading(slices), font_weight=600),
        label(numbers, 34, fitted(metric, values), anchor="end", full=metric, font_weight=600),
        label(numbers + 70, 34, "examples", anchor="end", font_weight=600),
    ]
    middle = [top + ROW * i + ROW / 2 for i in range(len(slices))]
    parts += [_row(s, y, scale, origin, metric) for s, y in zip(slices, middle, strict=True)]
    rows = list(zip(slices, names, texts, middle, strict=True))
    parts += [
        tag("g", (label(left - 6, y + 4, fitted(n, left - 8), full=s.name) for s, n, _, y in rows), text_anchor="end"),
        tag("g", (label(numbers, y + 4, text) for _, _, text, y in rows), text_anchor="end"),
        tag("g", (label(numbers + 70, y + 4, figure(s.rows)) for s, _, _, y in rows), text_anchor="end"),
        _key(slices, left),
    ]
    return Chart(numbers + 76, bottom + 36, joined(parts), f"{metric} by {_heading(slices)}")


def _names(slices: Sequence[Slice]) -> list[str]:
    """Values alone where all slices are over the same columns."""
    if len({tuple(s.columns) for s in slices}) != 1:
        return [s.name for s in slices]
    return [" × ".join(map(str, s.columns.values())) for s in slices]


def _heading(slices: Sequence[Slice]) -> str:
    columns = {tuple(s.columns) for s in slices}
    return " × ".join(columns.pop()) if len(columns) == 1 else "slice"


def _title(metric: str) -> str:
    better = {"min": " (lower is better)", "max": " (higher is better)", None: ""}[direction(metric)]
    return metric + better


def _domain(slices: Sequence[Slice], origin: float) -> tuple[float, float]:
    """What the bars span; whiskers may go beyond by half of that, and are cut there."""
    points = [origin, *(v for s in slices for v in (s.value, s.baseline) if v is not None)]
    low, high = min(points), max(points)
    room = (high - low) or abs(high) or 1.0
    ends = [e for s in slices for e in s.interval or ()]
    low, high = max(min([low, *ends]), low - room / 2), min(max([high, *ends]), high + room / 2)
    pad = ((high - low) or room) * 0.04
    return (low - pad if low < origin else low, high + pad) if origin == 0 else (low - pad, high + pad)


def _reference(x: float, top: float, bottom: float, text: str, within: tuple[float, float]) -> Markup:
    line = tag("line", x1=x, x2=x, y1=top - 4, y2=bottom, stroke=INK, stroke_width=1.5)
    half = width_of(text) / 2
    return joined(line, label(min(max(x, within[0] + half), within[1] - half), 34, text, anchor="middle"))


def _row(one: Slice, y: float, scale: Scale, origin: float, metric: str) -> Markup | None:
    parts: list[Markup] = []
    if one.value is not None:
        x, start = scale(one.value), scale(origin)
        gain = (one.value - origin) * {"min": -1, "max": 1, None: 0}[direction(metric)]
        colour = WORSE if gain < 0 else BETTER
        size = {"x": min(x, start), "y": y - 6, "width": max(round(abs(x - start), 2), 0.5), "height": 12.0}
        parts.append(tag("rect", **size, fill=colour, fill_opacity=0.35 if one.few else 0.85))
        if one.interval:
            low, high = (min(max(scale(e), scale.range[0]), scale.range[1]) for e in one.interval)
            parts.append(tag("path", d=f"M{low},{y - 3}v6m0,-3H{high}m0,-3v6", stroke=INK, fill="none"))
    if one.baseline is not None:
        parts.append(_diamond(scale(one.baseline), y))
    return joined(parts)


def _diamond(x: float, y: float) -> Markup:
    """Filled, so that it is seen on a bar."""
    d = line_path([(x - 4, y), (x, y - 5), (x + 4, y), (x, y + 5)]) + "Z"
    return tag("path", d=d, stroke=BASELINE, stroke_width=1.5, fill="#fff", fill_opacity=0.8)


def _key(slices: Sequence[Slice], left: float) -> Markup:
    """What the marks mean, of those that are there."""
    there: list[tuple[str, Markup]] = []
    if any(s.baseline is not None for s in slices):
        there.append(("baseline model", _diamond(5, 9)))
    if any(s.interval for s in slices):
        there.append(("confidence interval", tag("path", d="M0,6v6m0,-3H12m0,-3v6", stroke=INK, fill="none")))
    if any(s.few for s in slices):
        there.append((f"fewer than {FEW} examples", tag("rect", y=4, width=11, height=10, fill=INK, fill_opacity=0.35)))
    x, parts = left, []
    for words, mark in there:
        parts.append(tag("g", mark, label(16, 13, words), transform=f"translate({x:g} 0)"))
        x += 16 + width_of(words) + 14
    return joined(parts)
