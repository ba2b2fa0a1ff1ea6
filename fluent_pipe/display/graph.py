"""Graphs: boxes, what flows between them, and in which column each box stands. The places are found in ``routing``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

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
    columns = [column for column in columns if column]  # a circle may leave one empty
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
        path: dict[str, None] = {} if root in depth else {root: None}
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
