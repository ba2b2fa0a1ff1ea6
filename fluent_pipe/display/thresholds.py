"""What a binary model does at each threshold: numbers behind curves, matrices and the slider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any


@dataclass(frozen=True)
class AtThreshold:
    """Weighted counts of those above and below a threshold: predictions greater than it are positive.

    Examples
    --------
    >>> one = AtThreshold(0.5, tp=30, fp=10, tn=50, fn=10)
    >>> one.precision, one.recall, one.accuracy
    (0.75, 0.75, 0.8)
    """

    threshold: float
    tp: float
    fp: float
    tn: float
    fn: float

    @property
    def total(self) -> float:
        """All rows."""
        return self.tp + self.fp + self.tn + self.fn

    @property
    def precision(self) -> float | None:
        """Share of true positives among those predicted positive; None where there are none."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        """Share of the positives that are found: the true positive rate."""
        return _share(self.tp, self.tp + self.fn)

    @property
    def false_positive_rate(self) -> float | None:
        """Share of the negatives that are taken for positives."""
        return _share(self.fp, self.fp + self.tn)

    @property
    def accuracy(self) -> float | None:
        """Share that is right."""
        return _share(self.tp + self.tn, self.total)

    def row(self) -> dict[str, Any]:
        """Everything by name."""
        return {
            "threshold": self.threshold, "tp": self.tp, "fp": self.fp, "tn": self.tn, "fn": self.fn,
            "precision": self.precision, "recall": self.recall, "false_positive_rate": self.false_positive_rate,
            "accuracy": self.accuracy,
        }  # fmt: skip


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def thresholds(binary: Mapping[str, Sequence[float]]) -> list[AtThreshold]:
    """The ``binary`` part of ``curves.json``, in order."""
    columns = (binary[name] for name in ("thresholds", "tp", "fp", "tn", "fn"))
    return [AtThreshold(*(float(v) for v in row)) for row in zip(*columns, strict=True)]


def nearest(found: Sequence[AtThreshold], threshold: float) -> AtThreshold:
    """The one that is nearest to a threshold."""
    return min(found, key=lambda one: abs(one.threshold - threshold))


def stops(found: Sequence[AtThreshold], count: int = 101) -> list[AtThreshold]:
    """Up to ``count`` of them, evenly over 0 to 1, each once and in order."""
    if len(found) <= count:
        return list(found)
    chosen = (nearest(found, i / (count - 1)) for i in range(count))
    return list(dict.fromkeys(chosen))


def area_below(points: Sequence[tuple[float, float]]) -> float:
    """Area under a line, by trapezoids.

    Examples
    --------
    >>> area_below([(0, 0), (0.5, 1), (1, 1)])
    0.75
    """
    return sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairwise(sorted(points)))
