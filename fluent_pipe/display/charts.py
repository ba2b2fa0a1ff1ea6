"""What charts are drawn with: the picture, scales, ticks, axes and text that fits.

All lengths are CSS pixels.
"""

from __future__ import annotations

import base64
import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from markupsafe import Markup

from fluent_pipe.display.colours import FAINT, INK
from fluent_pipe.display.markup import joined, tag

FONT = "system-ui, 'DejaVu Sans', Helvetica, Arial, sans-serif"
_NARROW = frozenset("iljftrI.,:;'|!()[]/ ")
_BROAD = frozenset("mwMWOQ@%&…—<>=+~")


@dataclass(frozen=True)
class Chart:
    """A picture as SVG.

    Parameters
    ----------
    width, height
        Its size.
    body
        What is in it.
    label
        What it shows, in words, for those who do not see it.
    """

    width: float
    height: float
    body: Markup
    label: str

    def svg(self) -> Markup:
        """The ``<svg>`` element."""
        return tag(
            "svg",
            tag("title", self.label),
            self.body,
            xmlns="http://www.w3.org/2000/svg",
            width=self.width,
            height=self.height,
            viewBox=f"0 0 {self.width:g} {self.height:g}",
            role="img",
            font_family=FONT,
            font_size=11,
            fill=INK,
        )


Embed: TypeAlias = Callable[[Chart], Markup]
"""How a chart gets into HTML: :func:`as_image` in notebooks, :func:`inline` in our own pages."""


def as_image(chart: Chart) -> Markup:
    """An ``<img>`` that holds the chart: notebooks that do not trust the page strip ``<svg>``, and keep this."""
    data = base64.b64encode(chart.svg().encode()).decode()
    return tag(
        "img",
        src=f"data:image/svg+xml;base64,{data}",
        alt=chart.label,
        width=chart.width,
        height=chart.height,
        style="max-width:none;vertical-align:middle",
    )


def inline(chart: Chart) -> Markup:
    """The ``<svg>`` itself: a quarter smaller, its text can be found and copied."""
    return chart.svg()


@dataclass(frozen=True)
class Scale:
    """A linear map from data to pixels.

    Examples
    --------
    >>> Scale((0, 10), (0, 200))(2.5)
    50.0
    """

    domain: tuple[float, float]
    range: tuple[float, float]

    def __call__(self, value: float) -> float:
        low, high = self.domain
        start, end = self.range
        share = (value - low) / (high - low) if high > low else 0.5
        return round(start + share * (end - start), 2)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values from ``low`` to ``high``, about ``count`` of them.

    Examples
    --------
    >>> ticks(0, 0.97)
    [0.0, 0.2, 0.4, 0.6, 0.8]
    """
    if not high > low or not math.isfinite(high - low):
        return [low]
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def short(value: float | None) -> str:
    """A number in few characters.

    Examples
    --------
    >>> [short(v) for v in (0.123456, 12, 1348.9, 1234567, 1.5e-7, 2e17, None)]
    ['0.123', '12', '1,349', '1.23M', '1.5e-07', '2e+17', '']
    """
    if value is None:
        return ""
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1e15:
        return f"{value:.3g}"
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.3g}{letter}"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"


def told_apart(values: Sequence[float]) -> list[str]:
    """Numbers in few characters, but as many as it takes to tell them apart.

    Examples
    --------
    >>> told_apart([0.7311, 0.7312]), told_apart([0, 500, 1000])
    (['0.7311', '0.7312'], ['0', '500', '1,000'])
    """
    texts = [short(v) for v in values]
    for digits in range(4, 16):
        if len(set(texts)) == len(set(values)):
            break
        texts = [f"{v:,.{digits}g}" for v in values]
    return texts


def width_of(text: str, size: float = 11) -> float:
    """About how wide ``text`` gets, rather too much than too little.

    Examples
    --------
    >>> width_of("ill") < width_of("all") < width_of("MMM") <= width_of("\N{CJK UNIFIED IDEOGRAPH-5B57}" * 3)
    True
    """
    return size * sum(map(_share, text))


def _share(character: str) -> float:
    if character in _NARROW:
        return 0.4
    if character in _BROAD or unicodedata.east_asian_width(character) in "WF":
        return 1.0
    return 0.72 if character.isupper() else 0.64


def fitted(text: str, width: float, size: float = 11) -> str:
    """``text``, cut with an ellipsis where it would be wider than ``width``.

    Examples
    --------
    >>> fitted("a long name of a column", 90)
    'a long name…'
    """
    if width_of(text, size) <= width:
        return text
    left = width - width_of("…", size)
    kept = next((i for i in range(len(text)) if width_of(text[: i + 1], size) > left), len(text))
    return text[: max(kept, 1)].rstrip() + "…"


def label(
    x: float, y: float, text: str, *, anchor: str = "start", full: str | None = None, **style: str | float
) -> Markup:
    """Text at a point; ``full`` is shown when one points at it, where ``text`` was cut."""
    hint = tag("title", full) if full is not None and full != text else None
    return tag("text", hint, text, x=x, y=y, text_anchor=None if anchor == "start" else anchor, **style)


def x_axis(scale: Scale, y: float, *, title: str = "", count: int = 5, grid: float = 0) -> Markup:
    """Ticks below a line at ``y``, with grid lines up to ``grid`` pixels high and a title in the middle below."""
    parts = [tag("line", x1=scale.range[0], x2=scale.range[1], y1=y, y2=y, stroke=INK)]
    there = ticks(*scale.domain, count)
    for tick, text in zip(there, told_apart(there), strict=True):
        x = scale(tick)
        parts.append(tag("line", x1=x, x2=x, y1=y - grid, y2=y + 3, stroke=FAINT))
        parts.append(label(x, y + 14, text, anchor="middle"))
    if title:
        parts.append(label(sum(scale.range) / 2, y + 28, title, anchor="middle"))
    return joined(parts)


def y_axis(scale: Scale, x: float, *, title: str = "", count: int = 4, grid: float = 0) -> Markup:
    """Ticks left of ``x``, with grid lines ``grid`` pixels long and a title above the top, set to the left."""
    parts = []
    there = ticks(min(scale.domain), max(scale.domain), count)
    for tick, text in zip(there, told_apart(there), strict=True):
        y = scale(tick)
        parts.append(tag("line", x1=x - 3, x2=x + grid, y1=y, y2=y, stroke=FAINT))
        parts.append(label(x - 5, y + 4, text, anchor="end"))
    if title:
        parts.append(label(x - 5, min(scale.range) - 9, title))
    return joined(parts)


def line_path(points: Sequence[tuple[float, float]]) -> str:
    """The ``d`` of a path through points in pixels."""
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points)
