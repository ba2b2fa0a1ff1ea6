"""Tables as HTML that reads well anywhere: in a notebook that strips styles, on a page, printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.charts import Chart, Embed
from fluent_pipe.display.markup import tag
from fluent_pipe.display.text import in_words, is_number

# Notebooks squash pictures in tables and stripe rows: say what is meant on the elements, since <style> may be stripped.
TABLE = "border-collapse:collapse;table-layout:auto;width:auto;margin:4px 0 10px"
CELL = "padding:3px 8px;border-bottom:1px solid #75757540;vertical-align:middle"
LINE = "border-bottom:1px solid #75757540;vertical-align:middle"  # said once a row: cells are most of a table's size

WORD = 50
WRAPPED = ";min-width:240px;max-width:480px;overflow-wrap:anywhere"


def html_table(
    rows: Sequence[Mapping[str, Any]], embed: Embed, columns: Sequence[str] | None = None, *, sortable: bool = False
) -> Markup:
    """Rows as a table; numbers to the right, charts drawn, markup as it is, all else as text.

    Parameters
    ----------
    rows
        One mapping a row.
    columns
        Which, in order. Default: those of the first row.
    sortable
        Whether a page that has a script for it lets a person sort by a column.
    """
    names = list(columns or (rows[0] if rows else ()))
    right = {n for n in names if any(is_number(r.get(n)) for r in rows)}
    head = tag("tr", (tag("th", n, scope="col", style=_style(n in right)) for n in names), style=LINE)
    body = (tag("tr", (_cell(r.get(n), embed, right=n in right) for n in names), style=LINE) for r in rows)
    return tag("table", tag("thead", head), tag("tbody", body), style=TABLE, class_="sortable" if sortable else None)


def _cell(value: Any, embed: Embed, *, right: bool) -> Markup:
    exact = repr(value) if isinstance(value, float) else None  # to sort by, and to see when one points at it
    if isinstance(value, Chart):
        value = embed(value)
    elif not isinstance(value, Markup):
        value = in_words(value)
    return tag("td", value, title=exact, style=_style(right) + (WRAPPED if _is_long(value) else ""))


def _is_long(value: str) -> bool:
    """Whether it holds a word that no line would hold."""
    text = value.striptags() if isinstance(value, Markup) else value
    return len(text) > WORD and any(len(word) > WORD for word in text.split())


def _style(right: bool) -> str:  # noqa: FBT001
    return f"padding:3px 8px;text-align:{'right' if right else 'left'}"
