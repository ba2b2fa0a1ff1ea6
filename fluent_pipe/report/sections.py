"""The sections of a report, in the order in which a person asks; what a run does not have is left out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from fluent_pipe import results
from fluent_pipe.artifacts import (
    TYPES,
    Anomalies,
    Approval,
    Artifact,
    Evaluation,
    Examples,
    HyperParameters,
    InfraBlessing,
    Model,
    Predictions,
    Schema,
    Statistics,
    TransformGraph,
)
from fluent_pipe.display.charts import Chart, inline
from fluent_pipe.display.colours import SERIES
from fluent_pipe.display.markup import tag
from fluent_pipe.display.tables import html_table
from fluent_pipe.display.text import in_words
from fluent_pipe.report.again import draw_again, facts
from fluent_pipe.report.changes import Changes
from fluent_pipe.report.first import draw_figures, draw_worst, last_evaluation
from fluent_pipe.report.past import PastRun

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Section:
    """A part of the page with its place in the table of contents."""

    id: str
    title: str
    body: Markup


_DETAILS: tuple[tuple[type[Artifact], str, Callable[[Any], results.Drawn]], ...] = (
    (Examples, "Rows", results.ExamplesResult),
    (Statistics, "Statistics", results.StatisticsResult),
    (Schema, "Schema", results.SchemaResult),
    (TransformGraph, "Features", results.TransformResult),
    (HyperParameters, "Trials", results.TrialsResult),
    (Model, "Training", results.ModelResult),
    (Evaluation, "Evaluation", results.EvaluationResult),
    (InfraBlessing, "Serving", results.InfraResult),
    (Approval, "Approval", results.ApprovalResult),
)


def sections(run: PastRun, before: PastRun | None) -> Iterator[Section]:
    """Every section that the run has something for.

    Parameters
    ----------
    before
        The run to compare with, if there is one.
    """
    for title, way in _ways(run, before):
        body = _tried(title, run, way)
        if body:
            yield Section(title.lower().replace(" ", "-").replace(",", ""), title, body)


def _ways(run: PastRun, before: PastRun | None) -> Iterator[tuple[str, Callable[[], Markup]]]:
    evaluation = run.artifact(Evaluation)
    if evaluation is not None:
        yield "How good", lambda: draw_figures(evaluation, last_evaluation(before))
        yield "Worst slices", lambda: draw_worst(results.EvaluationResult(evaluation), inline)
    yield "What changed since the last run", lambda: _changes(before, run)
    anomalies = run.artifact(Anomalies)
    if anomalies is not None:
        yield "Anomalies and drift", lambda: results.AnomaliesResult(anomalies).drawn(inline)
    for kind, title, view in _DETAILS:
        artifact = run.artifact(kind)
        if artifact is not None:
            yield title, lambda view=view, artifact=artifact: view(artifact).drawn(inline)  # type: ignore[misc]
    predictions = run.artifact(Predictions)
    if predictions is not None:
        yield "Predictions", lambda: _predictions(predictions)
    own = [a for a in run.artifacts if type(a) not in TYPES.values()]
    if own:
        yield "Components of your own", lambda: html_table([_own(a) for a in own], inline)
    yield "Steps", lambda: _steps(run)
    yield "How to make it again", lambda: draw_again(run)


def _tried(title: str, run: PastRun, way: Callable[[], Markup]) -> Markup:
    try:
        return way()
    except Exception as error:  # files of a past run may be gone or damaged; the other sections are worth having
        log.exception("%r of the report of run %s could not be drawn", title, run.stored.id)
        return tag("p", f"This could not be drawn: {type(error).__name__}: {error}")


def _changes(before: PastRun | None, run: PastRun) -> Markup:
    if before is None:
        return tag("p", "This is the first run of this pipeline that came to its end.")
    return Changes.between(before, run).drawn(inline)


def _predictions(artifact: Predictions) -> Markup:
    """What was written where, from the facts alone: the rows may lie far away."""
    told = artifact.facts()
    if not told["scored"]:
        return tag("p", "Nothing was scored: ", " ".join(told["reasons"]))
    return facts(
        {
            "rows": in_words(told["rows"]),
            "set aside": f"{told['failed']:,} rows that could not be read or scored" if told["failed"] else None,
            "folder": tag("code", told["destination"]),
            "format": f"{told['format']}, {len(told['files']):,} {'file' if len(told['files']) == 1 else 'files'}",
            "columns": ", ".join(f"{name} ({kind})" for name, kind in told["columns"].items()),
        }
    )


def _own(artifact: Artifact) -> dict[str, Any]:
    try:
        summary = artifact.summary()
    except Exception:  # a type of the user's own
        log.exception("There is no summary of %s", artifact.path)
        summary = ""
    return {"step": artifact.step, "type": type(artifact).__name__, "holds": summary, "folder": str(artifact.path)}


def _steps(run: PastRun) -> Markup:
    """How each step went, how long it took, and what it left."""
    longest = max((s.seconds for s in run.stored.steps), default=0.0)
    left = {a.step: a for a in reversed(run.artifacts)}
    rows = [
        {
            "step": s.step,
            "state": s.state,
            "seconds": round(s.seconds, 2),
            "": _bar(s.seconds / longest if longest else 0.0, s.step),
            "left": _own(left[s.step])["holds"] if s.step in left else s.note,
            "folder": str(s.path or ""),
        }
        for s in run.stored.steps
    ]
    return html_table(rows, inline) if rows else tag("p", "No step came to its end.")


def _bar(share: float, step: str) -> Chart:
    bar = tag("rect", x=0, y=2, width=max(1.0, round(120 * share, 1)), height=8, fill=SERIES[0])
    return Chart(120, 12, bar, f"{step}: {share:.0%} of the longest step")
