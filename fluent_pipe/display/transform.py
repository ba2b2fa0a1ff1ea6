"""A transform drawn: raw columns on the left, the features made of them on the right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.charts import Chart, Embed, fitted, label
from fluent_pipe.display.colours import INK, SERIES
from fluent_pipe.display.histograms import share_bar
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.tables import html_table
from fluent_pipe.display.text import counted, one_line, share_in_words, text_table

NODES = 60
"""Columns and features in the picture."""
ROWS = 200
CLASSES = 20
_ROW, _WIDTH, _SIDE, _GAP = 19, 640, 210, 180


def draw_transform(
    facts: Mapping[str, Any], columns: Mapping[str, str], sources: Mapping[str, Sequence[str]], embed: Embed
) -> Markup:
    """What goes in and what comes out.

    Parameters
    ----------
    facts
        As ``transform.json`` has them.
    columns
        Types of the raw columns, by name.
    sources
        Columns that a feature is made of, by feature, where that is known.
    embed
        How charts get into it.
    """
    rows = [
        {**row, "feature": tag("b", tag("bdi", row["feature"])), "role": tag("b", row["role"]) if row["role"] else ""}
        for row in _rows(facts, sources)
    ][:ROWS]
    more = len(facts["features"]) - ROWS
    return joined(
        tag("p", _counted(facts, columns), style="margin:4px 0"),
        tag("div", embed(_map(facts, columns, sources))) if facts["features"] else None,
        _by_class(facts, embed) if facts.get("class_counts") else None,
        html_table(rows, embed) if rows else None,
        tag("p", f"And {more:,} more features: to_frame() has them all.") if more > 0 else None,
    )


def _by_class(facts: Mapping[str, Any], embed: Embed) -> Markup:
    rows = [{**row, "share": share_bar(row["share"]), " ": share_in_words(row["share"])} for row in _classes(facts)]
    return joined(
        tag("p", f"Rows by class of {one_line(facts['label'], 60)}:", style="margin:4px 0"), html_table(rows, embed)
    )


def transform_text(facts: Mapping[str, Any], columns: Mapping[str, str], sources: Mapping[str, Sequence[str]]) -> str:
    """What goes in and what comes out, for a terminal; parameters as of :func:`draw_transform`."""
    rows = [
        {name: one_line(str(value), 34 if name == "from" else 28) for name, value in row.items()}
        for row in _rows(facts, sources)
    ]
    parts = [_counted(facts, columns), text_table(rows[:ROWS])]
    if (more := len(rows) - ROWS) > 0:
        parts.append(f"And {more:,} more features: to_frame() has them all.")
    if facts.get("class_counts"):
        classes = [
            {"class": one_line(r["class"], 30), "rows": r["rows"], "share": f"{'█' * round(20 * r['share']):20} "
             f"{share_in_words(r['share'])}"}
            for r in _classes(facts)
        ]  # fmt: skip
        parts += ["", f"Rows by class of {one_line(facts['label'], 40)}:", text_table(classes)]
    return "\n".join(parts)


def _counted(facts: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    words = f"{counted(len(columns), 'column')} in, {counted(len(facts['features']), 'feature')} out"
    if facts["label"]:
        words += f"; label {one_line(facts['label'], 60)}" + (f" ({facts['task']})" if facts["task"] else "")
    return words + (f"; weight {one_line(facts['weight'], 60)}" if facts["weight"] else "")


def _role(facts: Mapping[str, Any], feature: str) -> str:
    return {facts["label"]: "label", facts["weight"]: "weight"}.get(feature, "")


def _rows(facts: Mapping[str, Any], sources: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Any]]:
    for name, feature in facts["features"].items():
        row = {
            "feature": name,
            "type": feature["dtype"],
            "shape": " × ".join(map(str, feature["shape"])) or "scalar",
            "kind": feature["kind"],
            "vocabulary": _vocabulary(facts, name),
            "role": _role(facts, name),
        }
        if sources:
            row["from"] = ", ".join(sources.get(name, ()))
        yield row


def _vocabulary(facts: Mapping[str, Any], feature: str) -> str:
    size = facts["vocabularies"].get(feature)
    return "" if size is None else f"{size:,} values"


def _classes(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    counts = list(facts["class_counts"])
    names = facts.get("classes") or range(len(counts))
    every = sum(counts)
    rows = [
        {"class": str(name), "rows": count, "share": count / every if every else 0.0}
        for name, count in zip(names, counts, strict=False)
    ]
    if len(rows) > CLASSES:
        rest = rows[CLASSES - 1 :]
        rows[CLASSES - 1 :] = [
            {
                "class": f"{len(rest):,} more",
                "rows": sum(r["rows"] for r in rest),
                "share": sum(r["share"] for r in rest),
            }
        ]
    return rows


def _map(facts: Mapping[str, Any], columns: Mapping[str, str], sources: Mapping[str, Sequence[str]]) -> Chart:
    """Names on both sides, and a line from each column to each feature that is made of it."""
    left = list(columns)[:NODES]
    places = {name: place for place, name in enumerate(left)}
    right = sorted(facts["features"], key=lambda name: _beside(name, facts, sources, places))[:NODES]
    long = max(len(left), len(right), 1)
    start, end = _SIDE, _SIDE + _GAP
    # The shorter side stands in the middle of the longer one.
    down = {"left": (long - len(left)) * _ROW / 2, "right": (long - len(right)) * _ROW / 2}
    parts = [label(start, 12, "columns", anchor="end", font_weight="bold")]
    parts.append(label(end, 12, "features", font_weight="bold"))
    height = {name: 30 + down["left"] + _ROW * place for place, name in enumerate(left)}
    used = {column for each in sources.values() for column in each}
    for place, name in enumerate(right):
        y = 30 + down["right"] + _ROW * place
        colour = _colour(_role(facts, name))
        parts += [_link(start + 6, height[c], end - 8, y, colour) for c in sources.get(name, ()) if c in height]
        parts.append(tag("circle", cx=end - 6, cy=y, r=3, fill=colour))
        parts.append(_feature(end, y, name, facts))
    for name, y in height.items():
        fill = INK if name in used or not sources else "none"
        parts.append(tag("circle", cx=start + 4, cy=y, r=2.5, fill=fill, stroke=INK))
        kind = f" {columns[name]}" + ("" if name in used or not sources else ", not used")
        words = fitted(name, _SIDE - 6 - len(kind) * 6.6)
        text = tag("tspan", kind, font_size=10)
        parts.append(
            tag("text", tag("title", name) if words != name else None, tag("tspan", words, font_weight="bold"), text,
                x=start - 4, y=y + 4, text_anchor="end")
        )  # fmt: skip
    more = [f"{len(all_) - len(some):,} more" if len(all_) > len(some) else "" for all_, some in
            ((columns, left), (facts["features"], right))]  # fmt: skip
    bottom = 30 + _ROW * long
    parts.append(label(start, bottom, more[0], anchor="end"))
    parts.append(label(end, bottom, more[1]))
    said = f"{len(columns)} columns and the {len(facts['features'])} features made of them"
    return Chart(_WIDTH, bottom + (6 if any(more) else -8), joined(parts), said)


def _beside(
    name: str, facts: Mapping[str, Any], sources: Mapping[str, Sequence[str]], places: Mapping[str, int]
) -> tuple[bool, float]:
    """Features near the columns that they are made of, so that few lines cross; label and weight last."""
    own = [places[column] for column in sources.get(name, ()) if column in places]
    return bool(_role(facts, name)), sum(own) / len(own) if own else 0.0


def _colour(role: str) -> str:
    return SERIES[{"": 0, "label": 1, "weight": 2}[role]]


def _link(x1: float, y1: float, x2: float, y2: float, colour: str) -> Markup:
    middle = (x1 + x2) / 2
    path = f"M{x1:g},{y1:g}C{middle:g},{y1:g} {middle:g},{y2:g} {x2:g},{y2:g}"
    return tag("path", d=path, fill="none", stroke=colour, stroke_width=1.3, stroke_opacity=0.75)


def _feature(x: float, y: float, name: str, facts: Mapping[str, Any]) -> Markup:
    feature, role = facts["features"][name], _role(facts, name)
    words = [feature["dtype"], *([f"[{', '.join(map(str, feature['shape']))}]"] if feature["shape"] else [])]
    words += [feature["kind"]] if feature["kind"] != "dense" else []
    words += [w for w in (_vocabulary(facts, name),) if w]
    shown = fitted(name, _WIDTH - x - 6.2 * len(", ".join(words)) - (50 if role else 6))
    return tag(
        "text",
        tag("title", name) if shown != name else None,
        tag("tspan", shown, font_weight="bold"),
        tag("tspan", f" {role}", font_weight="bold", fill=_colour(role)) if role else None,
        tag("tspan", f" {', '.join(words)}", font_size=10),
        x=x,
        y=y + 4,
    )
