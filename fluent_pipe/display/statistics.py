"""Statistics drawn: a row a feature, with what its values look like in each split, and what was wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.anomalies import MARK, Trouble, limit_line
from fluent_pipe.display.charts import Embed
from fluent_pipe.display.colours import BAD
from fluent_pipe.display.distributions import Cells
from fluent_pipe.display.histograms import cells_chart, swatch, values_chart
from fluent_pipe.display.markup import Child, joined, tag
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
from fluent_pipe.display.tables import LINE, TABLE
from fluent_pipe.display.text import counted, one_line

FEATURES = 100
"""Features that are drawn; a thousand would be too large for a notebook."""
_LEFT = "padding:3px 8px;text-align:left"
_RIGHT = "padding:3px 8px;text-align:right;white-space:nowrap"


def draw_statistics(statistics: Mapping[str, Any], embed: Embed, trouble: Trouble | None = None) -> Markup:
    """Statistics as a table with a picture of each feature.

    Parameters
    ----------
    statistics
        TFDV's ``DatasetFeatureStatisticsList`` by split.
    embed
        How charts get into it.
    trouble
        Anomalies, drift and skew, if statistics were validated.
    """
    view = Overview.of(statistics)
    if not view.features:
        return tag("p", "No features.")
    trouble = trouble or Trouble()
    shown = list(view.features.items())[:FEATURES]
    heads = ["feature", "values", *(["split"] if view.several() else []), *NUMBERS]
    head = tag("tr", (tag("th", h, scope="col", style=_RIGHT if h in NUMBERS else _LEFT) for h in heads), style=LINE)
    rows = (_row(name, features, view, trouble, embed) for name, features in shown)
    return joined(
        tag("p", _legend(view, embed), style="margin:4px 0"),
        tag("p", _counted(view, trouble), style="margin:4px 0"),
        tag("table", tag("thead", head), tag("tbody", rows), style=TABLE),
        (tag("p", note, style="margin:4px 0") for note in notes(view, len(shown))),
    )


def _legend(view: Overview, embed: Embed) -> Iterator[Markup]:
    for number, (split, rows) in enumerate(list(view.splits.items())[:SPLITS]):
        yield joined(embed(swatch(number)), " ", tag("b", _named(split, 40)), f" {rows:,} rows", "\u2002 ")
    yield tag("small", "Height of a bar: share of the split's values. ◂ ▸: share that lies further out.")


def _counted(view: Overview, trouble: Trouble) -> Markup:
    words = counted(len(view.features), "feature")
    bad = [name for name in view.features if trouble.of(name)]
    if not bad:
        return joined(words, ", no anomalies" if trouble.known else None)
    more = f" and {len(bad) - 10:,} more" if len(bad) > 10 else ""
    names = (joined(", " if i else "", _named(name, 40)) for i, name in enumerate(bad[:10]))
    return joined(words, ", ", tag("b", f"{MARK} {len(bad):,} with anomalies: ", style=f"color:{BAD}"), names, more)


def _row(name: str, features: Sequence[Any | None], view: Overview, trouble: Trouble, embed: Embed) -> Markup:
    features = features[:SPLITS]
    splits = list(view.splits)[:SPLITS]
    cells = [_name(name, features, trouble, embed), tag("td", _picture(features, splits, embed), style=_LEFT)]
    if view.several():
        cells.append(_cell((_named(split, 20) for split in splits), _LEFT))
    cells += [_cell((_number(words, f) for f in features), _RIGHT) for words in NUMBERS.values()]
    return tag("tr", cells, style=LINE)


def _named(name: str, width: int) -> Markup:
    """A name of the data, on its own line and with its own direction of writing."""
    words = one_line(name, width) or "(empty)"
    return tag("bdi", words, title=name if words != name else None)


def _name(name: str, features: Sequence[Any | None], trouble: Trouble, embed: Embed) -> Markup:
    found = trouble.of(name)
    parts: list[Child] = [tag("b", _named(name, 80)), tag("small", kind_of(features))]
    parts += [tag("b", f"{MARK} {words}", title=details, style=f"color:{BAD}") for words, details in found[:3]]
    parts += [f"and {len(found) - 3} more"] if len(found) > 3 else []
    parts += [limit_line(each, embed) for each in trouble.distances_of(name)]
    style = f"{_LEFT};min-width:140px;max-width:240px;overflow-wrap:anywhere;font-weight:normal"
    return tag("th", _lines(parts), scope="row", style=style)


def _picture(features: Sequence[Any | None], splits: Sequence[str], embed: Embed) -> Markup | str:
    picture = distribution(features)
    if isinstance(picture, str):
        return picture
    return embed(cells_chart(picture, splits) if isinstance(picture, Cells) else values_chart(picture, splits))


def _number(words: Callable[[Any], str], feature: Any | None) -> Markup | str:
    is_missing = words is NUMBERS["missing"]
    if feature is None:
        return tag("b", "absent", style=f"color:{BAD}") if is_missing else ""
    if is_missing and max(missing_share(feature), nan_share(feature)) >= MUCH:
        return tag("b", words(feature), style=f"color:{BAD}")
    return words(feature)


def _cell(lines: Iterable[Child], style: str) -> Markup:
    parts = list(lines)
    # A line that says nothing still takes its place beside the others.
    return tag("td", _lines(part or "\N{NO-BREAK SPACE}" for part in parts) if any(parts) else None, style=style)


def _lines(parts: Iterable[Child]) -> Markup:
    return tag("br").join(map(joined, parts))
