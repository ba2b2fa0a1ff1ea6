"""Anomalies drawn: what was found, and how far each column drifted, against its limit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.charts import Chart, Embed
from fluent_pipe.display.colours import BAD, FAINT, GOOD, INK
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.tables import html_table
from fluent_pipe.display.text import counted, in_words, one_line, text_table

MARK = "▲"
ROWS = 100
MEASURES = {
    "jensen_shannon_divergence": "Jensen-Shannon divergence",
    "infinity_norm": "largest difference of a share",
    "normalized_abs_difference": "normalized absolute difference",
}


@dataclass(frozen=True)
class Trouble:
    """What a validation said of columns, looked up by column.

    Parameters
    ----------
    anomalies, distances
        As ``anomalies.json`` has them.
    known
        Whether there was a validation.
    """

    anomalies: tuple[Mapping[str, Any], ...] = ()
    distances: tuple[Mapping[str, Any], ...] = ()
    known: bool = False

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Trouble:
        """From ``anomalies.json``."""
        return cls(tuple(facts["anomalies"]), tuple(facts["drift"]), known=True)

    def of(self, column: str) -> list[tuple[str, str]]:
        """Each anomaly of a column: in a few words with the splits that have it, and all there is to say of it."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for each in self.anomalies:
            if each["column"] == column:
                found.setdefault(each["anomaly"], []).append(each)
        return [(f"{one_line(words, 44)} ({_splits(same)})", _details(same)) for words, same in found.items()]

    def distances_of(self, column: str) -> list[Mapping[str, Any]]:
        """Drift and skew of a column."""
        return [each for each in self.distances if each["column"] == column]


def _splits(same: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(one_line(each["split"], 20) for each in same)


def _details(same: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join([same[0]["anomaly"], *(f"{each['split']}: {each['detail']}" for each in same)])


def is_over(distance: Mapping[str, Any]) -> bool:
    """Whether a distance is over its limit."""
    return bool(distance["value"] > distance["threshold"])


def limit_line(distance: Mapping[str, Any], embed: Embed) -> Markup:
    """A distance in a line: its bar, its kind and split, the number against the limit."""
    words = against_limit(distance)
    shown: Markup | str = tag("b", f"{MARK} {words}", style=f"color:{BAD}") if is_over(distance) else words
    said = joined(distance["kind"], " ", tag("bdi", one_line(distance["split"], 20)), " ", shown)
    hint = f"{distance['kind']}, {MEASURES.get(distance['measure'], distance['measure'])}"
    return tag("span", embed(limit_bar(distance, 36)), " ", said, title=hint, style="white-space:nowrap")


def against_limit(distance: Mapping[str, Any]) -> str:
    """Value and limit.

    Examples
    --------
    >>> against_limit({"value": 0.2821, "threshold": 0.1})
    '0.282 > 0.1'
    """
    value, limit = distance["value"], distance["threshold"]
    if math.isnan(value):
        return f"not a number, limit {limit:.3g}"
    return f"{value:.3g} {'>' if is_over(distance) else '≤'} {limit:.3g}"


def limit_bar(distance: Mapping[str, Any], width: float = 50) -> Chart:
    """A bar as long as the distance, and the limit as a stroke across at the same place in all bars."""
    limit = width * 0.6
    colour = BAD if is_over(distance) else GOOD
    body = joined(
        tag("rect", x=0, y=1, width=width, height=8, fill=FAINT),
        tag("rect", x=0, y=1, width=round(min(limit * _share(distance), width), 1), height=8, fill=colour),
        tag("path", d=f"M{limit:g},-1V11", stroke=INK, stroke_width=2),
    )
    return Chart(width, 10, body, f"{distance['kind']} {against_limit(distance)}")


def _share(distance: Mapping[str, Any]) -> float:
    """How much of the limit a distance takes; 2 and more are drawn alike."""
    value, limit = float(distance["value"]), float(distance["threshold"])
    if limit > 0 and math.isfinite(value):
        return round(min(max(value / limit, 0.0), 2.0), 3)
    return 2.0 if is_over(distance) else 0.0


def draw_anomalies(facts: Mapping[str, Any], embed: Embed) -> Markup:
    """What ``validate`` found, as tables.

    Parameters
    ----------
    facts
        As ``anomalies.json`` has them.
    embed
        How charts get into it.
    """
    found, measured = facts["anomalies"], _by_excess(facts["drift"])
    rows = [{**_entry(each), "severity": _severity(each)} for each in found[:ROWS]]
    distances = [
        {
            "column": each["column"],
            "split": each["split"],
            "what": f"{each['kind']}, {MEASURES.get(each['measure'], each['measure'])}",
            "": limit_bar(each),
            "value": each["value"],
            "limit": each["threshold"],
            "verdict": _verdict(each),
        }
        for each in measured[:ROWS]
    ]
    return joined(
        tag("p", tag("b", verdict(facts), style=f"color:{BAD if found else GOOD}"), style="margin:4px 0"),
        html_table(rows, embed) if rows else None,
        _more(len(found), "anomalies: to_frame() has them all."),
        tag("p", tag("b", "Drift and skew"), _compared(facts), style="margin:8px 0 4px") if distances else None,
        html_table(distances, embed) if distances else None,
        _more(len(measured), "distances: .drift has them all."),
        tag("ul", (tag("li", note) for note in facts["notes"])) if facts["notes"] else None,
    )


def _verdict(distance: Mapping[str, Any]) -> Markup | str:
    if is_over(distance):
        return tag("b", f"{MARK} over the limit", style=f"color:{BAD}")
    return "not a number" if math.isnan(distance["value"]) else "within"


def _more(count: int, words: str) -> Markup | None:
    return tag("p", f"And {count - ROWS:,} more {words}") if count > ROWS else None


def _severity(anomaly: Mapping[str, Any]) -> Markup | str:
    words = str(anomaly.get("severity", ""))
    return tag("b", words, style=f"color:{BAD}") if words == "ERROR" else words


def _entry(anomaly: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "column": anomaly["column"] or "(the whole split)",
        "split": anomaly["split"],
        "anomaly": anomaly["anomaly"],
        "detail": anomaly["detail"],
        "rows": anomaly.get("count"),
    }


def verdict(facts: Mapping[str, Any]) -> str:
    """In a few words.

    Examples
    --------
    >>> verdict({"anomalies": [], "drift": [{"value": 0.01, "threshold": 0.1}]})
    '✓ No anomalies. 1 distance measured, none over its limit.'
    """
    found, measured = facts["anomalies"], facts["drift"]
    over = sum(map(is_over, measured))
    columns = len({each["column"] for each in found} - {None})
    words = "✓ No anomalies."
    if found:
        words = f"{MARK} {counted(len(found), 'anomaly')}"
        words += f" in {counted(columns, 'column')}." if columns else "."
    if measured:
        words += f" {counted(len(measured), 'distance')} measured, "
        words += f"{over or 'none'} over {'its' if len(measured) == 1 or not over else 'the'} limit."
    return words


def _compared(facts: Mapping[str, Any]) -> str:
    # The folder is a path of this machine: its last part names the execution.
    name = PurePath(str(facts["baseline"])).name if facts.get("baseline") else ""
    return f" (drift: compared with {name})" if name else ""


def _by_excess(distances: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(distances, key=_share, reverse=True)


def anomalies_text(facts: Mapping[str, Any]) -> str:
    """What ``validate`` found, for a terminal."""
    found, measured = facts["anomalies"], _by_excess(facts["drift"])
    parts = [verdict(facts)]
    if found:
        rows = [
            {n: v if n == "rows" else one_line(str(v), 60) for n, v in _entry(each).items() if n != "detail"}
            for each in found[:ROWS]
        ]
        table = text_table(rows).splitlines()
        details = [f"    {one_line(each['detail'], 96)}" for each in found[:ROWS]]
        parts.append("\n".join([table[0], *(line for pair in zip(table[1:], details, strict=True) for line in pair)]))
    if measured:
        rows = [
            {
                "column": one_line(each["column"], 30),
                "split": one_line(each["split"], 12),
                "kind": each["kind"],
                "measure": MEASURES.get(each["measure"], each["measure"]),
                "": _text_bar(each),
                "value": in_words(each["value"]),
                "limit": in_words(each["threshold"]),
            }
            for each in measured[:ROWS]
        ]
        parts.append(text_table(rows))
    if (more := max(len(found) - ROWS, 0) + max(len(measured) - ROWS, 0)) > 0:
        parts.append(f"And {more:,} more rows: to_frame() and .drift have them all.")
    return "\n\n".join([*parts, *(one_line(note, 500) for note in facts["notes"])])


def _text_bar(distance: Mapping[str, Any]) -> str:
    full = min(round(_share(distance) * 6), 10)
    bar = "█" * full + "·" * (10 - full)
    return f"{bar[:6]}|{bar[6:]}" + (f" {MARK}" if is_over(distance) else "")
