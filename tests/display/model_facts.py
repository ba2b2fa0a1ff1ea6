"""Facts as steps leave them, made up; and what is looked for in anything that is drawn of them."""

from __future__ import annotations

import math
import random
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

from markupsafe import Markup

from fluent_pipe.display.charts import Chart, inline

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}",
    "bell\x07 and null\x00",
    "\N{RIGHT-TO-LEFT OVERRIDE}desrever",
    "🛩️ plane",
    "x" * 300,
    "",
)
HARMLESS = {
    "blockquote", "br", "caption", "circle", "code", "details", "div", "g", "h4", "img", "li", "line", "p", "path",
    "rect", "strong", "summary", "svg", "table", "tbody", "td", "text", "th", "thead", "title", "tr", "ul",
}  # fmt: skip


class Page(HTMLParser):
    """The elements and the text of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def tame(html: Markup) -> Page:
    """The page, of which nothing but known elements was made and nothing acts."""
    page = Page(str(html))
    assert set(page.elements) <= HARMLESS
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "href"]
    assert not [v for name, v in page.attributes if name == "src" and not v.startswith("data:image/svg+xml;base64,")]
    return page


def checked(chart: Chart) -> Markup:
    """Puts a chart into a page as it is, and sees that it is XML of which all is inside."""
    root = ET.fromstring(chart.svg())
    assert chart.width > 0
    assert chart.height > 0
    for element in root.iter():
        for name in ("x", "y", "cx", "cy", "x1", "x2", "y1", "y2", "width", "height"):
            value = float(element.get(name, 0))
            assert math.isfinite(value), (element.tag, element.attrib)
            assert -1 <= value <= max(chart.width, chart.height) + 1, (element.tag, element.attrib)
        assert "nan" not in element.get("d", "")
    return inline(chart)


def evaluation(
    slices: dict[str, list[Any]] | None = None, *, intervals: bool = False, baseline: bool = False
) -> dict[str, Any]:
    """``metrics.json`` of a binary label, by single columns."""
    drawn = random.Random(5)
    every = [{}, *({column: value} for column, values in (slices or {}).items() for value in values)]
    entries = []
    for i, columns in enumerate(every):
        rows = 12_345 if not columns else 50 + 100 * i
        auc = 0.8 if not columns else drawn.uniform(0.6, 0.9)
        entry = {"slice": columns, "metrics": {"example_count": rows, "auc": auc, "binary_crossentropy": 1 - auc}}
        if intervals:
            entry["intervals"] = {"auc": [auc - rows**-0.5, auc + rows**-0.5]}
        if baseline:
            entry["baseline_metrics"] = {"example_count": rows, "auc": auc - 0.01}
        entries.append(entry)
    return {"slices": entries, "baseline": None, "task": "binary", "primary_metric": "auc"}


def curves(thresholds: int = 1001, rows: int = 3000) -> dict[str, Any]:
    """``curves.json`` of a model that is right more often than not."""
    drawn = random.Random(7)
    found = []
    for _ in range(rows):
        label = drawn.random() < 0.25
        found.append((1 / (1 + math.exp(-drawn.gauss(0.6 if label else -1.5, 1.2))), label))
    cuts = [i / (thresholds - 1) for i in range(thresholds)]
    above = [[sum(y == label for p, y in found if p > cut) for cut in cuts] for label in (True, False)]
    positives = sum(y for _, y in found)
    calibration: dict[str, list[float]] = {"prediction": [], "label": [], "weight": []}
    for bucket in range(100):
        inside = [(p, y) for p, y in found if int(p * 100) == bucket]
        if inside:
            calibration["prediction"].append(sum(p for p, _ in inside) / len(inside))
            calibration["label"].append(sum(y for _, y in inside) / len(inside))
            calibration["weight"].append(len(inside))
    binary = {
        "thresholds": cuts, "tp": above[0], "fp": above[1],
        "fn": [positives - tp for tp in above[0]], "tn": [rows - positives - fp for fp in above[1]],
    }  # fmt: skip
    return {"binary": binary, "calibration": calibration}


def search(
    count: int, *, direction: str = "max", names: tuple[str, ...] = ("units",), failed: int = 0
) -> dict[str, Any]:
    """``trials.json``; the last ``failed`` trials have failed."""
    drawn = random.Random(3)
    trials = []
    for i in range(count):
        lost = i >= count - failed
        hyperparameters = {
            "learning_rate": 10 ** drawn.uniform(-5, -1),
            "activation": drawn.choice(["relu", "tanh", None]),
            "frozen": drawn.random() < 0.5,
            **{name: drawn.randrange(8, 512) for name in names},
        }
        trials.append(
            {
                "id": str(i), "state": "failed" if lost else "completed", "score": None if lost else drawn.random(),
                "seconds": 2.5, "hyperparameters": hyperparameters, "metrics": {},
                "reason": "ResourceExhausted: no memory" if lost else "",
            }
        )  # fmt: skip
    done = [t for t in trials if t["score"] is not None]
    best = (max if direction == "max" else min)(done, key=lambda t: t["score"], default=None)
    return {
        "objective": "val_auc" if direction == "max" else "val_loss", "direction": direction, "algorithm": "random",
        "best": best and best["id"], "values": dict(best["hyperparameters"]) if best else {}, "notes": [],
        "trials": trials,
    }  # fmt: skip
