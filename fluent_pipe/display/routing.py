"""Where the boxes and lines of a graph go: columns that wrap like words, lines that turn only between boxes.

A graph is laid out as columns from left to right, folded into rows that fit a width. What a box leaves runs to the
boxes that read it through *gaps* between columns and *lanes* between rows, each thing on a track of its own. So no
line crosses a box, no two lie on one another, and text stands in boxes only.

::

    margin | gap | box | gap | box | gap      a row
    ------------ lanes ---------------
    margin | gap | box | gap | box | gap      the next one

A wire leaves its box at the right, and turns in the gap beside it. To the next column it goes straight on; to another
it takes the lane below its row, and the gap before that column. The margin leads it past whole rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

from fluent_pipe.display.graph import Box, Columns, Layout, Point, Wire

TRACK = 5.5
"""Between two lines beside one another."""
PAD = 12.0
"""Between a box and the first track beside it: an outline fits."""
STACK = 16.0
"""Between boxes of one column."""

EDGE = 1.0
"""Between a track and the edge of the picture."""
ENTRY = 1.4 * TRACK
"""Between the places where two lines enter a box."""

Gap: TypeAlias = tuple[int, int]
"""Row, and the column right of it."""
Way: TypeAlias = Literal["out", "from above", "from below"]
Tracks: TypeAlias = dict[tuple[int, int, Wire, Way], float]
"""Where a wire runs down or up a gap: row, column, wire and way."""
Entries: TypeAlias = dict[tuple[str, Wire], float]
"""Where a wire enters a box, in pixels below the top of the row."""


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
        self.wires = wires
        self.pairs = [(w, t) for w in wires for t in w.targets]

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
        margin = [w for w in self.wires if any(self._is_far(w, t) for t in w.targets)]
        track_x, column_x, width = self._across(tracks, len(margin))
        margin_x = {w: EDGE + TRACK * i for i, w in enumerate(margin)}
        lanes, counts = self._lanes(track_x, margin_x)
        tops, height = self._down(heights, counts)

        def lane(channel: int, wire: Wire) -> float:
            return tops[channel] + heights[channel] + PAD + TRACK * lanes[channel, wire]

        def line(w: Wire, t: str) -> tuple[Point, ...]:
            (row, column), (to_row, to_column) = self.at[w.source], self.at[t]
            out = track_x[row, column + 1, w, "out"]
            y, end = tops[row] + outs[w.source, w.port], tops[to_row] + ins[t, w]
            points = [(column_x[column] + self.boxes[w.source].width, y), (out, y)]
            if self._is_next(w, t):
                points.append((out, end))
            else:
                into = track_x[to_row, to_column, w, self._way_in(w, t)]
                points.append((out, lane(row, w)))
                if self._is_far(w, t):
                    points += [(margin_x[w], lane(row, w)), (margin_x[w], lane(to_row - 1, w))]
                points += [(into, lane(max(row, to_row - 1), w)), (into, end)]
            return tuple(_corners([*points, (column_x[to_column], end)]))

        corners = {n: (column_x[c], tops[r] + inside[n]) for n, (r, c) in self.at.items()}
        lines = tuple((w, t, line(w, t)) for w, t in self.pairs)
        return Layout(width, height, corners, lines, tuple(tuple(map(tuple, row)) for row in self.rows))

    def _stack(self, column: Iterable[str]) -> float:
        return sum(self.boxes[n].height + STACK for n in column) - STACK

    def _is_next(self, wire: Wire, target: str) -> bool:
        (row, column), to = self.at[wire.source], self.at[target]
        return (row, column + 1) == to

    def _is_far(self, wire: Wire, target: str) -> bool:
        return self.at[target][0] > self.at[wire.source][0] + 1

    def _way_in(self, wire: Wire, target: str) -> Way:
        return "from above" if self.at[target][0] > self.at[wire.source][0] else "from below"

    def _entries(self, inside: Mapping[str, float], outs: Mapping[tuple[str, str], float]) -> Entries:
        """Pixels below the row's top where a wire enters a box: straight ahead where it can."""
        found: Entries = {}
        for node, top in inside.items():
            bottom = top + self.boxes[node].height
            (row, column) = self.at[node]
            mine = [w for w, t in self.pairs if t == node]
            near = sorted((w for w in mine if self._is_next(w, node)), key=lambda w: outs[w.source, w.port])
            above = [w for w in mine if self.at[w.source][0] < row]
            below = [w for w in mine if w not in near and w not in above]
            # Where others come out of the column before, and turn: nobody else may run ahead there.
            turns = [(outs[w.source, w.port], w) for w, _ in self.pairs if self.at[w.source] == (row, column - 1)]
            slots = [top + 12 + ENTRY * i for i in range(int((bottom - top - 16) // ENTRY) + 1)]
            taken: list[float] = []
            for wire in (*near, *above, *below):
                ahead = outs[wire.source, wire.port]
                if wire in near:
                    wanted = sorted(slots, key=lambda y, ahead=ahead: abs(y - ahead))  # type: ignore[misc]
                    wanted = [ahead, *wanted] if top + 8 <= ahead <= bottom - 8 else wanted
                else:
                    wanted = slots if wire in above else [bottom - (y - top) for y in slots]
                others = [y for y, w in turns if w != wire]
                y = _free([*wanted, *(top + 8 + 2 * i for i in range(int((bottom - top - 16) // 2)))], taken, others)
                found[node, wire] = y
                taken.append(y)
        return found

    def _tracks(self, outs: Mapping[tuple[str, str], float], ins: Entries) -> dict[Gap, list[tuple[Wire, Way]]]:
        """Which wires run in each gap, from left to right, so that few of them cross."""
        order: dict[Gap, dict[tuple[Wire, Way], tuple[int, float]]] = defaultdict(dict)
        for w, t in self.pairs:
            (row, column), to = self.at[w.source], self.at[t]
            order[row, column + 1][w, "out"] = (0, -outs[w.source, w.port])
            if not self._is_next(w, t):
                way = self._way_in(w, t)
                order[to][w, way] = (1, -ins[t, w]) if way == "from above" else (2, ins[t, w])
        return {gap: sorted(wanted, key=wanted.__getitem__) for gap, wanted in order.items()}

    def _across(
        self, tracks: Mapping[Gap, Sequence[tuple[Wire, Way]]], margins: int
    ) -> tuple[Tracks, list[float], float]:
        """Where each track runs and where each column begins, from left to right; and the width."""
        track_x: Tracks = {}
        column_x: list[float] = []
        last = max(map(len, self.rows))
        x = TRACK * margins + EDGE
        for c in range(last + 1):
            before, after = (PAD if c else EDGE), (PAD if c < last else EDGE)
            most = 0
            for r in range(len(self.rows)):
                used = tracks.get((r, c), ())
                most = max(most, len(used))
                for i, (wire, way) in enumerate(used):
                    # In the row above, other wires run down this gap to the same lanes: keep between their tracks.
                    shift = 0.5 if way == "from above" else 0.0
                    track_x[r, c, wire, way] = x + before + TRACK * (i + shift)
            x += before + after + TRACK * max(0, most - 0.5) if most or 0 < c < last else PAD
            column_x.append(x)
            x += max((self.boxes[n].width for row in self.rows if c < len(row) for n in row[c]), default=0.0)
        return track_x, column_x, x

    def _lanes(self, track_x: Tracks, margin_x: Mapping[Wire, float]) -> tuple[dict[tuple[int, Wire], int], list[int]]:
        """A lane of its own for each wire that runs between two rows, or one that it shares without touching."""
        spans: dict[tuple[int, Wire], list[float]] = defaultdict(list)
        for w, t in self.pairs:
            (row, column), (to_row, to_column) = self.at[w.source], self.at[t]
            if self._is_next(w, t):
                continue
            last = max(row, to_row - 1)
            spans[row, w].append(track_x[row, column + 1, w, "out"])
            spans[last, w].append(track_x[to_row, to_column, w, self._way_in(w, t)])
            if self._is_far(w, t):
                for channel in (row, last):
                    spans[channel, w].append(margin_x[w])
        lanes: dict[tuple[int, Wire], int] = {}
        counts = []
        for channel in range(len(self.rows)):
            ends: list[list[tuple[float, float]]] = []
            for (where, wire), xs in spans.items():
                if where == channel:
                    lanes[channel, wire] = _first_free(ends, (min(xs), max(xs)))
            counts.append(len(ends))
        return lanes, counts

    def _down(self, heights: Sequence[float], counts: Sequence[int]) -> tuple[list[float], float]:
        """Where each row begins, and the height."""
        tops = []
        y = 2.0
        for height, count in zip(heights, counts, strict=True):
            tops.append(y + self.head)
            y += self.head + height + PAD + TRACK * count + (4 if count else 0)
        return tops, y


def _free(wanted: Sequence[float], taken: Sequence[float], turns: Sequence[float]) -> float:
    """The first place that keeps away from others; if none does, the first that touches none."""
    for apart in (TRACK, 1.5):
        for y in wanted:
            if all(abs(y - other) > apart for other in taken) and all(abs(y - other) > 1.5 for other in turns):
                return y
    return wanted[0]


def _first_free(lanes: list[list[tuple[float, float]]], span: tuple[float, float]) -> int:
    for number, lane in enumerate(lanes):
        if all(span[1] + TRACK < low or high + TRACK < span[0] for low, high in lane):
            lane.append(span)
            return number
    lanes.append([span])
    return len(lanes) - 1


def _corners(points: Sequence[Point]) -> list[Point]:
    """Corners only: points where a line goes on straight are left out."""
    kept: list[Point] = []
    for point in points:
        if kept and kept[-1] == point:
            continue
        if len(kept) > 1 and any(kept[-2][axis] == kept[-1][axis] == point[axis] for axis in (0, 1)):
            kept.pop()
        kept.append(point)
    return kept
