"""Where the boxes and lines of a graph go: columns that wrap like words, lines that turn only between boxes.

A graph is laid out as columns from left to right, folded into rows that fit a width. What a box leaves runs to the
boxes that read it through *gaps* between columns and *lanes* between rows, each thing on a track of its own. So no
line crosses a box, no two lie on one another, and text stands in boxes only.

::

    margin | gap | box | gap | box | gap      a row
    ------------ lanes ---------------
    margin | gap | box | gap | box | gap      the next one
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

TRACK = 6.0
"""Between two lines beside one another."""
PAD = 13.0
"""Between a box and the first track beside it: an outline fits."""
STACK = 16.0
"""Between boxes of one column."""

Columns: TypeAlias = Sequence[Sequence[str]]
Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A box to be placed.

    Parameters
    ----------
    width, height
        Its size.
    ports
        Where on its right side that which it leaves comes out: pixels below its top, by name.
    """

    width: float
    height: float
    ports: Mapping[str, float]


@dataclass(frozen=True)
class Wire:
    """One thing that a box leaves, and who reads it.

    Parameters
    ----------
    source, port
        The box, and the port where it comes out.
    targets
        Boxes that read it, all in later columns.
    """

    source: str
    port: str
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """A graph with a place for all.

    Parameters
    ----------
    width, height
        Of the whole.
    corners
        Left top corner of each box.
    lines
        For each wire and target the corners of the line, from box to box.
    rows
        Columns by row.
    """

    width: float
    height: float
    corners: Mapping[str, Point]
    lines: tuple[tuple[Wire, str, tuple[Point, ...]], ...]
    rows: tuple[tuple[tuple[str, ...], ...], ...]


def in_layers(edges: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Columns in which each box stands one after the last of those it reads; in a column, those that belong together.

    Parameters
    ----------
    edges
        What each box reads. Of a circle, one edge does not count.

    Examples
    --------
    >>> in_layers({"model": ["rows", "schema"], "schema": ["rows"], "rows": []})
    [['rows'], ['schema'], ['model']]
    """
    depth = _depths(edges)
    columns: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for node in edges:
        columns[depth[node]].append(node)
    read_by: dict[str, list[str]] = defaultdict(list)
    for node, sources in edges.items():
        for source in sources:
            read_by[source].append(node)
    for _ in range(4):  # to and fro, as they say, until few lines cross
        for near, passes in ((edges, columns), (read_by, columns[::-1])):
            place = {n: i / max(1, len(c) - 1) for c in columns for i, n in enumerate(c)}
            for column in passes:
                means = {n: _mean([place[m] for m in near.get(n, ()) if m in place], place[n]) for n in column}
                column.sort(key=means.__getitem__)
                place.update({n: i / max(1, len(column) - 1) for i, n in enumerate(column)})
    return columns


def _depths(edges: Mapping[str, Collection[str]]) -> dict[str, int]:
    depth: dict[str, int] = {}
    for root in edges:
        path: dict[str, None] = {root: None}
        while path:
            node = next(reversed(path))
            below = next((s for s in edges[node] if s in edges and s not in depth and s not in path), None)
            if below is not None:
                path[below] = None
                continue
            depth[node] = 1 + max((depth.get(s, -1) for s in edges[node] if s in edges), default=-1)
            del path[node]
    return depth


def _mean(numbers: Sequence[float], otherwise: float) -> float:
    return sum(numbers) / len(numbers) if numbers else otherwise


def lay_out(
    columns: Columns,
    boxes: Mapping[str, Box],
    wires: Sequence[Wire],
    *,
    width: float,
    head: float = 0.0,
    together: Sequence[Collection[str]] = (),
) -> Layout:
    """Place boxes in rows no wider than ``width``, if they can be, and lead the lines.

    Parameters
    ----------
    head
        Room above each row, for what is written there.
    together
        Boxes that stay in one row where they fit.
    """
    wide = max((box.width for box in boxes.values()), default=0.0) + PAD
    for most in range(max(1, int(width // wide)), 0, -1):
        made = _Routing(_folded(columns, most, together), boxes, wires, head).layout()
        if made.width <= width:
            break
    return made


def _folded(columns: Columns, most: int, together: Sequence[Collection[str]]) -> list[list[list[str]]]:
    group = {node: number for number, nodes in enumerate(together) for node in nodes}
    rows: list[list[list[str]]] = [[]]
    for number, column in enumerate(columns):
        mine = group.get(column[0])
        begins = mine is not None and (number == 0 or group.get(columns[number - 1][0]) != mine)
        size = sum(group.get(c[0]) == mine for c in columns) if begins else 1
        if len(rows[-1]) + (size if size <= most else 1) > most:
            rows.append([])
        rows[-1].append(list(column))
    return rows


class _Routing:
    """One folding of a graph, with its tracks."""

    def __init__(
        self, rows: list[list[list[str]]], boxes: Mapping[str, Box], wires: Sequence[Wire], head: float
    ) -> None:
        self.rows, self.boxes, self.head = rows, boxes, head
        self.at = {n: (r, c) for r, row in enumerate(rows) for c, column in enumerate(row) for n in column}
        self.wires = [w for w in wires if w.source in self.at]
        self.pairs = [(w, t) for w in self.wires for t in w.targets if t in self.at]

    def layout(self) -> Layout:
        heights = [max((self._stack(c) for c in row), default=0.0) for row in self.rows]
        inside = {
            n: sum(self.boxes[m].height + STACK for m in column[:i])
            + ((height - self._stack(column)) / 2 if any(len(c) > 1 for c in row) else 0.0)
            for row, height in zip(self.rows, heights, strict=True)
            for column in row
            for i, n in enumerate(column)
        }
        outs = {(w.source, w.port): inside[w.source] + self.boxes[w.source].ports[w.port] for w in self.wires}
        ins = self._entries(inside, outs)
        tracks = self._tracks(outs, ins)
        margin = [w for w in self.wires if any(self._is_far(w, t) for t in w.targets if t in self.at)]
        track_x, corner_x, width = self._across(tracks, len(margin))
        margin_x = {id(w): 1 + TRACK * i for i, w in enumerate(margin)}
        lanes, counts = self._lanes(track_x, margin_x)
        tops, height = self._down(heights, counts)

        def lane(channel: int, wire: Wire) -> float:
            return tops[channel] + heights[channel] + PAD + TRACK * lanes[channel, id(wire)]

        lines = []
        for w, t in self.pairs:
            (row, column), (to_row, to_column) = self.at[w.source], self.at[t]
            x, y = corner_x[row, column] + self.boxes[w.source].width, tops[row] + outs[w.source, w.port]
            out, end = (
                track_x[row, column + 1, id(w), "out"],
                (corner_x[to_row, to_column], tops[to_row] + ins[t, id(w)]),
            )
            points: list[Point] = [(x, y), (out, y)]
            if (row, column + 1) != (to_row, to_column):
                into = track_x[to_row, to_column, id(w), "in"]
                points.append((out, lane(row, w)))
                if self._is_far(w, t):
                    points += [(margin_x[id(w)], lane(row, w)), (margin_x[id(w)], lane(to_row - 1, w))]
                points += [(into, lane(max(row, to_row - 1), w)), (into, end[1])]
            else:
                points.append((out, end[1]))
            lines.append((w, t, tuple(_without_repeats([*points, end]))))
        corners = {n: (corner_x[r, c], tops[r] + inside[n]) for n, (r, c) in self.at.items()}
        return Layout(width, height, corners, tuple(lines), tuple(tuple(map(tuple, row)) for row in self.rows))

    def _stack(self, column: Iterable[str]) -> float:
        return sum(self.boxes[n].height + STACK for n in column) - STACK

    def _is_next(self, wire: Wire, target: str) -> bool:
        (row, column), to = self.at[wire.source], self.at[target]
        return (row, column + 1) == to

    def _is_far(self, wire: Wire, target: str) -> bool:
        return self.at[target][0] > self.at[wire.source][0] + 1

    def _entries(
        self, inside: Mapping[str, float], outs: Mapping[tuple[str, str], float]
    ) -> dict[tuple[str, int], float]:
        """Pixels below the row's top where a wire enters a box: straight ahead where it can."""
        found: dict[tuple[str, int], float] = {}
        for node, top in inside.items():
            bottom = top + self.boxes[node].height
            mine = [w for w, t in self.pairs if t == node]
            taken: list[float] = []

            def free(places: Iterable[float], taken: list[float] = taken) -> float:
                options = list(places)
                good = (y for y in options if all(abs(y - other) > TRACK for other in taken))
                return next(good, options[0])

            near = [w for w in mine if self._is_next(w, node)]
            above = [w for w in mine if self.at[w.source][0] < self.at[node][0]]
            down = [top + 12 + TRACK * 1.3 * i for i in range(int((bottom - top - 16) // (TRACK * 1.3)) + 1)]
            for wire in sorted(near, key=lambda w: outs[w.source, w.port]):
                ahead = outs[wire.source, wire.port]
                fits = top + 8 <= ahead <= bottom - 8
                found[node, id(wire)] = free([ahead, *down] if fits else sorted(down, key=lambda y: abs(y - ahead)))
                taken.append(found[node, id(wire)])
            for wire in above:
                found[node, id(wire)] = free(down)
                taken.append(found[node, id(wire)])
            for wire in mine:
                if (node, id(wire)) not in found:
                    found[node, id(wire)] = free([bottom - (y - top) for y in down])
                    taken.append(found[node, id(wire)])
        return found

    def _tracks(
        self, outs: Mapping[tuple[str, str], float], ins: Mapping[tuple[str, int], float]
    ) -> dict[tuple[int, int], list[tuple[int, str]]]:
        """Which wires run in each gap, from left to right, so that few of them cross."""
        order: dict[tuple[int, int], dict[tuple[int, str], tuple[float, float]]] = defaultdict(dict)
        for w, t in self.pairs:
            (row, column), (to_row, to_column) = self.at[w.source], self.at[t]
            order[row, column + 1][id(w), "out"] = (0, -outs[w.source, w.port])
            if not self._is_next(w, t):
                y = ins[t, id(w)]
                order[to_row, to_column][id(w), "in"] = (1, -y) if to_row > row else (2, y)
        return {gap: sorted(wanted, key=wanted.__getitem__) for gap, wanted in order.items()}

    def _across(
        self, tracks: Mapping[tuple[int, int], Sequence[tuple[int, str]]], margins: int
    ) -> tuple[dict[tuple[int, int, int, str], float], dict[tuple[int, int], float], float]:
        """From left to right: where each track runs, where each column begins, and the width. Columns are aligned."""
        track_x: dict[tuple[int, int, int, str], float] = {}
        corner_x: dict[tuple[int, int], float] = {}
        x = TRACK * margins + 1
        last = max(map(len, self.rows))
        for c in range(last + 1):
            before, after = (PAD if c else 1.0), (PAD if c < last else 1.0)
            most = 0
            for r in range(len(self.rows)):
                used = tracks.get((r, c), ())
                most = max(most, len(used))
                track_x.update({(r, c, wire, way): x + before + TRACK * i for i, (wire, way) in enumerate(used)})
            x += before + after + TRACK * max(0, most - 1) if most or 0 < c < last else PAD
            column = [n for row in self.rows if c < len(row) for n in row[c]]
            corner_x.update({(r, c): x for r in range(len(self.rows))})
            x += max((self.boxes[n].width for n in column), default=0.0)
        return track_x, corner_x, x

    def _lanes(
        self, track_x: Mapping[tuple[int, int, int, str], float], margin_x: Mapping[int, float]
    ) -> tuple[dict[tuple[int, int], int], list[int]]:
        """A lane of its own for each wire that runs between two rows, or one that it shares without touching."""
        spans: dict[tuple[int, int], list[float]] = defaultdict(list)
        for w, t in self.pairs:
            (row, column), (to_row, to_column) = self.at[w.source], self.at[t]
            if self._is_next(w, t):
                continue
            last = max(row, to_row - 1)
            spans[row, id(w)].append(track_x[row, column + 1, id(w), "out"])
            spans[last, id(w)].append(track_x[to_row, to_column, id(w), "in"])
            if self._is_far(w, t):
                spans[row, id(w)].append(margin_x[id(w)])
                spans[last, id(w)].append(margin_x[id(w)])
        lanes: dict[tuple[int, int], int] = {}
        counts = []
        for channel in range(len(self.rows)):
            ends: list[list[tuple[float, float]]] = []
            for (where, wire), xs in spans.items():
                if where == channel:
                    lanes[channel, wire] = _first_free(ends, (min(xs), max(xs)))
            counts.append(len(ends))
        return lanes, counts

    def _down(self, heights: Sequence[float], counts: Sequence[int]) -> tuple[list[float], float]:
        tops = []
        y = 2.0
        for height, count in zip(heights, counts, strict=True):
            tops.append(y + self.head)
            y += self.head + height + PAD + TRACK * count + (4 if count else 0)
        return tops, y


def _first_free(lanes: list[list[tuple[float, float]]], span: tuple[float, float]) -> int:
    for number, lane in enumerate(lanes):
        if all(span[1] + TRACK < low or high + TRACK < span[0] for low, high in lane):
            lane.append(span)
            return number
    lanes.append([span])
    return len(lanes) - 1


def _without_repeats(points: Sequence[Point]) -> list[Point]:
    """Corners only: points where a line goes on straight are left out."""
    kept: list[Point] = []
    for point in points:
        if kept and kept[-1] == point:
            continue
        if len(kept) > 1 and any(kept[-2][axis] == kept[-1][axis] == point[axis] for axis in (0, 1)):
            kept.pop()
        kept.append(point)
    return kept


def rounded(points: Sequence[Point], radius: float = 5.0) -> str:
    """The ``d`` of a path through corners, rounded."""
    x, y = points[0]
    parts = [f"M{x:g},{y:g}"]
    for before, at, after in zip(points, points[1:], points[2:], strict=False):
        most = min(radius, _length(before, at) / 2, _length(at, after) / 2)
        a, b = _towards(at, before, most), _towards(at, after, most)
        parts.append(f"L{a[0]:g},{a[1]:g}Q{at[0]:g},{at[1]:g} {b[0]:g},{b[1]:g}")
    x, y = points[-1]
    return "".join([*parts, f"L{x:g},{y:g}"])


def _length(a: Point, b: Point) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _towards(at: Point, other: Point, distance: float) -> Point:
    whole = _length(at, other) or 1.0
    return (at[0] + (other[0] - at[0]) * distance / whole, at[1] + (other[1] - at[1]) * distance / whole)
