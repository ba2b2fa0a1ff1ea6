"""Statistics of several splits side by side, in words and numbers: what pictures and text both show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fluent_pipe.display.charts import short
from fluent_pipe.display.distributions import Cells, Values, cells, common, name_of, values
from fluent_pipe.display.text import share_in_words

SPLITS = 6
"""Splits that are shown: as many as there are colours."""
MUCH = 0.2
"""Share of missing values that is marked."""


@dataclass(frozen=True)
class Overview:
    """Statistics of all rows of each split, side by side.

    Parameters
    ----------
    splits
        Rows by split, the largest first.
    features
        Statistics by feature, by split; None where a split does not have the feature. In the order of the data.
    slices
        Parts of the rows that have statistics of their own, in the split that has most.
    """

    splits: Mapping[str, int]
    features: Mapping[str, tuple[Any | None, ...]]
    slices: int

    @classmethod
    def of(cls, statistics: Mapping[str, Any]) -> Overview:
        """From a ``DatasetFeatureStatisticsList`` a split."""
        whole = {split: all_rows(statistics[split]) for split in sorted(statistics)}
        order = sorted(whole, key=lambda split: -whole[split].num_examples)
        by_name = [{name_of(f): f for f in whole[split].features} for split in order]
        names = dict.fromkeys(name for features in by_name for name in features)
        return cls(
            {split: int(whole[split].num_examples) for split in order},
            {name: tuple(features.get(name) for features in by_name) for name in names},
            max((len(each.datasets) - 1 for each in statistics.values()), default=0),
        )

    def several(self) -> bool:
        """Whether there is more than one split."""
        return len(self.splits) > 1


def all_rows(statistics: Any) -> Any:
    """The dataset of all rows, without those of slices."""
    named = [dataset for dataset in statistics.datasets if dataset.name == "All Examples"]  # as TFDV calls it
    return (named or list(statistics.datasets))[0]


def distribution(features: Sequence[Any | None]) -> Cells | Values | str:
    """What the values look like: histograms, the most frequent ones, or words where there is nothing to draw."""
    counts = [common(f) for f in features]
    if not any(c is not None and c.num_non_missing for c in counts):
        return "no values"
    numbers = cells(features)
    if numbers is not None:
        return f"always {short(numbers.least)}" if numbers.least == numbers.greatest else numbers
    if any(f is not None and f.WhichOneof("stats") == "num_stats" for f in features):
        return "no finite values"
    strings = values(features)
    if strings is None:
        return ""
    return f"always {strings.shares[0][0] or '(empty)'}" if strings.distinct == 1 else strings


def kind_of(features: Sequence[Any | None]) -> str:
    """TFDV's type, or types where splits differ."""
    return " or ".join(dict.fromkeys(f.Type.Name(f.type) for f in features if f is not None))


def notes(view: Overview, shown: int) -> Iterator[str]:
    """What is not in the table, in sentences."""
    if (more := len(view.features) - shown) > 0:
        yield f"And {more:,} more features: to_frame() has them all."
    if (more := len(view.splits) - SPLITS) > 0:
        yield f"And {more:,} more splits: to_frame() has them all."
    if view.slices > 0:
        yield f"Of all rows; statistics of {view.slices:,} slices are in proto(split).datasets too."


def missing_share(feature: Any) -> float:
    """Share of rows without a value."""
    counts = common(feature)
    rows = counts.num_non_missing + counts.num_missing if counts else 0
    return counts.num_missing / rows if rows else 0.0


def nan_share(feature: Any) -> float:
    """Share of values that are not a number."""
    nans = max((h.num_nan for h in feature.num_stats.histograms), default=0.0)
    return nans / _values(feature) if nans else 0.0


def _values(feature: Any) -> float:
    counts = common(feature)
    return float(counts.tot_num_values or counts.num_non_missing or 1)


def _missing(feature: Any) -> str:
    nans = nan_share(feature)
    return share_in_words(missing_share(feature)) + (f", NaN {share_in_words(nans)}" if nans else "")


def _zeros(feature: Any) -> str:
    return share_in_words(feature.num_stats.num_zeros / _values(feature)) if _has_numbers(feature) else ""


def _number(feature: Any, name: str) -> str:
    return short(getattr(feature.num_stats, name)) if _has_numbers(feature) else ""


def _has_numbers(feature: Any) -> bool:
    return bool(feature.HasField("num_stats") and common(feature).num_non_missing and nan_share(feature) < 1)


NUMBERS: Mapping[str, Callable[[Any], str]] = {
    "missing": lambda f: _missing(f),
    "distinct": lambda f: f"{f.string_stats.unique:,}" if f.HasField("string_stats") else "",
    "mean": lambda f: _number(f, "mean"),
    "std": lambda f: _number(f, "std_dev"),
    "zeros": lambda f: _zeros(f),
    "min": lambda f: _number(f, "min"),
    "median": lambda f: _number(f, "median"),
    "max": lambda f: _number(f, "max"),
}
