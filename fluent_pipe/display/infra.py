"""What a prediction server made of a model: the verdict, and figures against their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.charts import Chart, Embed, Scale, label, width_of
from fluent_pipe.display.colours import BAD, INK, SERIES
from fluent_pipe.display.figures import figure
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.prose import MARKS, bullets, headline, paragraph
from fluent_pipe.display.text import counted

Facts = Mapping[str, Any]


def draw_infra(facts: Facts, embed: Embed) -> Markup:
    """Whether the model serves, why not, and its figures against the limits.

    Parameters
    ----------
    facts
        As in ``infra.json``.
    embed
        How charts get into the page.
    """
    verdict = "Infra-blessed." if facts["blessed"] else "Not infra-blessed."
    bars = _bars(facts)
    said = _served_words(facts)
    return joined(
        headline(verdict, said, good=bool(facts["blessed"])),
        bullets(facts["reasons"]),
        tag("div", embed(_bar_chart(bars))) if bars else None,
        paragraph(difference) if (difference := _compared(facts)) else None,
    )


def infra_rows(facts: Facts) -> list[dict[str, Any]]:
    """Figure, value and limit, of those that were measured; the limit where there are any."""
    latency, limits = facts["latency_ms"] or {}, facts.get("limits") or {}
    measured: dict[str, tuple[Any, Any]] = {
        "seconds to load": (facts["load_seconds"], limits.get("load_seconds")),
        **{f"latency {p}, ms": (v, limits.get("latency_ms") if p == "p95" else None) for p, v in latency.items()},
        "memory, MB": (facts["memory_mb"], limits.get("memory_mb")),
        **{name: (facts.get(key), None) for name, key in _COUNTED.items()},
    }
    limited = any(limit is not None for _, limit in measured.values())
    return [
        {"figure": name, "value": value, **({"limit": limit} if limited else {})}
        for name, (value, limit) in measured.items()
        if value is not None
    ]


_COUNTED = {
    "requests": "requests",
    "concurrency": "concurrency",
    "rows compared": "rows",
    "largest difference": "largest_difference",
}


def _served_words(facts: Facts) -> str:
    if not facts.get("requests"):
        return "No request was timed."
    at_once = facts.get("concurrency") or 1
    together = f", {at_once} at once" if at_once > 1 else ""
    return f"{counted(facts['requests'], 'request')} to {facts.get('endpoint') or 'a server of its own'}{together}."


def _compared(facts: Facts) -> str:
    if facts.get("largest_difference") is None:
        return ""
    return (
        f"{counted(facts['rows'], 'row')} compared with {facts['compared_with']}: "
        f"the largest difference is {facts['largest_difference']:.2g}."
    )


def _bars(facts: Facts) -> list[tuple[str, float, str, float | None]]:
    """Name, value, unit and limit of what was measured."""
    latency, limits = facts["latency_ms"] or {}, facts.get("limits") or {}
    bars = [
        *((f"latency {p}", v, "ms", limits.get("latency_ms") if p == "p95" else None) for p, v in latency.items()),
        ("time to load", facts["load_seconds"], "s", limits.get("load_seconds")),
        ("memory", facts["memory_mb"], "MB", limits.get("memory_mb")),
    ]
    return [bar for bar in bars if bar[1] is not None]


def _bar_chart(bars: Sequence[tuple[str, float, str, float | None]]) -> Chart:
    """Bars of one unit share a scale; a limit is a line, and its number stands beside it in words."""
    left, width, row = 96.0, 240.0, 22
    parts: list[Markup | None] = []
    for i, (name, value, unit, limit) in enumerate(bars):
        y = row * i + row / 2 + 2
        comparable = limit is not None or sum(u == unit for _, _, u, _ in bars) > 1
        most = max(v for _, one, u, bound in bars if u == unit for v in (one, bound or 0.0)) or 1.0
        scale = Scale((0, most), (left, left + width))
        size = {"x": left, "y": y - 7, "width": max(round(scale(value) - left, 2), 1.0), "height": 14.0}
        over = limit is not None and value > limit
        words = f"{figure(value)} {unit}" + (f", limit {figure(limit)} {unit}" if limit is not None else "")
        parts += [
            label(left - 6, y + 4, name, anchor="end"),
            tag("rect", **size, fill=BAD if over else SERIES[0]) if comparable else None,
            None
            if limit is None
            else tag("line", x1=scale(limit), x2=scale(limit), y1=y - 10, y2=y + 10, stroke=INK, stroke_width=2),
            label(left + (width + 10 if comparable else 0), y + 4, words + (f" {MARKS[False]}" if over else "")),
        ]
    longest = max(width_of(f"{figure(v)} {u}, limit {figure(m)} {u}") for _, v, u, m in bars)
    right = left + width + 30 + longest
    return Chart(right, row * len(bars) + 6, joined(parts), "Figures of the server")
