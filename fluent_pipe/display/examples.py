"""Examples drawn: how many rows each split has, and which columns there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.charts import Embed
from fluent_pipe.display.histograms import share_bar
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.tables import html_table
from fluent_pipe.display.text import counted, one_line, share_in_words, text_table

COLUMNS = 200
"""Columns whose names are listed."""


def draw_examples(facts: Mapping[str, Any], embed: Embed) -> Markup:
    """Rows by split as bars, and the columns by type.

    Parameters
    ----------
    facts
        As ``examples.json`` has them.
    embed
        How charts get into it.
    """
    rows = [{**row, "of all": share_bar(share), " ": share_in_words(share)} for row, share in _splits(facts)]
    types = _by_type(facts)
    columns = (
        tag("li", tag("b", kind), f" ({len(names):,}): ", (joined(", " if i else "", tag("bdi", n)) for i, n in each))
        for kind, names in types.items()
        for each in [list(enumerate(names[:COLUMNS]))]
    )
    return joined(
        html_table(rows, embed),
        tag("p", counted(len(facts["columns"]), "column"), style="margin:4px 0"),
        tag("ul", columns, style="margin:4px 0;overflow-wrap:anywhere") if types else None,
        (tag("p", note, style="margin:4px 0") for note in _notes(facts)),
    )


def examples_text(facts: Mapping[str, Any]) -> str:
    """Rows by split and columns by type, for a terminal."""
    rows = [
        {**row, "split": one_line(row["split"], 30), "of all": f"{'█' * round(20 * share):20} {share_in_words(share)}"}
        for row, share in _splits(facts)
    ]
    parts = [text_table(rows), counted(len(facts["columns"]), "column")]
    for kind, names in _by_type(facts).items():
        words = f"{one_line(kind, 60)} ({len(names):,}): {', '.join(one_line(n, 40) for n in names[:COLUMNS])}"
        parts += wrap(words, 98, initial_indent="  ", subsequent_indent="    ")
    return "\n".join([*parts, *_notes(facts)])


def _splits(facts: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], float]]:
    filtered = facts.get("filtered", {})
    every = sum(split["rows"] for split in facts["splits"].values())
    for name, split in facts["splits"].items():
        row = {"split": name, "rows": split["rows"]}
        if filtered:
            row["filtered out"] = filtered.get(name, 0)
        yield row, split["rows"] / every if every else 0.0


def _by_type(facts: Mapping[str, Any]) -> dict[str, list[str]]:
    types: dict[str, list[str]] = {}
    for name, kind in facts["columns"].items():
        types.setdefault(kind, []).append(name)
    return types


def _notes(facts: Mapping[str, Any]) -> Iterator[str]:
    if rejected := facts.get("rejected"):
        yield f"▲ {rejected:,} {'row was' if rejected == 1 else 'rows were'} rejected: they lie in rejected/*.jsonl."
    if any(len(names) > COLUMNS for names in _by_type(facts).values()):
        yield f"Of each type the first {COLUMNS} columns: artifact.facts()['columns'] has them all."
