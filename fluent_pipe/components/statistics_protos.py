"""TFDV's statistics protos: what stands where in them. Loads nothing but the protos."""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

from tensorflow_metadata.proto.v0 import statistics_pb2

Dataset: TypeAlias = statistics_pb2.DatasetFeatureStatistics
Feature: TypeAlias = statistics_pb2.FeatureNameStatistics

ALL_ROWS = "All Examples"
"""Name of the dataset that no slice is: ``tensorflow_data_validation.constants.DEFAULT_SLICE_KEY``."""


def all_rows(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> Dataset:
    """The dataset of all rows, without those of slices."""
    named = [dataset for dataset in statistics.datasets if dataset.name == ALL_ROWS]
    return named[0] if named else statistics.datasets[0]


def common(feature: Feature) -> statistics_pb2.CommonStatistics:
    """Counts that every kind of column has."""
    kind = feature.WhichOneof("stats")
    return getattr(feature, kind).common_stats if kind else statistics_pb2.CommonStatistics()


def name_of(feature: Feature) -> str:
    """The column's name."""
    return ".".join(feature.path.step) or feature.name


def value_counts(feature: Feature) -> Counter[str]:
    """Rows by value of a column of categories: all values, or the most frequent where there are over a thousand."""
    return Counter({b.label: int(b.sample_count) for b in feature.string_stats.rank_histogram.buckets})
