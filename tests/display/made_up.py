"""Small statistics, as TFDV makes them of a few values, without TFDV; and names that nobody should have given."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean, median, pstdev
from typing import Any
from xml.etree import ElementTree as ET

from tensorflow_metadata.proto.v0 import statistics_pb2

Feature = statistics_pb2.FeatureNameStatistics
Histogram = statistics_pb2.Histogram

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}",
    "bell\x07, line\nand escape\x1b[31m",
    "right to left \u202e gnitirw",
    "🛫 flight",
    "a" * 300,
    "",
)


def is_safe(html: str) -> bool:
    """Whether none of the hostile names became markup."""
    return not any(bad in html for bad in ("<script", "<img src=x", "\x07", "\x1b"))


def numeric(
    name: str, values: Sequence[float | None], *, whole: bool = False, nans: int = 0, buckets: int = 100
) -> Any:
    """Statistics of a column of numbers; None is missing."""
    there = sorted(v for v in values if v is not None)
    feature = Feature(type=Feature.INT if whole else Feature.FLOAT)
    feature.path.step.append(name)
    stats = feature.num_stats
    _count(stats.common_stats, values, nans)
    for kind in (Histogram.STANDARD, Histogram.QUANTILES):
        histogram = stats.histograms.add(type=kind, num_nan=nans)
        edges = _equal(there, buckets) if kind == Histogram.STANDARD else _quantiles(there)
        below = 0
        for low, high in edges:
            upto = sum(v <= high for v in there)
            histogram.buckets.add(low_value=low, high_value=high, sample_count=upto - below)
            below = upto
    if there:
        stats.mean, stats.std_dev, stats.median = fmean(there), pstdev(there), median(there)
        stats.min, stats.max, stats.num_zeros = there[0], there[-1], there.count(0)
    return feature


def _equal(there: Sequence[float], count: int) -> list[tuple[float, float]]:
    if not there:
        return []
    low, high = there[0], there[-1]
    edges = [low + (high - low) * i / count for i in range(count)] + [high]
    return list(pairwise(edges)) if high > low else [(low, high)]


def _quantiles(there: Sequence[float]) -> list[tuple[float, float]]:
    edges = [there[min(len(there) * i // 10, len(there) - 1)] for i in range(11)] if there else []
    return list(pairwise(edges))


def strings(name: str, values: Sequence[str | None]) -> Any:
    """Statistics of a column of text; None is missing."""
    feature = Feature(type=Feature.STRING)
    feature.path.step.append(name)
    stats = feature.string_stats
    _count(stats.common_stats, values, 0)
    counts = Counter(v for v in values if v is not None)
    stats.unique = len(counts)
    for rank, (value, count) in enumerate(counts.most_common()):
        stats.top_values.add(value=value, frequency=count)
        stats.rank_histogram.buckets.add(low_rank=rank, high_rank=rank, label=value, sample_count=count)
    return feature


def _count(common: Any, values: Sequence[Any], nans: int) -> None:
    there = sum(v is not None for v in values) + nans
    common.num_missing = len(values) + nans - there
    common.num_non_missing = common.tot_num_values = there


def statistics(rows: int, *features: Any, slices: Mapping[str, Sequence[Any]] | None = None) -> Any:
    """Statistics of one split; those of slices as ``generate_statistics(slices=)`` leaves them."""
    made = statistics_pb2.DatasetFeatureStatisticsList()
    made.datasets.add(name="All Examples" if slices else "", num_examples=rows, features=features)
    for name, own in (slices or {}).items():
        made.datasets.add(name=name, num_examples=1, features=own)
    return made


def anomaly(column: str | None, words: str = "Unexpected string values", **more: Any) -> dict[str, Any]:
    """An anomaly, as ``anomalies.json`` has it."""
    plain = {"split": "train", "detail": "Values missing from the schema: ZZ.", "count": 3, "severity": "ERROR"}
    return {"column": column, "anomaly": words, **plain, **more}


def distance(column: str, value: float, threshold: float, **more: Any) -> dict[str, Any]:
    """A drift, as ``anomalies.json`` has it."""
    plain = {"split": "train", "kind": "drift", "measure": "jensen_shannon_divergence"}
    return {"column": column, "value": value, "threshold": threshold, **plain, **more}


def found(*anomalies: Any, drift: Sequence[Any] = (), notes: Sequence[str] = ()) -> dict[str, Any]:
    """What ``anomalies.json`` holds."""
    return {
        "anomalies": list(anomalies),
        "drift": list(drift),
        "notes": list(notes),
        "baseline": None,
        "passed": not anomalies,
    }


def is_drawn_well(html: str) -> bool:
    """Whether markup can be parsed, each tag closed, and none of the hostile names became markup."""
    text = html.replace("<br>", "<br/>")
    text = re.sub(r"<(img|meta)([^>]*)>", r"<\1\2/>", text)
    ET.fromstring(f"<div>{text}</div>")
    return is_safe(html)
