"""Verdicts: what was blessed, served, approved, pushed and scored, in words first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.charts import CHARACTER, Chart, Embed, Scale, label
from fluent_pipe.display.colours import BAD, FAINT, GOOD, INK, SERIES
from fluent_pipe.display.figures import figure, plural
from fluent_pipe.display.markup import Child, joined, tag
from fluent_pipe.display.prose import MARKS, bullets, headline, paragraph
from fluent_pipe.display.slices import slice_name
from fluent_pipe.display.tables import html_table
from fluent_pipe.display.text import text_table

MOST = 40

Facts = Mapping[str, Any]


def draw_blessing(facts: Facts, embed: Embed) -> Markup:
    """Whether every requirement holds, and each of them: what was needed, and what was met.

    Parameters
    ----------
    facts
        As in ``reasons.json``.
    embed
        How charts get into the page.
    """
    reasons = _failed_first(facts)
    rows = [{**row, "": _against(reason)} for row, reason in zip(requirement_rows(reasons), reasons, strict=True)]
    more = len(facts["reasons"]) - len(rows)
    return joined(
        headline(*_blessing_words(facts), good=bool(facts["blessed"])),
        html_table(rows, embed) if rows else None,
        paragraph(f"... and {plural(more, 'more requirement')}: to_frame() has them all.") if more > 0 else None,
    )


def blessing_text(facts: Facts) -> str:
    """The same as text."""
    verdict, rest = _blessing_words(facts)
    head = f"{verdict.lower()} {rest}".strip()
    rows = requirement_rows(_failed_first(facts))
    more = len(facts["reasons"]) - len(rows)
    said = [f"... and {plural(more, 'more requirement')}: to_frame() has them all"] if more > 0 else []
    return "\n".join([head, *([text_table(rows)] if rows else []), *said])


def _blessing_words(facts: Facts) -> tuple[str, str]:
    reasons = facts["reasons"]
    failed = sum(not r["ok"] for r in reasons)
    if not reasons:
        said = "Nothing was required."
    elif failed:
        said = f"{failed} of {plural(len(reasons), 'requirement')} {'does' if failed == 1 else 'do'} not hold."
    else:
        said = "The requirement holds." if len(reasons) == 1 else f"All {len(reasons)} requirements hold."
    return ("Blessed." if facts["blessed"] else "Not blessed."), f"{said} {facts['note']}".strip()


def _failed_first(facts: Facts) -> list[Facts]:
    return sorted(facts["reasons"], key=lambda r: bool(r["ok"]))[:MOST]


def requirement_rows(reasons: Sequence[Facts]) -> list[dict[str, Any]]:
    """One mapping a requirement and slice, in words; the baseline where there is one."""
    compared = any(r["baseline"] is not None for r in reasons)
    changed = any(r["change"] is not None for r in reasons)
    return [
        {
            "holds": f"{MARKS[True]} yes" if r["ok"] else f"{MARKS[False]} no",
            "metric": r["metric"],
            "slice": _where(r),
            "value": figure(r["got"]),
            "needed": r["needed"],
            **({"baseline": figure(r["baseline"])} if compared else {}),
            **({"change": "" if r["change"] is None else f"{r['change']:+.3g}"} if changed else {}),
        }
        for r in reasons
    ]


def _where(reason: Facts) -> str:
    columns = reason["slice"]
    if columns and reason["got"] is None and all(v is None for v in columns.values()):
        return f"by {' × '.join(columns)}: no row has a value there"
    return slice_name(columns)


_BOUND = re.compile(r"at (least|most) (-?[\d.]+(?:e[+-]?\d+)?)")


def _against(reason: Facts) -> Chart | None:
    """The value beside its limits: what is allowed is a thick line."""
    bounds = {word: float(number.rstrip(".")) for word, number in _BOUND.findall(reason["needed"])}
    value = reason["change"] if "change" in reason["needed"] else reason["got"]
    if value is None or not bounds:
        return None
    points = [value, *bounds.values()]
    low, high = min(points), max(points)
    room = (high - low) * 0.6 or abs(high) * 0.1 or 1.0
    scale = Scale((low - room, high + room), (4, 126))
    start, end = scale(bounds.get("least", low - room)), scale(bounds.get("most", high + room))
    x, colour = scale(value), GOOD if reason["ok"] else BAD
    cross = tag("path", d=f"M{x - 4:g},5l8,8m0,-8l-8,8", stroke=BAD, stroke_width=2.5)
    body = joined(
        tag("line", x1=4, x2=126, y1=9, y2=9, stroke=FAINT, stroke_width=2),
        tag("line", x1=start, x2=end, y1=9, y2=9, stroke=INK, stroke_width=4, stroke_opacity=0.6),
        (tag("line", x1=scale(b), x2=scale(b), y1=2, y2=16, stroke=INK, stroke_width=2) for b in bounds.values()),
        tag("circle", cx=x, cy=9, r=4.5, fill=colour) if reason["ok"] else cross,
    )
    return Chart(130, 18, body, f"{figure(value)}, needed {reason['needed']}")


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
    return f"{plural(facts['requests'], 'request')} to {facts.get('endpoint') or 'a server of its own'}{together}."


def _compared(facts: Facts) -> str:
    if facts.get("largest_difference") is None:
        return ""
    return (
        f"{plural(facts['rows'], 'row')} compared with {facts['compared_with']}: "
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
    longest = max(len(f"{figure(v)} {u}, limit {figure(m)} {u}") for _, v, u, m in bars)
    right = left + width + 30 + longest * CHARACTER * 11
    return Chart(right, row * len(bars) + 6, joined(parts), "Figures of the server")


def draw_pushed(facts: Facts) -> Markup:
    """Where the model was pushed, or why not; of ``pushed.json``."""
    if facts["pushed"]:
        where = joined("to ", tag("code", facts["destination"]))
        return _verdict(f"Pushed as version {facts['version']}", where, good=True)
    return joined(headline("Not pushed.", good=False), bullets(facts["reasons"]))


def draw_approval(facts: Facts) -> Markup:
    """What a person decided; of ``approval.json``."""
    if not facts["by"]:
        return headline("Not approved:", facts["note"], good=None)
    verdict = f"{'Approved' if facts['approved'] else 'Rejected'} by {facts['by']}"
    return joined(
        headline(verdict, f"at {facts['at']}" if facts.get("at") else "", good=bool(facts["approved"])),
        tag("blockquote", facts["note"], style="margin:2px 0 8px 24px") if facts["note"] else None,
    )


def draw_predictions(facts: Facts, head: Sequence[Facts], note: str, embed: Embed) -> Markup:
    """How many rows were scored and where they lie, with the first of them.

    Parameters
    ----------
    facts
        As in ``predictions.json``.
    head
        The first rows.
    note
        Why there are none, where there are none.
    embed
        How charts get into the page.
    """
    if not facts["scored"]:
        return joined(headline("Not scored.", good=False), bullets(facts["reasons"]))
    files = plural(len(facts["files"]), f"{facts['format']} file")
    where = joined("in ", tag("code", facts["destination"]), f", {files}")
    aside = f"{plural(facts['failed'], 'row')} could not be read or scored: see rejected." if facts["failed"] else ""
    return joined(
        _verdict(f"{plural(facts['rows'], 'row')} scored", where, good=None if facts["failed"] else True),
        paragraph(aside) if aside else None,
        html_table(head, embed) if head else None,
        paragraph(note) if note else None,
    )


def _verdict(verdict: str, rest: Child, *, good: bool | None) -> Markup:
    return joined(headline(verdict, good=good), paragraph(rest))
