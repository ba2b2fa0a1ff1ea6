"""What stands first in a report: the verdict, how good the model is, and where it is worst."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

from fluent_pipe.artifacts import Evaluation, ModelBlessing
from fluent_pipe.display.charts import Chart, Embed, Scale
from fluent_pipe.display.colours import INK, SERIES
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.tables import html_table
from fluent_pipe.display.text import in_words
from fluent_pipe.report.changes import change_mark
from fluent_pipe.report.differences import COUNTS, NEITHER
from fluent_pipe.report.past import PastRun
from fluent_pipe.report.verdict import MARKS, Tone, Verdict
from fluent_pipe.results import BlessingResult, EvaluationResult
from fluent_pipe.steps.metrics import lower_is_better

WORST = 8
MOST_FIGURES = 12
WIDTH, HEIGHT = 180, 18


def draw_verdict(found: Verdict, required: ModelBlessing | None, embed: Embed) -> Markup:
    """One sentence, large; below it why, and what was required, opened where that does not hold."""
    sentence = tag("p", _mark(found.tone), found.sentence)
    reasons = tag("ul", (tag("li", _mark(r.tone), r.text) for r in found.reasons)) if found.reasons else None
    folded = None
    if required is not None and required.facts()["reasons"]:
        blessing = BlessingResult(required)
        folded = tag("details", tag("summary", "What was required"), blessing.drawn(embed), open=not blessing)
    error = tag("pre", found.error, class_="words") if found.error else None
    return tag("div", sentence, error, reasons, folded, class_=f"verdict {found.tone}", role="status")


def _mark(tone: Tone) -> Markup:
    return tag("span", MARKS[tone], " ", class_=f"mark {tone}")


def draw_figures(now: Evaluation, before: Evaluation | None) -> Markup:
    """The overall metrics as figures, the main one first and largest, each with its change to the last run."""
    facts = now.facts()
    overall, primary = facts["slices"][0], facts["primary_metric"]
    earlier = before.facts()["slices"][0]["metrics"] if before is not None else {}
    names = sorted(overall["metrics"], key=lambda name: (name != primary, name in COUNTS))
    if overall["metrics"].get("weighted_example_count") == overall["metrics"].get("example_count"):
        names = [name for name in names if name != "weighted_example_count"]
    metrics, intervals = overall["metrics"], overall.get("intervals", {})
    figures = [
        _figure(name, metrics[name], intervals.get(name), earlier.get(name), main=name == primary)
        for name in names[:MOST_FIGURES]
    ]
    against = "; below each figure its change to the last run" if earlier else ""
    more = f" {len(names) - MOST_FIGURES} more below." if len(names) > MOST_FIGURES else ""
    note = f"Overall, on {in_words(overall['metrics'].get('example_count'))} examples{against}.{more}"
    return joined(tag("dl", figures, class_="figures"), tag("p", note, class_="quiet"))


def _figure(name: str, value: Any, interval: Any, earlier: Any, *, main: bool) -> Markup:
    change = value - earlier if _known(value) and _known(earlier) else None
    better = (change < 0) == lower_is_better(name) if change and name not in NEITHER else None
    return tag(
        "div",
        tag("dt", name),
        tag("dd", in_words(value) if _known(value) else "n/a", title=repr(value) if _known(value) else None),
        tag("dd", f"95 %: {in_words(interval[0])} to {in_words(interval[1])}", class_="quiet") if interval else None,
        tag("dd", change_mark(change, better=better)) if change is not None and name not in COUNTS else None,
        class_="first" if main else None,
    )


def draw_worst(result: EvaluationResult, embed: Embed) -> Markup:
    """The slices where the model is worst, each beside the overall value."""
    facts = result.artifact.facts()
    primary = facts["primary_metric"]
    worst = result.worst(WORST)
    if not worst:
        return tag("p", _none(result))
    overall = facts["slices"][0]["metrics"].get(primary)
    values = [v for v in (overall, *(row.get(primary) for row in worst)) if _known(v)]
    rows = []
    for row in worst:
        shown = {"slice": row["slice"], "examples": row["example_count"], primary: row.get(primary)}
        if _known(overall) and _known(row.get(primary)):
            shown["beside overall"] = _beside(row[primary], overall, (min(values), max(values)), primary)
        if result.searched:
            shown |= {"loss": row["loss"], "elsewhere": row["loss_elsewhere"], "p (corrected)": row["p_adjusted"]}
        rows.append(shown)
    note = (
        "Found by search: significantly worse than all other rows."
        if result.searched
        else f"By {primary}, of slices with 100 examples or more. Overall it is {in_words(overall)}."
    )
    return joined(html_table(rows, embed), tag("p", note, class_="quiet"))


def _none(result: EvaluationResult) -> str:
    if result.searched:
        return "No slice was found where the model is significantly worse than elsewhere."
    slices = len(result.artifact.facts()["slices"]) - 1
    return "No slice has 100 examples or more." if slices else "No slices were asked for: evaluate(slices=...)."


def _beside(value: float, overall: float, domain: tuple[float, float], name: str) -> Chart:
    """A dot at the value, tied to a line at the overall value."""
    scale = Scale(domain, (8, WIDTH - 8))
    middle = HEIGHT / 2
    body = joined(
        tag("line", x1=scale(overall), x2=scale(overall), y1=1, y2=HEIGHT - 1, stroke=INK, stroke_dasharray="2 2"),
        tag("line", x1=scale(overall), x2=scale(value), y1=middle, y2=middle, stroke=SERIES[0], stroke_width=3),
        tag("circle", cx=scale(value), cy=middle, r=4, fill=SERIES[0]),
    )
    return Chart(WIDTH, HEIGHT, body, f"{name} {in_words(value)}, overall {in_words(overall)}")


def last_evaluation(before: PastRun | None) -> Evaluation | None:
    """That of the run before, where it has one."""
    return before.artifact(Evaluation) if before is not None else None


def _known(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
