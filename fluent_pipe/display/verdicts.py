"""Verdicts: what was blessed, approved, pushed and scored, in words first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.charts import Chart, Embed, Scale
from fluent_pipe.display.colours import BAD, FAINT, GOOD, INK
from fluent_pipe.display.figures import figure
from fluent_pipe.display.markup import Child, joined, tag
from fluent_pipe.display.prose import MARKS, bullets, headline, paragraph
from fluent_pipe.display.slices import slice_name
from fluent_pipe.display.tables import html_table
from fluent_pipe.display.text import counted, text_table

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
        paragraph(f"... and {counted(more, 'more requirement')}: to_frame() has them all.") if more > 0 else None,
    )


def blessing_text(facts: Facts) -> str:
    """The same as text."""
    verdict, rest = _blessing_words(facts)
    head = f"{verdict.lower()} {rest}".strip()
    rows = requirement_rows(_failed_first(facts))
    more = len(facts["reasons"]) - len(rows)
    said = [f"... and {counted(more, 'more requirement')}: to_frame() has them all"] if more > 0 else []
    return "\n".join([head, *([text_table(rows)] if rows else []), *said])


def _blessing_words(facts: Facts) -> tuple[str, str]:
    reasons = facts["reasons"]
    failed = sum(not r["ok"] for r in reasons)
    if not reasons:
        said = "Nothing was required."
    elif failed:
        said = f"{failed} of {counted(len(reasons), 'requirement')} {'does' if failed == 1 else 'do'} not hold."
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
    files = counted(len(facts["files"]), f"{facts['format']} file")
    where = joined("in ", tag("code", facts["destination"]), f", {files}")
    aside = f"{counted(facts['failed'], 'row')} could not be read or scored: see rejected." if facts["failed"] else ""
    return joined(
        _verdict(f"{counted(facts['rows'], 'row')} scored", where, good=None if facts["failed"] else True),
        paragraph(aside) if aside else None,
        html_table(head, embed) if head else None,
        paragraph(note) if note else None,
    )


def _verdict(verdict: str, rest: Child, *, good: bool | None) -> Markup:
    return joined(headline(verdict, good=good), paragraph(rest))
