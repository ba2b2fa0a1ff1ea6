"""TFDV's statistics protos: read, and added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import statistics_pb2

from fluent_pipe.components.inputs import StatisticsInput
from fluent_pipe.components.statistics_protos import Dataset, Feature, common, name_of, value_counts


def split_names(statistics: StatisticsInput) -> list[str]:
    """Splits that the statistics are of."""
    if statistics.live is not None:
        return list(statistics.live)
    return sorted(folder.name.removeprefix("Split-") for folder in statistics.value.path.glob("Split-*"))


def load(folder: Path, split: str) -> statistics_pb2.DatasetFeatureStatisticsList | None:
    """Statistics of one split of an artifact's folder; None if it has no such split."""
    file = folder / f"Split-{split}" / "FeatureStats.pb"
    return tfdv.load_stats_binary(str(file)) if file.is_file() else None


def together(datasets: Sequence[Dataset]) -> statistics_pb2.DatasetFeatureStatisticsList:
    """What schema inference reads of the statistics of all rows of several splits.

    Counts are added, extremes and distinct values joined. Means, quantiles and numeric histograms are the first
    split's: inference does not look at them, and they must not be read from the result.
    """
    total = Dataset(num_examples=sum(dataset.num_examples for dataset in datasets))
    by_name: dict[str, list[tuple[Feature, int]]] = {}
    for dataset in datasets:
        for feature in dataset.features:
            by_name.setdefault(name_of(feature), []).append((feature, dataset.num_examples))
    for parts in by_name.values():
        # A split where the column is empty says nothing about its type.
        telling = [feature for feature, _ in parts if common(feature).num_non_missing] or [parts[0][0]]
        total.features.add().CopyFrom(telling[0])
        merged = total.features[-1]
        counts = common(merged)
        counts.num_non_missing = sum(common(feature).num_non_missing for feature in telling)
        counts.num_missing = total.num_examples - counts.num_non_missing
        counts.tot_num_values = sum(common(feature).tot_num_values for feature in telling)
        counts.min_num_values = min(common(feature).min_num_values for feature in telling)
        counts.max_num_values = max(common(feature).max_num_values for feature in telling)
        if merged.HasField("num_stats"):
            merged.num_stats.min = min(feature.num_stats.min for feature in telling)
            merged.num_stats.max = max(feature.num_stats.max for feature in telling)
        if merged.HasField("string_stats"):
            _join_values(merged.string_stats, [feature for feature in telling if feature.HasField("string_stats")])
    return statistics_pb2.DatasetFeatureStatisticsList(datasets=[total])


def _join_values(merged: statistics_pb2.StringStatistics, parts: Sequence[Feature]) -> None:
    counts = sum((value_counts(feature) for feature in parts), Counter[str]())
    merged.unique = max(len(counts), *(feature.string_stats.unique for feature in parts), 0)
    merged.invalid_utf8_count = sum(feature.string_stats.invalid_utf8_count for feature in parts)
    del merged.rank_histogram.buckets[:]
    for rank, (value, count) in enumerate(counts.most_common()):
        merged.rank_histogram.buckets.add(low_rank=rank, high_rank=rank, label=value, sample_count=count)
