"""Training: a small chart for each metric, over epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.charts import Chart, Embed, Scale, fitted, label, line_path, ticks, told_apart, y_axis
from fluent_pipe.display.colours import FAINT, INK, SERIES
from fluent_pipe.display.figures import figure
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.prose import bullets, folded, paragraph
from fluent_pipe.display.tables import html_table
from fluent_pipe.display.text import counted, in_words, sparkline, text_table
from fluent_pipe.display.thinning import thinned

MOST_METRICS = 24
MOST_EPOCHS = 100
WIDTH, HEIGHT, LEFT, TOP = 190.0, 110.0, 52.0, 30.0
TRAIN, VALIDATION = SERIES[0], SERIES[1]

Facts = Mapping[str, Any]


def draw_training(facts: Facts, embed: Embed) -> Markup:
    """Epochs, seconds and the best epoch in words; curves; the numbers of each epoch, folded away.

    Parameters
    ----------
    facts
        As in ``training.json``.
    embed
        How charts get into the page.
    """
    history = facts["history"]
    best = best_epoch(history)
    named = _named(history)
    charts = (joined(embed(_chart(name, *lines, best)), " ") for name, lines in list(named.items())[:MOST_METRICS])
    epochs = _epochs(history)
    more = epochs - MOST_EPOCHS
    table = html_table(epoch_rows(history)[:MOST_EPOCHS], embed) if epochs else None
    hidden = list(named)[MOST_METRICS:]
    return joined(
        paragraph(tag("strong", in_a_line(facts))),
        [paragraph(line) for line in _used(facts)],
        bullets([*warm_start_lines(facts), *_not_finite(history)]),
        tag("div", charts) if named else paragraph("No history: the training function was one of your own."),
        paragraph(f"... and {counted(len(hidden), 'more metric')}: {', '.join(hidden[:20])}.") if hidden else None,
        folded(
            "numbers by epoch",
            table,
            paragraph(f"... and {counted(more, 'more epoch')}: to_frame() has them all.") if more > 0 else None,
        )
        if table
        else None,
    )


def training_text(facts: Facts) -> str:
    """The same as text: a line of blocks for each metric."""
    history = facts["history"]
    rows = []
    for name, values in list(history.items())[:MOST_METRICS]:
        known = [v for v in values if _is_finite(v)]
        first, last = (figure(values[i]) if values else "" for i in (0, -1))
        over = {"first": first, "last": last, "lowest": figure(min(known, default=None))}
        over["highest"] = figure(max(known, default=None))
        rows.append({"metric": name, "over epochs": sparkline(values), **over})
    lines = [in_a_line(facts), *warm_start_lines(facts), *_used(facts), *_not_finite(history)]
    return "\n".join([*lines, text_table(rows)] if rows else lines)


def in_a_line(facts: Facts) -> str:
    """Epochs, seconds, size and the best epoch."""
    epochs = counted(facts["epochs"], "epoch") if facts["epochs"] else "trained"
    parts = [f"{epochs} in {in_words(float(facts['seconds']))} s"]
    if facts.get("parameters"):
        parts.append(f"{facts['parameters']:,} parameters")
    best = best_epoch(facts["history"])
    if best is not None:
        metric, epoch = best
        parts.append(f"best {metric} {figure(facts['history'][metric][epoch])} at epoch {epoch + 1}")
    return ", ".join(parts)


def warm_start_lines(facts: Facts) -> list[str]:
    """Where the weights came from, and what became of words; nothing where no warm start was asked for."""
    began = facts.get("warm_start")
    if not began:
        return []
    lines = [f"Warm start from {began['from']}." if began["from"] else str(began["note"])]
    for feature, words in began["mapped"].items():
        lines.append(f"  {feature}: " + ", ".join(f"{count:,} words {what}" for what, count in words.items()))
    return lines


def _used(facts: Facts) -> list[str]:
    used = facts.get("hyperparameters") or {}
    if not used:
        return []
    more = f", and {len(used) - 20} more" if len(used) > 20 else ""
    return ["with " + ", ".join(f"{n} {in_words(v)}" for n, v in list(used.items())[:20]) + more]


def _not_finite(history: Mapping[str, Sequence[float]]) -> list[str]:
    gone = {n: sum(not _is_finite(v) for v in values) for n, values in history.items()}
    return [f"{n} is not a finite number in {c} of {counted(len(history[n]), 'epoch')}." for n, c in gone.items() if c]


def best_epoch(history: Mapping[str, Sequence[float]]) -> tuple[str, int] | None:
    """The loss that a model is chosen by, and the epoch, from 0, where it was lowest."""
    metric = "val_loss" if "val_loss" in history else "loss"
    known = [(v, i) for i, v in enumerate(history.get(metric, [])) if _is_finite(v)]
    return (metric, min(known)[1]) if known else None


def epoch_rows(history: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """One mapping an epoch."""
    return [{"epoch": e + 1, **{m: v[e] for m, v in history.items()}} for e in range(_epochs(history))]


def _epochs(history: Mapping[str, Sequence[float]]) -> int:
    return min(map(len, history.values()), default=0)


def _named(history: Mapping[str, Sequence[float]]) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
    """Metric to its values over training and over validation rows; the loss first."""
    names = dict.fromkeys(n.removeprefix("val_") for n in history)
    ordered = sorted(names, key=lambda n: n != "loss")
    return {n: (history.get(n, ()), history.get(f"val_{n}", ())) for n in ordered}


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _chart(name: str, train: Sequence[float], validation: Sequence[float], best: tuple[str, int] | None) -> Chart:
    epochs = max(len(train), len(validation))
    known = [v for v in (*train, *validation) if _is_finite(v)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    pad = ((high - low) or abs(high) or 1.0) * 0.08
    x = Scale((1, max(epochs, 1)), (LEFT + 6, LEFT + WIDTH - 6))
    y = Scale((low - pad, high + pad), (TOP + HEIGHT, TOP))
    parts = [
        label(LEFT, 14, fitted(name, WIDTH), full=name, font_weight=600),
        y_axis(y, LEFT, count=3, grid=WIDTH) if known else label(LEFT + 8, TOP + HEIGHT / 2, "no number is finite"),
        _epoch_axis(x, epochs),
    ]
    chosen_by = best[0].removeprefix("val_") if best else None
    if best and name == chosen_by:
        at = x(best[1] + 1)
        line = tag("line", x1=at, x2=at, y1=TOP, y2=TOP + HEIGHT, stroke=INK, stroke_dasharray="2 3")
        anchor = "start" if at < LEFT + WIDTH / 2 else "end"
        parts += [
            line,
            label(at + (4 if anchor == "start" else -4), TOP - 3, f"best: epoch {best[1] + 1}", anchor=anchor),
        ]
    ends: list[tuple[float, str]] = []
    for values, words, colour, dash in ((train, "train", TRAIN, None), (validation, "validation", VALIDATION, "5 3")):
        if not any(map(_is_finite, values)):
            continue
        parts.append(_line(values, x, y, colour, dash))
        ends.append((y(next(v for v in reversed(values) if _is_finite(v))), words))
    ends.sort()
    if len(ends) == 2 and ends[1][0] - ends[0][0] < 12:
        middle = (ends[0][0] + ends[1][0]) / 2
        ends = [(middle - 6, ends[0][1]), (middle + 6, ends[1][1])]
    parts += [label(LEFT + WIDTH + 3, round(at + 4, 2), words) for at, words in ends]
    gone = sum(not _is_finite(v) for v in (*train, *validation))
    note = f"; {counted(gone, 'value')} not finite" if gone else ""
    return Chart(LEFT + WIDTH + 66, TOP + HEIGHT + 34, joined(parts), f"{name} over {counted(epochs, 'epoch')}{note}")


def _epoch_axis(x: Scale, epochs: int) -> Markup:
    """Whole epochs alone."""
    bottom = TOP + HEIGHT
    whole = [t for t in ticks(1, epochs, 5) if t == int(t) and t >= 1]
    whole = whole if 1.0 in whole or len(whole) > 3 else [1.0, *whole]
    marks = (label(x(t), bottom + 14, text, anchor="middle") for t, text in zip(whole, told_apart(whole), strict=True))
    line = tag("line", x1=LEFT, x2=LEFT + WIDTH, y1=bottom, y2=bottom, stroke=INK)
    return joined(line, marks, label(LEFT + WIDTH / 2, bottom + 28, "epoch", anchor="middle"))


def _line(values: Sequence[float], x: Scale, y: Scale, colour: str, dash: str | None) -> Markup:
    """Lines through what is finite, and points where there are few."""
    stretches: list[list[tuple[float, float]]] = [[]]
    for epoch, value in enumerate(values, 1):
        if _is_finite(value):
            stretches[-1].append((x(epoch), y(value)))
        elif stretches[-1]:
            stretches.append([])
    path = "".join(line_path(thinned(s)) for s in stretches if len(s) > 1)
    line = tag(
        "path", d=path, stroke=colour, stroke_width=2, stroke_dasharray=dash, fill="none", stroke_linejoin="round"
    )
    few = [p for s in stretches for p in s if len(s) == 1 or len(values) <= 12]
    points = tag("g", (tag("circle", cx=a, cy=b, r=2.5) for a, b in few), fill=colour, stroke=FAINT)
    return joined(line if path else None, points if few else None)
