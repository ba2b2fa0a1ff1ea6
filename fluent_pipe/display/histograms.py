"""Distributions drawn: overlaid histograms, paired bars of values, and block characters for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from fluent_pipe.display.charts import Chart, Scale, fitted, label, short, ticks, width_of
from fluent_pipe.display.colours import FAINT, INK, SERIES
from fluent_pipe.display.distributions import Cells, Values
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.text import share_in_words

WIDTH = 250
_LEFT = 38  # of the plot: room for the share
_TOP, _HEIGHT = 8, 44
_SMALL = 10
_BLOCKS = "▁▂▃▄▅▆▇█"
_DASHES = (None, None, "5 2", "2 2", "7 2 2 2", "1 3")
"""How the line of each split is dashed; the first split is an area, so that no split is told by its colour alone."""


def swatch(number: int) -> Chart:
    """What a split looks like in the histograms, for a legend."""
    if number == 0:
        body = tag("rect", x=1, y=1, width=16, height=9, fill=SERIES[0], fill_opacity=0.45, stroke=SERIES[0])
    else:
        body = tag("path", d="M1,6H17", **_line(number))
    return Chart(18, 11, body, "area" if number == 0 else "line")


def cells_chart(cells: Cells, splits: Sequence[str]) -> Chart:
    """Histograms of the splits over each other; height is the share of a split's values."""
    most = max((share for shares in cells.shares for share in shares), default=0.0)
    across = Scale((cells.low, cells.high), (_LEFT, WIDTH - 4))
    up = Scale((0, most or 1), (_TOP + _HEIGHT, _TOP))
    drawn = [_outline(shares, across, up, number) for number, shares in enumerate(cells.shares) if any(shares)]
    notes = _left_out(cells)
    body = joined(
        tag("line", x1=_LEFT, x2=WIDTH - 4, y1=_TOP, y2=_TOP, stroke=FAINT),
        label(_LEFT - 4, _TOP + 4, share_in_words(most), anchor="end", font_size=_SMALL),
        drawn,
        tag("line", x1=_LEFT, x2=WIDTH - 4, y1=_TOP + _HEIGHT, y2=_TOP + _HEIGHT, stroke=INK),
        _marks(cells, across),
        label(2, _TOP + _HEIGHT + 27, notes[0], font_size=_SMALL) if notes[0] else None,
        label(WIDTH - 4, _TOP + _HEIGHT + 27, notes[1], anchor="end", font_size=_SMALL) if notes[1] else None,
    )
    words = f"{short(cells.least)} to {short(cells.greatest)}, at most {share_in_words(most)} of the values in a bar"
    words += f"; not drawn: {share_in_words(cells.below + cells.above)} far out" if any(notes) else ""
    height = _TOP + _HEIGHT + (32 if any(notes) else 18)
    return Chart(WIDTH, height, body, f"histogram of {', '.join(splits)}: {words}")


def _outline(shares: Sequence[float], across: Scale, up: Scale, number: int) -> Markup:
    low, high = across.domain
    step = (high - low) / len(shares)
    # A run of equal heights is one stroke: short, and the same picture.
    tops = [f"{up(share):.1f}".removesuffix(".0") for share in shares]
    path = f"M{across(low):g},{up(0):g}"
    for place, top in enumerate(tops):
        if place == 0 or top != tops[place - 1]:
            path += f"V{top}"
        if place + 1 == len(tops) or top != tops[place + 1]:
            path += f"H{across(low + (place + 1) * step):.1f}".removesuffix(".0")
    path += f"V{up(0):g}"
    if number == 0:
        return tag("path", d=path, fill=SERIES[0], fill_opacity=0.45, stroke=SERIES[0], stroke_width=1)
    return tag("path", d=path, **_line(number))


def _line(number: int) -> dict[str, str | float | None]:
    return {
        "fill": "none",
        "stroke": SERIES[number % len(SERIES)],
        "stroke_width": 1.6,
        "stroke_dasharray": _DASHES[number % len(_DASHES)],
    }


def _marks(cells: Cells, across: Scale) -> Markup:
    """Ticks with numbers: at both ends, and at round numbers between them where there is room."""
    low, high = max(cells.low, cells.least), min(cells.high, cells.greatest)
    first, last = short(low), short(high)
    if first == last:
        first, last = f"{low:,.12g}", f"{high:,.12g}"
    marks = [(across(low), first), (across(high), last)]
    left = max(across(low) + _long(first) / 2, _LEFT + _long(first))
    right = min(across(high) - _long(last) / 2, WIDTH - 4 - _long(last))
    for tick in ticks(low, high, 5):
        words, x = short(tick), across(tick)
        half = _long(words) / 2
        is_new = all(words != other for _, other in marks) and not (cells.whole and tick % 1)
        if is_new and left + 8 + half <= x <= right - 8 - half:
            marks.append((x, words))
            left = x + half
    y = _TOP + _HEIGHT
    lines = tag("path", d="".join(f"M{x:g},{y}v3" for x, _ in marks), stroke=INK)
    texts = (label(_inside(x, words), y + 14, words) for x, words in marks)
    return joined(lines, tag("g", texts, text_anchor="middle", font_size=_SMALL))


def _inside(x: float, words: str) -> float:
    half = _long(words) / 2
    return round(min(max(x, _LEFT + half), WIDTH - 4 - half), 1)


def _long(words: str) -> float:
    return width_of(words, _SMALL)


def _left_out(cells: Cells) -> tuple[str, str]:
    """Share of the values that are not drawn, and how far they reach."""
    below = f"◂ {share_in_words(cells.below)} from {short(cells.least)}" if cells.below > 0 else ""
    above = f"{share_in_words(cells.above)} to {short(cells.greatest)} ▸" if cells.above > 0 else ""
    return below, above


def values_chart(values: Values, splits: Sequence[str]) -> Chart:
    """A bar for each split, of each of the most frequent values."""
    names, bars = 104, 76
    thick = 5 if len(splits) <= 2 else 4
    row = max(13, thick * len(splits) + 4)
    most = max(share for _, shares in values.shares for share in shares)
    long = Scale((0, max(most, 1e-9)), (0, bars))
    parts = []
    for place, (value, shares) in enumerate(values.shares):
        middle = place * row + row / 2
        parts.append(label(names - 5, middle + 4, fitted(value or "(empty)", names - 5), anchor="end", full=value))
        top = middle - thick * len(shares) / 2
        for number, share in enumerate(shares):
            parts.append(_bar(names, top + number * thick, long(share), thick - 1, number))
        parts.append(label(names + long(max(shares)) + 5, middle + 4, _spread(shares), font_size=_SMALL))
    height = row * len(values.shares)
    if more := values.distinct - len(values.shares):
        rest = max(0.0, 1 - min(sum(column) for column in zip(*(s for _, s in values.shares), strict=True)))
        words = f"and {more:,} more: {share_in_words(rest)}"
        parts.append(label(names, height + 11, words, font_size=_SMALL))
        height += 15
    said = ", ".join(f"{value} {_spread(shares)}" for value, shares in values.shares)
    return Chart(WIDTH, height, joined(parts), f"most frequent values in {', '.join(splits)}: {said}")


def _bar(x: float, y: float, width: float, height: float, number: int) -> Markup:
    colour = SERIES[number % len(SERIES)]
    if number == 0:
        return tag("rect", x=x, y=y, width=max(width, 0.5), height=height, fill=colour, fill_opacity=0.6)
    return tag("rect", x=x, y=y, width=max(width, 0.5), height=height, fill=colour)


def share_bar(share: float, width: float = 120) -> Chart:
    """A share as a bar on its whole."""
    body = joined(
        tag("rect", x=0, y=1, width=width, height=8, fill=FAINT),
        tag("rect", x=0, y=1, width=round(width * share, 2), height=8, fill=SERIES[0]),
    )
    return Chart(width, 10, body, share_in_words(share))


def _spread(shares: Sequence[float]) -> str:
    """Shares of the splits in few characters: one number where they read the same."""
    least, most = share_in_words(min(shares)), share_in_words(max(shares))
    return most if least == most else f"{least.removesuffix('%')}–{most}"


def blocks(shares: Sequence[float]) -> str:
    """Shares as block characters, the largest as the full one; no share is a space.

    Examples
    --------
    >>> blocks([0, 0.01, 0.3, 0.6])
    ' ▁▄█'
    """
    most = max(shares, default=0.0)
    if not most > 0:
        return ""
    return "".join(_BLOCKS[min(7, int(share / most * 7.999))] if share > 0 else " " for share in shares)
