"""What stands around charts and tables: headings, verdicts in words, lists, what is folded away."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from fluent_pipe.display.colours import BAD, GOOD, WARN
from fluent_pipe.display.markup import Child, tag

MARKS = {True: "✓", False: "✗", None: "!"}
_COLOURS = {True: GOOD, False: BAD, None: WARN}


def headline(verdict: str, rest: str = "", *, good: bool | None) -> Markup:
    """A verdict in words, with its mark; None is neither good nor bad.

    Examples
    --------
    >>> headline("Blessed.", "1 requirement holds.", good=True).striptags()
    '✓ Blessed. 1 requirement holds.'
    """
    style = f"color:{_COLOURS[good]};font-size:1.15em"
    return tag("p", tag("strong", f"{MARKS[good]} {verdict}", style=style), f" {rest}" if rest else None, style=_P)


def paragraph(*children: Child | Iterable[Child]) -> Markup:
    """Words below a headline."""
    return tag("p", *children, style=_P)


def heading(text: str) -> Markup:
    """Above one of several parts of a result."""
    return tag("h4", text, style="margin:10px 0 2px")


def bullets(lines: Iterable[str]) -> Markup | None:
    """One line each; None where there is none."""
    items = [tag("li", line) for line in lines]
    return tag("ul", items, style="margin:2px 0 8px") if items else None


def folded(summary: str, *children: Child | Iterable[Child], opened: bool = False) -> Markup:
    """What is seen when one opens it; where styles are stripped too."""
    head = tag("summary", summary, style="cursor:pointer")
    return tag("details", head, *children, open=opened, style="margin:3px 0")


_P = "margin:4px 0"
