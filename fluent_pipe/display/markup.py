"""HTML and SVG elements whose text is escaped by construction.

Names of columns, values and slices are data. Only :func:`tag` makes markup of them, and it escapes every child and
attribute that is not markup already, so there is no place where escaping could be forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

from markupsafe import Markup, escape

Child: TypeAlias = Markup | str | int | float | None

_EMPTY = frozenset({"br", "hr", "img", "input", "link", "meta"})
_SVG_EMPTY = frozenset({"path", "rect", "line", "circle", "polyline", "polygon"})
# What XML may not hold, and what turns the direction of the text that follows: of other cells, of a whole chart.
_UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """``text`` without characters that no HTML or SVG may hold, or that turn what follows; some become a picture.

    Examples
    --------
    >>> clean("bell" + chr(7) + " and half a pair" + chr(0xD800))
    'bell␇ and half a pair�'
    """
    return _UNFIT.sub(
        lambda found: chr(0x2400 + ord(found[0])) if ord(found[0]) < 32 else "\N{REPLACEMENT CHARACTER}", text
    )


def tag(name: str, /, *children: Child | Iterable[Child], **attributes: str | float | bool | None) -> Markup:
    """An element.

    Parameters
    ----------
    name
        Of the element.
    children
        Markup as it is, other values as escaped text; None and nothing else is left out. Iterables are laid out.
    attributes
        ``class_`` and ``stroke_width`` are written ``class`` and ``stroke-width``. None and False: left out. True: the
        name alone.

    Examples
    --------
    >>> tag("td", "<b>", title='"', hidden=None)
    Markup('<td title="&#34;">&lt;b&gt;</td>')
    """
    written = "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not None and value is not False
    )
    if name in _EMPTY:
        return Markup(f"<{name}{written}>")
    inner = joined(*children)
    if not inner and name in _SVG_EMPTY:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{inner}</{name}>")


def joined(*children: Child | Iterable[Child]) -> Markup:
    """Children one after another, as in :func:`tag`."""
    return Markup("").join(_flat(children))


def _flat(children: Iterable[Child | Iterable[Child]]) -> Iterable[Markup]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            yield child
        elif isinstance(child, str):
            yield escape(clean(child))
        elif isinstance(child, Iterable):
            yield from _flat(child)
        else:
            yield escape(str(child))


def _attribute(key: str, value: str | float | bool) -> str:  # noqa: FBT001
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f' {name}="{escape(clean(text))}"'
