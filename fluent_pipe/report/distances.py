"""How far columns of two statistics lie apart, measured as ``validate`` measures it, without TFDV.

Numbers: the Jensen-Shannon divergence over common cells. Categories: the largest difference in one value's share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fluent_pipe.components.statistics_protos import Dataset, Feature

NUMBERS = "Jensen-Shannon divergence"
CATEGORIES = "infinity norm"


def distances(before: Dataset, after: Dataset) -> Iterator[dict[str, Any]]:
    """Column, measure, distance and what chance alone makes of it, of every column that can be compared.

    Chance is what two samples of the same data, of as many rows, seldom exceed.
    """
    from fluent_pipe.components.statistics_protos import common, name_of

    others = {name_of(feature): feature for feature in before.features}
    for feature in after.features:
        other = others.get(name_of(feature))
        if other is None:
            continue
        counts = [common(side).num_non_missing for side in (other, feature)]
        kinds = {feature.WhichOneof("stats"), other.WhichOneof("stats")}
        if not all(counts) or len(kinds) > 1 or kinds - {"num_stats", "string_stats"}:
            continue
        spread = sum(1 / count for count in counts)
        numbers = kinds == {"num_stats"}
        yield {
            "column": name_of(feature),
            "measure": NUMBERS if numbers else CATEGORIES,
            "distance": of_numbers(other, feature) if numbers else of_categories(other, feature),
            "by chance": min(1.0, _of_cells(spread) if numbers else math.sqrt(spread)),
        }


def _of_cells(spread: float) -> float:
    from fluent_pipe.components.common_cells import CELLS

    return 2 * CELLS / 5.6 * spread  # twice the mean of samples of the same data; see CELLS


def of_numbers(before: Feature, after: Feature) -> float:
    """The approximate Jensen-Shannon divergence of two numeric columns, between 0 and 1.

    Source: TFDV, ``JensenShannonDivergence`` in ``anomalies/metrics.cc``; the cells are those of
    :func:`~fluent_pipe.components.common_cells.on_common_cells`.
    """
    import numpy as np

    from fluent_pipe.components.common_cells import on_common_cells

    sides = [_cells(copy) for copy in on_common_cells(before, after)]
    p, q = (np.array([side.get(cell, 0.0) for cell in sorted({*sides[0], *sides[1]})]) for side in sides)
    middle = (p + q) / 2
    divergence = sum(float((side[side > 0] * np.log2(side[side > 0] / middle[side > 0])).sum()) for side in (p, q)) / 2
    return min(max(divergence, 0.0), 1.0)


def of_categories(before: Feature, after: Feature) -> float:
    """The largest difference in one value's share, between 0 and 1; TFDV's infinity norm."""
    p, q = _shares(before), _shares(after)
    return max((abs(p.get(value, 0.0) - q.get(value, 0.0)) for value in {*p, *q}), default=0.0)


def _cells(feature: Feature) -> dict[float, float]:
    """Shares by number of the cell."""
    buckets = [b for histogram in feature.num_stats.histograms for b in histogram.buckets]
    total = sum(b.sample_count for b in buckets) or 1.0
    return {b.low_value: b.sample_count / total for b in buckets}


def _shares(feature: Feature) -> dict[str, float]:
    from fluent_pipe.components.statistics_protos import value_counts

    counts = value_counts(feature)
    total = sum(counts.values()) or 1
    return {value: count / total for value, count in counts.items()}
