"""Graphs of cards: boxes with a name, a mark, some lines of text, and what they leave at their right side."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from markupsafe import Markup

from fluent_pipe.display.charts import Chart, label
from fluent_pipe.display.colours import INK, SERIES
from fluent_pipe.display.graph import Box, Columns, Layout, Wire, rounded
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.routing import lay_out

CARD = 172.0
LINE = 14.0
SIDE = 9.0
OUTLINE = 7.0
HEAD = 26.0
PAPER = "#75757514"
DASHES = (None, "7 2", "2 2")
"""Of lines, once all colours are taken."""

Look: TypeAlias = tuple[str, str | None]
UNREAD: Look = (INK, None)


@dataclass(frozen=True, kw_only=True)
class Card:
    """One box of a graph.

    Parameters
    ----------
    id
        Unique in the graph.
    title
        Its name, in bold.
    mark, colour
        A sign before the name, and its colour.
    lines
        Texts under the name, each with one that is set to the right; :func:`wrapped` gives those of a longer text.
    leaves
        Names of what it leaves.
    reads
        What it reads: the card, and the name of what that left.
    border
        Colour of its border.
    faint
        Whether it is drawn as what is not there: its border is dotted.
    hint
        What is shown when one points at it.
    """

    id: str
    title: str
    mark: str = ""
    colour: str = INK
    lines: tuple[tuple[str, str], ...] = ()
    leaves: tuple[str, ...] = ()
    reads: tuple[tuple[str, str], ...] = ()
    border: str = INK
    faint: bool = False
    hint: str = ""

    @property
    def box(self) -> Box:
        """Its size, and where what it leaves comes out."""
        first = 22 + LINE * (len(self.lines) + 1) - 4
        ports = {name: first + LINE * i for i, name in enumerate(self.leaves)}
        height = 22 + LINE * (len(self.lines) + len(self.leaves)) + 8
        return Box(CARD, max(height, 22 + 9.2 * len(self.reads)), ports)


@dataclass(frozen=True)
class Group:
    """Cards that belong together, with a dashed line around them and words above it.

    Parameters
    ----------
    ids
        The cards.
    words
        What stands above.
    note
        More of it, said once where the group is parted.
    """

    ids: Collection[str]
    words: str
    note: str = ""


def draw_cards(
    cards: Sequence[Card], columns: Columns, *, groups: Sequence[Group] = (), width: float = 900, name: str
) -> Chart:
    """A graph of cards.

    Parameters
    ----------
    columns
        Ids of the cards by column, from left to right.
    groups
        Cards to draw a line around.
    width
        Rows wrap so that the chart is no wider, if it can be.
    name
        What it shows, in words.
    """
    by_id = {card.id: card for card in cards}
    wires = _wires(by_id)
    layout = lay_out(
        columns,
        {card.id: card.box for card in cards},
        wires,
        width=width,
        head=HEAD if groups else OUTLINE,
        together=[g.ids for g in groups],
    )
    looks = _looks(wires)
    body: list[Markup | None] = [_outlines(layout, by_id, group) for group in groups]
    body += [_lines(layout, wire, *looks.get(wire.port, UNREAD)) for wire in wires]
    body += [_card(card, *layout.corners[card.id], looks) for card in cards]
    return Chart(layout.width, layout.height, joined(body), name)


def _wires(cards: Mapping[str, Card]) -> list[Wire]:
    wires = []
    for card in cards.values():
        for name in card.leaves:
            readers = tuple(other.id for other in cards.values() if (card.id, name) in other.reads)
            wires.append(Wire(card.id, name, readers))
    return wires


def _looks(wires: Sequence[Wire]) -> dict[str, Look]:
    """Colour and dashes for each name; colours are few, so those that are read most come first."""
    readers: dict[str, int] = {}
    for wire in wires:
        readers[wire.port] = readers.get(wire.port, 0) + len(wire.targets)
    names = sorted((n for n, count in readers.items() if count), key=lambda n: -readers[n])
    return {n: (SERIES[i % len(SERIES)], DASHES[i // len(SERIES) % len(DASHES)]) for i, n in enumerate(names)}


def _lines(layout: Layout, wire: Wire, colour: str, dashes: str | None) -> Markup | None:
    """All lines of a wire as one path, so that where they run together they look like one."""
    lines = [points for w, _, points in layout.lines if w is wire]
    if not lines:
        return None
    ends = [points[-1] for points in lines]
    way = "".join(rounded([*points[:-1], (points[-1][0] - 4, points[-1][1])]) for points in lines)
    hint = tag("title", f"{wire.port} of {wire.source}, read by {', '.join(wire.targets)}")
    heads = "".join(f"M{x:g},{y:g}l-7,-3.5v7z" for x, y in ends)
    line = tag("path", hint, d=way, fill="none", stroke=colour, stroke_width=1.5, stroke_dasharray=dashes)
    return joined(line, tag("path", d=heads, fill=colour))


def _card(card: Card, x: float, y: float, looks: Mapping[str, Look]) -> Markup:
    box = card.box
    inner = box.width - 2 * SIDE
    parts = [
        tag("title", card.hint) if card.hint else None,
        tag(
            "rect",
            width=box.width,
            height=box.height,
            rx=6,
            fill=PAPER,
            stroke=card.border,
            stroke_dasharray="1.5 3" if card.faint else None,
        ),
        label(SIDE, 18, card.mark, fill=card.colour, font_weight="bold", font_size=13) if card.mark else None,
        _text(SIDE + (14 if card.mark else 0), 18, card.title, inner - (14 if card.mark else 0), bold=True),
    ]
    for number, (text, right) in enumerate(card.lines, 1):
        base = 18 + LINE * number
        parts.append(label(box.width - SIDE, base, right, anchor="end", font_size=10.5) if right else None)
        parts.append(_text(SIDE, base, text, inner - 6.2 * len(right) - (4 if right else 0)))
    for name, middle in box.ports.items():
        colour, _ = looks.get(name, UNREAD)
        parts.append(tag("circle", cx=box.width, cy=middle, r=3, fill=colour))
        parts.append(_text(box.width - SIDE, middle + 4, name, inner, anchor="end"))
    return tag("g", parts, transform=f"translate({x:g},{y:g})")


def _text(x: float, y: float, text: str, width: float, *, bold: bool = False, anchor: str = "start") -> Markup:
    size = 11.5 if bold else 10.5
    shown = cut(text, width / (size * (1.1 if bold else 1.0)))
    return label(x, y, shown, anchor=anchor, full=text, font_size=size, font_weight="bold" if bold else "normal")


def wrapped(text: str, most: int = 2) -> tuple[tuple[str, str], ...]:
    """Lines of a card for a text of several words: at least one, at most ``most``."""
    room = (CARD - 2 * SIDE) / 10.5
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if len(lines) < most and lines[-1] and cut(longer, room) != longer:
            lines.append(word)
        else:
            lines[-1] = longer
    return tuple((line, "") for line in lines)


def cut(text: str, ems: float) -> str:
    """``text``, cut with an ellipsis where it would be wider than so many times the font's size.

    Characters are taken to be as wide as in DejaVu Sans, the widest of the usual fonts.

    Examples
    --------
    >>> cut("train 269,600, eval 67,176", 15), cut("WWWWWWWWWWWWWWWWWWWWWWWWWW", 15)
    ('train 269,600, eval 67,176', 'WWWWWWWWWWWWW…')
    """
    width = 0.0
    for at, character in enumerate(text):
        width += _width(character)
        if width > ems:
            while at and width > ems - 1:
                at -= 1
                width -= _width(text[at])
            return text[:at].rstrip() + "…"
    return text


_WIDTHS = ((0.32, " ,.:;'|!ijl"), (0.41, "ftrI()[]-/"), (0.54, "_csvxyzk"), (0.98, "mwMW@%"))


def _width(character: str) -> float:
    if character > "\u2000":  # other scripts, emoji
        return 1.3
    return next((width for width, those in _WIDTHS if character in those), 0.65)


def _outlines(layout: Layout, cards: Mapping[str, Card], group: Group) -> Markup:
    """A dashed line around a group; one for each part where rows, or cards of others, part it."""
    parts: list[list[str]] = []
    for row in layout.rows:
        new = True
        for column in row:
            mine = [n for n in column if n in group.ids]
            if mine and new:
                parts.append([])
            if mine:
                parts[-1] += mine
            new = not mine
    notes = [group.note, *["continued"] * len(parts)]
    words = [f"{group.words}, {note}" if note else group.words for note in notes]
    return joined(_outline(layout, cards, ids, said) for ids, said in zip(parts, words, strict=False))


def _outline(layout: Layout, cards: Mapping[str, Card], ids: Sequence[str], words: str) -> Markup:
    left = min(layout.corners[n][0] for n in ids) - OUTLINE
    right = max(layout.corners[n][0] + cards[n].box.width for n in ids) + OUTLINE
    top = min(layout.corners[n][1] for n in ids) - OUTLINE
    bottom = max(layout.corners[n][1] + cards[n].box.height for n in ids) + OUTLINE
    line = tag(
        "rect",
        x=left,
        y=top,
        width=right - left,
        height=bottom - top,
        rx=9,
        fill="none",
        stroke=INK,
        stroke_dasharray="5 4",
    )
    return joined(line, _text(left + 4, top - 4, words, cards[ids[0]].box.width))
