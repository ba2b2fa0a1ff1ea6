"""Seconds by step as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fluent_pipe.display.cards import cut
from fluent_pipe.display.charts import Chart, Scale, label, x_axis
from fluent_pipe.display.colours import FAINT, INK, SERIES
from fluent_pipe.display.markup import joined, tag

ROW = 20.0
NAMES = 170.0
MOST = 60


def draw_timings(rows: Sequence[Mapping[str, Any]], *, width: float = 640) -> Chart:
    """One bar a step, as long as it took.

    Parameters
    ----------
    rows
        ``step``, ``seconds`` (None where it did not run) and ``state``.
    """
    shown = rows[:MOST]
    longest = max((row["seconds"] or 0.0 for row in shown), default=0.0)
    scale = Scale((0.0, longest or 1.0), (NAMES, width - 110))
    bottom = ROW * len(shown) + 4
    parts = [x_axis(scale, bottom, title="seconds", grid=bottom)]
    for number, row in enumerate(shown):
        middle = ROW * (number + 0.5) + 2
        seconds = row["seconds"]
        length = scale(seconds or 0.0) - NAMES
        words = f"{seconds:,.2f} s" if seconds is not None else ""
        if row["state"] not in ("ran", ""):
            words = f"{words} ({row['state']})" if words else str(row["state"])
        parts += [
            label(NAMES - 8, middle + 4, cut(row["step"], (NAMES - 8) / 11), anchor="end", full=row["step"]),
            tag("rect", x=NAMES, y=middle - 6, width=max(length, 1), height=12, rx=2, fill=SERIES[0])
            if seconds is not None
            else tag("rect", x=NAMES, y=middle - 6, width=1, height=12, fill=FAINT),
            label(NAMES + length + 6, middle + 4, words, fill=INK),
        ]
    if len(rows) > MOST:
        parts.append(label(width, bottom + 28, f"and {len(rows) - MOST:,} more: to_frame() has them all", anchor="end"))
    return Chart(width, bottom + 34, joined(parts), "Seconds by step")
