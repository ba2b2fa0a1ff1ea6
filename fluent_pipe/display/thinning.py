"""Lines of thousands of points, drawn with the few that a person can tell apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]


def thinned(points: Sequence[Point], tolerance: float = 0.3) -> list[Point]:
    """The points that keep a line within ``tolerance`` pixels of where it was (Douglas and Peucker, 1973).

    Examples
    --------
    >>> thinned([(0, 0), (1, 0.1), (2, 0), (3, 5), (4, 5), (5, 5)])
    [(0, 0), (2, 0), (3, 5), (5, 5)]
    """
    if len(points) < 3:
        return list(points)
    kept = {0, len(points) - 1}
    waiting = [(0, len(points) - 1)]
    while waiting:
        first, last = waiting.pop()
        far, distance = first, tolerance
        for i in range(first + 1, last):
            if (off := _distance(points[i], points[first], points[last])) > distance:
                far, distance = i, off
        if far != first:
            kept.add(far)
            waiting += [(first, far), (far, last)]
    return [points[i] for i in sorted(kept)]


def _distance(point: Point, start: Point, end: Point) -> float:
    """From a point to the stretch between two others."""
    (x, y), (x0, y0), (x1, y1) = point, start, end
    length = (x1 - x0) ** 2 + (y1 - y0) ** 2
    along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length if length else 0.0
    along = min(max(along, 0.0), 1.0)
    return math.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0))
