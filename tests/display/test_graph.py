"""Graphs: boxes in columns that wrap, lines that cross no box and never lie on one another."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from fluent_pipe.display.cards import CARD, Card, Group, cut, draw_cards
from fluent_pipe.display.graph import Box, Layout, Wire, in_layers, rounded
from fluent_pipe.display.routing import lay_out

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}",
    "bell\x07",
    "\N{RIGHT-TO-LEFT OVERRIDE}txt.exe",
    "🎉 party",
    "x" * 300,
    "",
]


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    """What each box reads, of boxes before it."""
    count = draw(st.integers(0, 14))
    names = [f"n{i}" for i in range(count)]
    return {
        name: draw(st.lists(st.sampled_from(names[:i]), max_size=4, unique=True)) if i else []
        for i, name in enumerate(names)
    }


def laid_out(reads: dict[str, list[str]], *, in_turn: bool, width: float = 900) -> Layout:
    boxes = {n: Box(150, 60 + 10 * len(reads[n]), {"a": 20, "b": 34}) for n in reads}
    wires = []
    for node in reads:
        readers = [n for n, sources in reads.items() if node in sources]
        wires += [Wire(node, "a", tuple(readers[::2])), Wire(node, "b", tuple(readers[1::2]))]
    columns = [[n] for n in reads] if in_turn else in_layers(reads)
    return lay_out(columns, boxes, wires, width=width)


@given(graphs(), st.booleans())
def test_no_line_crosses_a_box_and_no_two_things_share_a_track(reads: dict[str, list[str]], in_turn: bool) -> None:
    layout = laid_out(reads, in_turn=in_turn)
    assert sum(len(column) for row in layout.rows for column in row) == len(reads)
    assert len(layout.lines) == sum(map(len, reads.values()))
    pieces = [(wire, a, b) for wire, _, points in layout.lines for a, b in pairwise(points)]
    for wire, a, b in pieces:
        assert a[0] == b[0] or a[1] == b[1]
        assert all(0 <= x <= layout.width and 0 <= y <= layout.height for x, y in (a, b))
        for node, (x, y) in layout.corners.items():
            height = 60 + 10 * len(reads[node])
            assert not (
                max(min(a[0], b[0]), x) < min(max(a[0], b[0]), x + 150)
                and max(min(a[1], b[1]), y + 1) <= min(max(a[1], b[1]), y + height - 1)
            ), f"{wire} crosses {node}"
    for (wire, a, b), (other, c, d) in combinations(pieces, 2):
        for axis in (0, 1):
            if wire is not other and a[axis] == b[axis] == c[axis] == d[axis]:
                mine, theirs = sorted((a[1 - axis], b[1 - axis])), sorted((c[1 - axis], d[1 - axis]))
                assert mine[1] <= theirs[0] or theirs[1] <= mine[0], f"{wire} lies on {other}"


@given(graphs())
def test_a_box_stands_after_all_that_it_reads(reads: dict[str, list[str]]) -> None:
    column = {n: i for i, names in enumerate(in_layers(reads)) for n in names}
    assert all(column[s] < column[n] for n, sources in reads.items() for s in sources)


def test_a_circle_is_drawn_too() -> None:
    assert sorted(map(sorted, in_layers({"a": ["b"], "b": ["a"], "c": ["a"]}))) == [["a"], ["b"], ["c"]]


def test_rows_wrap_within_the_width_and_keep_groups_in_one_row() -> None:
    columns = [[f"n{i}"] for i in range(9)]
    boxes = {c[0]: Box(150, 50, {}) for c in columns}
    layout = lay_out(columns, boxes, [], width=900, together=[["n0", "n1"], ["n2", "n3", "n4", "n5"]])
    assert [[c[0] for c in row] for row in layout.rows] == [
        ["n0", "n1"],
        ["n2", "n3", "n4", "n5", "n6"],
        ["n7", "n8"],
    ]
    assert layout.width <= 900


def test_corners_are_round_and_never_wider_than_the_line() -> None:
    assert rounded([(0, 0), (10, 0), (10, 4), (30, 4)]) == "M0,0L8,0Q10,0 10,2L10,2Q10,4 12,4L30,4"


def test_hostile_names_are_text() -> None:
    cards = [
        Card(id=f"{i} {name}", title=name, mark="✓", lines=((name, name[:9]),), leaves=(name,), hint=name)
        for i, name in enumerate(HOSTILE)
    ]
    chart = draw_cards(cards, [[c.id] for c in cards], groups=[Group({cards[0].id}, HOSTILE[0])], name=HOSTILE[1])
    svg = chart.svg()
    assert "<script" not in svg
    assert "<img" not in svg
    assert "\x07" not in svg
    assert max(len(cut(name, CARD / 11)) for name in HOSTILE) < 40


def test_nothing_and_one_box_are_drawn() -> None:
    assert draw_cards([], [], name="nothing").svg().count("<rect") == 0
    assert draw_cards([Card(id="a", title="a")], [["a"]], name="one").svg().count("<rect") == 1
