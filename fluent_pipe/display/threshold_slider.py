"""A slider over thresholds for our own pages: the confusion matrix and its rates follow it by a small script.

Without JavaScript the slider is hidden, and the matrix is the one at 0.5.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.colours import SERIES
from fluent_pipe.display.figures import figure
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.tables import TABLE
from fluent_pipe.display.text import in_words
from fluent_pipe.display.thresholds import AtThreshold, nearest, stops, thresholds

_CELL = "padding:8px 12px;border:1px solid #75757540;min-width:130px;text-align:left"
_RATES = ("precision", "recall", "false_positive_rate", "accuracy")


def threshold_slider(curves: Mapping[str, Any]) -> Markup:
    """The slider with the matrix below, its data and its script; empty where the label is not binary.

    Parameters
    ----------
    curves
        As in ``curves.json``.
    """
    binary = curves.get("binary")
    found = stops(thresholds(binary)) if binary else []
    if not found:
        return Markup("")
    at = nearest(found, 0.5)
    return tag(
        "div",
        json_island([[_tidy(v) for v in (o.threshold, o.tp, o.fp, o.tn, o.fn)] for o in found]),
        _slider(len(found) - 1, found.index(at)),
        _matrix(at),
        _rates(at),
        tag("script", slider_script()),
        data_threshold_slider=True,
    )


@cache
def slider_script() -> Markup:
    """The script: a constant of this package, so that a page can name its hash."""
    return Markup((files("fluent_pipe.display") / "threshold_slider.js").read_text(encoding="utf-8"))


def json_island(data: Any) -> Markup:
    r"""Data for a script of the page. Nothing in it can end the element: ``<`` is written as an escape of JSON.

    Examples
    --------
    >>> print(json_island("</script>"))
    <script type="application/json">"\u003c/script\u003e"</script>
    """
    text = json.dumps(data, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return tag("script", Markup(text), type="application/json")  # a script's text is not escaped as HTML's is


def _tidy(value: float) -> float:
    rounded = float(f"{value:.6g}") if abs(value) < 1e6 else round(value)
    return int(rounded) if rounded == int(rounded) else rounded


def _slider(last: int, at: int) -> Markup:
    slider = tag(
        "input", type="range", min=0, max=last, value=at, step=1, style="width:320px;vertical-align:middle",
        aria_label="threshold",
    )  # fmt: skip
    return tag("p", tag("label", "Move the threshold: ", slider), hidden=True)


def _shows(name: str, value: str) -> Markup:
    return tag("span", value, data_shows=name)


def _matrix(at: AtThreshold) -> Markup:
    head = tag("tr", (tag("th", h, scope="col", style=_CELL) for h in ("", "predicted 0", "predicted 1")))
    rows = [
        tag("tr", tag("th", name, scope="row", style=_CELL), (_cell(kind, words, at) for kind, words in cells))
        for name, cells in (
            ("label 0", (("tn", "true negatives"), ("fp", "false positives"))),
            ("label 1", (("fn", "false negatives"), ("tp", "true positives"))),
        )
    ]
    caption = tag("caption", "At threshold ", tag("strong", _shows("threshold", f"{at.threshold:.2f}")))
    return tag("table", caption, tag("thead", head), tag("tbody", rows), style=TABLE)


def _cell(kind: str, words: str, at: AtThreshold) -> Markup:
    count = getattr(at, kind)
    share = count / at.total if at.total else 0.0
    bar = f"box-shadow:inset {150 * share:.4g}px 0 {SERIES[0]}33"
    return tag(
        "td",
        tag("strong", _shows(kind, in_words(_tidy(count)))),
        " ",
        _shows(f"share of {kind}", f"{share:.1%}"),
        tag("br"),
        words,
        style=f"{_CELL};{bar}",
    )


def _rates(at: AtThreshold) -> Markup:
    cells = (
        joined(
            tag("th", name.replace("_", " "), scope="row", style=_CELL),
            tag("td", _shows(name, _rate(at, name)), style=_CELL),
        )
        for name in _RATES
    )
    return tag("table", tag("tbody", (tag("tr", cell) for cell in cells)), style=TABLE)


def _rate(at: AtThreshold, name: str) -> str:
    value: float | None = getattr(at, name)
    return figure(None) if value is None else f"{value:.4f}"
