"""How a feature's values are distributed in several splits, read from TFDV's statistics and put on common cells."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

CELLS = 32
FAR = 2.0
"""What lies further from the middle 80% of the values than this many times its width is not drawn."""
VALUES = 5


@dataclass(frozen=True)
class Cells:
    """Shares of each split's values in cells of equal width.

    Parameters
    ----------
    low, high
        What is drawn.
    shares
        By split, by cell; of all finite values of the split.
    below, above
        Greatest share of a split outside of what is drawn.
    least, greatest
        Of all values.
    whole
        Whether they are whole numbers.
    """

    low: float
    high: float
    shares: tuple[tuple[float, ...], ...]
    below: float
    above: float
    least: float
    greatest: float
    whole: bool


@dataclass(frozen=True)
class Values:
    """The most frequent values of a feature of categories.

    Parameters
    ----------
    shares
        By value, by split, the most frequent first; of all values of the split.
    distinct
        How many values there are, in the split that has most.
    """

    shares: tuple[tuple[str, tuple[float, ...]], ...]
    distinct: int


def common(feature: Any) -> Any:
    """TFDV's counts that every kind of feature has; None for a feature that a split does not have."""
    kind = feature.WhichOneof("stats") if feature is not None else None
    return getattr(feature, kind).common_stats if kind else None


def name_of(feature: Any) -> str:
    """The feature's name."""
    return ".".join(feature.path.step) or str(feature.name)


def cells(features: Sequence[Any], count: int = CELLS) -> Cells | None:
    """Histograms of one numeric feature in several splits, on common cells.

    TFDV's buckets are equal in width between a split's own least and greatest value, so that they differ between splits
    and one outlier makes them all wide. Here its buckets and its quantiles together tell the share of values up to a
    point, and all splits are cut at the same points: between whole numbers, if that is what the feature holds.

    Parameters
    ----------
    features
        The feature's statistics by split; None where a split does not have it.
    count
        Cells at most.
    """
    with_numbers = [f for f in features if f is not None and f.WhichOneof("stats") == "num_stats"]
    whole = all(f.type == f.INT for f in with_numbers)
    sums = {id(f): Cumulated.of(f.num_stats.histograms, whole=whole) for f in with_numbers}
    known = [s for s in sums.values() if s is not None]
    if not known:
        return None
    least, greatest = min(s.points[0] for s in known), max(s.points[-1] for s in known)
    low, high = _seen(known)
    edges = _edges(low, high, count, whole=whole)
    shares = [_shares(sums.get(id(f)), edges, first=low == least) for f in features]
    return Cells(
        edges[0],
        edges[-1],
        tuple(shares),
        below=0.0 if low == least else max(s.up_to(low) for s in known),
        above=0.0 if edges[-1] >= greatest else max(1 - s.up_to(edges[-1]) for s in known),
        least=math.ceil(least) if whole else least,
        greatest=math.floor(greatest) if whole else greatest,
        whole=whole,
    )


@dataclass(frozen=True)
class Cumulated:
    """Share of a split's finite values up to a point: known at ``points``, and taken as linear between them."""

    points: tuple[float, ...]
    shares: tuple[float, ...]

    @classmethod
    def of(cls, histograms: Iterable[Any], *, whole: bool) -> Cumulated | None:
        """What histograms over the same values tell together; None if they hold no finite value."""
        counts: set[tuple[float, float]] = set()
        negative = math.inf
        for histogram in histograms:
            buckets = histogram.buckets
            if buckets:
                # A bucket that begins at minus infinity may hold finite values too: the smaller one tells better.
                negative = min(negative, sum(b.sample_count for b in buckets if b.low_value == -math.inf))
            counts.update(_counts(buckets, whole=whole))
        if not counts or not (every := max(count for _, count in counts) - negative) > 0:
            return None
        points, totals = zip(*sorted(counts), strict=True)
        shares, reached = [], 0.0
        for total in totals:  # two histograms of the same values differ by the little that their sketch is off
            reached = max(reached, (total - negative) / every)
            shares.append(reached)
        return cls(points, tuple(shares))

    def up_to(self, point: float) -> float:
        """Share of values that are not above ``point``."""
        after = bisect_right(self.points, point)
        if after == 0:
            return 0.0
        if after == len(self.points):
            return 1.0
        (left, right), (less, more) = self.points[after - 1 : after + 1], self.shares[after - 1 : after + 1]
        return less + (more - less) * (point - left) / (right - left)


def _counts(buckets: Sequence[Any], *, whole: bool) -> Iterable[tuple[float, float]]:
    """Points and counts of values up to them. A bucket holds its upper edge and, but for the first, not its lower."""
    total = 0.0
    ends: dict[float, float] = {}
    for bucket in buckets:
        low, high = bucket.low_value, bucket.high_value
        if not ends and math.isfinite(low):
            yield math.ceil(low) - 0.5 if whole else low, total
        total += bucket.sample_count
        if math.isfinite(high):
            # Of buckets that end together the last: TFDV spreads the values at their end over all of them.
            ends[math.floor(high) + 0.5 if whole else high] = total
    yield from ends.items()


def _seen(known: Sequence[Cumulated]) -> tuple[float, float]:
    """From where to where to draw: all, or without what is far out; then between points whose share is known."""
    least, greatest = min(s.points[0] for s in known), max(s.points[-1] for s in known)
    # A little over 10% and under 90%, since TFDV's sketch is off by a little.
    first = min(max(p for p, share in zip(s.points, s.shares, strict=True) if share <= 0.11) for s in known)
    last = max(min(p for p, share in zip(s.points, s.shares, strict=True) if share >= 0.89) for s in known)
    far = FAR * (last - first)
    if not 0 < far < math.inf:
        return least, greatest
    points = sorted({p for s in known for p in s.points})
    low = min(p for p in points if p >= first - far)
    high = max(p for p in points if p <= last + far)
    # A little that is left out would save no room.
    return low if low - least > last - first else least, high if greatest - high > last - first else greatest


def _edges(low: float, high: float, count: int, *, whole: bool) -> list[float]:
    if not high > low:
        return [low, high]
    if whole:
        width = math.ceil((high - low) / count)
        return [low + i * width for i in range(math.ceil((high - low) / width) + 1)]
    return [low + (high - low) * (i / count) for i in range(count)] + [high]


def _shares(known: Cumulated | None, edges: Sequence[float], *, first: bool) -> tuple[float, ...]:
    if known is None:
        return (0.0,) * (len(edges) - 1)
    reached = [known.up_to(edge) for edge in edges]
    reached[0] = 0.0 if first else reached[0]  # the first cell holds its lower edge too
    return tuple(max(0.0, high - low) for low, high in pairwise(reached))


def values(features: Sequence[Any], count: int = VALUES) -> Values | None:
    """The most frequent values of one feature of categories in several splits; None if there are none.

    Parameters
    ----------
    features
        The feature's statistics by split; None where a split does not have it.
    count
        Values at most.
    """
    counted = [_value_shares(f) for f in features]
    sums: dict[str, float] = {}
    for shares in counted:
        for value, share in shares.items():
            sums[value] = sums.get(value, 0.0) + share
    if not sums:
        return None
    top = sorted(sums, key=lambda value: (-sums[value], value))[:count]
    distinct = max(f.string_stats.unique for f in features if f is not None)
    return Values(tuple((v, tuple(s.get(v, 0.0) for s in counted)) for v in top), max(distinct, len(top)))


def _value_shares(feature: Any) -> dict[str, float]:
    if feature is None or feature.WhichOneof("stats") != "string_stats":
        return {}
    stats = feature.string_stats
    counts = {b.label: b.sample_count for b in stats.rank_histogram.buckets}
    counts = counts or {v.value: v.frequency for v in stats.top_values}
    every = stats.common_stats.tot_num_values or stats.common_stats.num_non_missing or sum(counts.values())
    return {value: count / every for value, count in counts.items()} if every else {}
