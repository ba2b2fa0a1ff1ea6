"""Statistics for a terminal: aligned numbers, and histograms of block characters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from fluent_pipe.display.anomalies import MARK, Trouble, against_limit
from fluent_pipe.display.distributions import Cells, Values, cells, values
from fluent_pipe.display.histograms import blocks
from fluent_pipe.display.overview import (
    MUCH,
    NUMBERS,
    SPLITS,
    Overview,
    distribution,
    kind_of,
    missing_share,
    nan_share,
    notes,
)
from fluent_pipe.display.text import counted, one_line, share_in_words

FEATURES = 50
_NAME, _SPLIT, _PICTURE, _NUMBER = 20, 8, 16, 8
_SHOWN = ("missing", "mean", "std", "min", "median", "max")


def statistics_text(statistics: Mapping[str, Any], trouble: Trouble | None = None) -> str:
    """Statistics as lines of at most 100 characters; parameters as of ``draw_statistics``."""
    view = Overview.of(statistics)
    if not view.features:
        return "No features."
    trouble = trouble or Trouble()
    shown = list(view.features.items())[:FEATURES]
    splits = ", ".join(f"{one_line(split, 30)} {rows:,} rows" for split, rows in view.splits.items())
    lines = [f"{counted(len(view.features), 'feature')}: {splits}", "", _line("feature", "split", "values", _SHOWN)]
    for name, features in shown:
        lines += _feature(name, features, view)
    lines += ["", *_nans(shown, list(view.splits)), *_troubles(view, trouble), *notes(view, len(shown))]
    return "\n".join(lines).rstrip()


def _feature(name: str, features: Sequence[Any | None], view: Overview) -> Iterator[str]:
    features = features[:SPLITS]
    names = (one_line(name or "(empty)", _NAME), f"  {one_line(kind_of(features), _NAME - 2)}")
    pictures = list(_pictures(features))
    for own, split, feature, picture in zip_longest(names, list(view.splits)[:SPLITS], features, pictures):
        label = one_line(split, _SPLIT) if split is not None else ""
        yield _line(own or "", label, picture or "", _cells(feature) if split is not None else ())


def _pictures(features: Sequence[Any | None]) -> Iterator[str]:
    """By split: a histogram, or the shares of the most frequent values and what these are."""
    picture = distribution(features)
    if isinstance(picture, str):
        yield one_line(picture, _PICTURE)
        return
    if isinstance(picture, Cells):
        drawn = cells(features, _PICTURE) or picture
        yield from map(blocks, drawn.shares)
        return
    drawn_values = values(features, _PICTURE) or picture
    for number in range(len(features)):
        yield blocks([shares[number] for _, shares in drawn_values.shares])


def _cells(feature: Any | None) -> Sequence[str]:
    if feature is None:
        return ("absent",)
    missing = missing_share(feature)
    words = f"{MARK if missing >= MUCH else ''}{share_in_words(missing)}"
    numbers = [words, *(NUMBERS[name](feature) for name in _SHOWN[1:])]
    own = values([feature], 3) if feature.HasField("string_stats") else None
    return [numbers[0], _most(own)] if own is not None else numbers


def _most(own: Values) -> str:
    """The most frequent values of one split, in the room that the numbers leave."""
    words = counted(own.distinct, "value")
    for place, (value, shares) in enumerate(own.shares):
        more = f"{', ' if place else ': '}{one_line(value or '(empty)', 20)} {share_in_words(shares[0])}"
        if len(words) + len(more) > 5 * (_NUMBER + 1):
            break
        words += more
    return words


def _nans(shown: Iterable[tuple[str, Sequence[Any | None]]], splits: Sequence[str]) -> Iterator[str]:
    for name, features in shown:
        shares = {s: nan_share(f) for s, f in zip(splits, features, strict=True) if f is not None}
        words = [f"{share_in_words(share)} in {one_line(split, 20)}" for split, share in shares.items() if share]
        if words:
            yield f"NaN among the values of {one_line(name, 30)}: {', '.join(words)}"


def _line(name: str, split: str, picture: str, numbers: Sequence[str]) -> str:
    words = f"{name:{_NAME}} {split:{_SPLIT}} {picture:{_PICTURE}} "
    if len(numbers) == 2:
        return f"{words}{numbers[0]:>{_NUMBER}}  {numbers[1]}"
    return (words + " ".join(f"{n:>{_NUMBER}}" for n in numbers)).rstrip()


def _troubles(view: Overview, trouble: Trouble) -> Iterator[str]:
    if not trouble.known:
        return
    bad = [name for name in view.features if trouble.of(name)]
    if not bad:
        yield "No anomalies."
    for name in bad[:FEATURES]:
        yield from (f"{MARK} {one_line(name, 30)}: {one_line(words, 64)}" for words, _ in trouble.of(name))
    for each in trouble.distances[:FEATURES]:
        over = f" {MARK}" if each["value"] > each["threshold"] else ""
        where = f"{one_line(each['column'], 30)} in {one_line(each['split'], 20)}"
        yield f"{each['kind']} of {where}: {against_limit(each)}{over}"
    if (more := max(len(bad) - FEATURES, 0) + max(len(trouble.distances) - FEATURES, 0)) > 0:
        yield f"And {more:,} more anomalies and distances: .anomalies has them all."
