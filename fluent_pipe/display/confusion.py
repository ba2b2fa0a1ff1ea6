"""Confusion matrices: what the label is, by row, and what was predicted, by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.charts import Chart, Embed, fitted, label, width_of
from fluent_pipe.display.colours import FAINT, SERIES
from fluent_pipe.display.figures import figure
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.prose import heading
from fluent_pipe.display.tables import html_table
from fluent_pipe.display.text import counted, in_words, text_table
from fluent_pipe.display.thresholds import AtThreshold

MOST_CLASSES = 25
MOST_PAIRS = 12
RIGHT, WRONG = SERIES[0], SERIES[1]


def binary_matrix(at: AtThreshold) -> Chart:
    """Four cells with count and share; the length of the line in each is its share."""
    width, height, left, top = 104.0, 72.0, 56.0, 62.0
    cells = (
        (0, 0, at.tn, RIGHT, "true negatives"), (0, 1, at.fp, WRONG, "false positives"),
        (1, 0, at.fn, WRONG, "false negatives"), (1, 1, at.tp, RIGHT, "true positives"),
    )  # fmt: skip
    parts: list[Markup] = [
        label(left + width, 14, f"Confusion at threshold {at.threshold:.3g}", anchor="middle", font_weight=600),
        label(left + width, 38, "predicted", anchor="middle"),
    ]
    for i in (0, 1):
        parts.append(label(left + width * (i + 0.5), 54, str(i), anchor="middle"))
        parts.append(label(left - 8, top + height * (i + 0.5) + 4, f"label {i}", anchor="end"))
    for row, column, count, colour, words in cells:
        x, y = left + width * column, top + height * row
        share = count / at.total if at.total else 0.0
        parts += [
            tag("rect", x=x + 1, y=y + 1, width=width - 2, height=height - 2, fill="none", stroke=FAINT),
            label(x + 8, y + 24, in_words(round(count, 2)), font_size=15),
            label(x + 8, y + 40, f"{share:.1%}"),
            label(x + 8, y + 54, words, font_size=10),
            tag("rect", x=x + 1, y=y + height - 8, width=round((width - 2) * share, 2), height=7, fill=colour),
        ]
    below = top + 2 * height + 20
    rates = (("precision", at.precision), ("recall", at.recall), ("accuracy", at.accuracy))
    said = (f"{name} {figure(value)}" for name, value in rates)
    parts += [label(left, below + 15 * i, text) for i, text in enumerate(said)]
    return Chart(left + 2 * width + 12, 268, joined(parts), "Confusion matrix")


def draw_classes(classes: Mapping[str, Any], embed: Embed) -> Markup:
    """Classes as a matrix of squares where that can be read, and the pairs that are taken for one another most."""
    names, counts = [str(n) for n in classes["names"]], classes["counts"]
    matrix = tag("div", embed(class_matrix(names, counts))) if 0 < len(names) <= MOST_CLASSES else None
    pairs = html_table(confused(names, counts), embed)
    return joined(matrix, heading("Most confused"), pairs)


def classes_text(classes: Mapping[str, Any]) -> str:
    """Share that is right, and the most confused pairs."""
    names, counts = [str(n) for n in classes["names"]], classes["counts"]
    total = sum(map(sum, counts))
    right = sum(row[i] for i, row in enumerate(counts) if i < len(row))
    head = f"{counted(len(names), 'class')}, {right / total if total else 0:.1%} right; most confused:"
    return f"{head}\n{text_table(confused(names, counts))}"


def confused(names: Sequence[str], counts: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """Pairs of class and prediction that differ, most rows first."""
    pairs = [
        (count, name, names[j], count / sum(row))
        for name, row in zip(names, counts, strict=False)
        for j, count in enumerate(row[: len(names)])
        if count > 0 and names[j] != name
    ]
    pairs.sort(key=lambda pair: -pair[0])
    return [
        {"label": name, "predicted": other, "rows": round(count, 2), "share of the label": f"{share:.1%}"}
        for count, name, other, share in pairs[:MOST_PAIRS]
    ] or [{"label": "(none)", "predicted": "", "rows": 0, "share of the label": ""}]


def class_matrix(names: Sequence[str], counts: Sequence[Sequence[float]]) -> Chart:
    """A square a cell, its area the share of the label's rows: blue where right, orange where wrong."""
    size = 46 if len(names) <= 8 else 26 if len(names) <= 16 else 20
    words = 12 if len(names) <= 8 else 0  # room below a square for its share
    left = min(150.0, max(map(width_of, names)) + 14)
    above = min(90.0, max(map(width_of, names)) * 0.75 + 12)
    top = above + 40
    squares: dict[str, list[str]] = {RIGHT: [], WRONG: []}
    texts = []
    for i, row in enumerate(counts):
        for j, count in enumerate(row[: len(names)]):
            share = count / (sum(row) or 1)
            side = round((size - 2 - words) * share**0.5, 1)
            if side >= 1:
                x, y = left + size * (j + 0.5) - side / 2, top + size * i + (size - words) / 2 - side / 2
                squares[RIGHT if i == j else WRONG].append(f"M{x:g},{y:g}h{side}v{side}h-{side}z")
            if words and share >= 0.005:
                texts.append(label(left + size * (j + 0.5), top + size * (i + 1) - 3, f"{share:.0%}", anchor="middle"))
    span = size * len(names)
    grid = "".join(
        f"M{left + size * i:g},{top:g}v{span}M{left:g},{top + size * i:g}h{span}" for i in range(len(names) + 1)
    )
    parts = [
        label(left, 14, "Confusion, as shares of each label", font_weight=600),
        label(left + span / 2, 32, "predicted", anchor="middle"),
        tag("path", d=grid, stroke=FAINT, fill="none"),
        *(tag("path", d="".join(d), fill=c, fill_opacity=0.85) for c, d in squares.items() if d),
        *(_class_labels(n, left, top, size, i) for i, n in enumerate(names)),
        *texts,
    ]
    return Chart(left + span + above, top + span + 8, joined(parts), f"Confusion of {len(names)} classes")


def _class_labels(name: str, left: float, top: float, size: float, i: int) -> Markup:
    x = left + size * (i + 0.5)
    cut = fitted(name, 110)
    return joined(
        label(left - 6, top + size * (i + 0.5) + 4, fitted(name, left - 8), anchor="end", full=name),
        tag("text", tag("title", name), cut, transform=f"translate({x + 3:g} {top - 6:g}) rotate(-45)"),
    )
