"""The sections of a report, in the order in which a person asks; what a run does not have is left out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
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
    PushedModel,
    Schema,
    Statistics,
    TransformGraph,
)
from fluent_pipe.display.charts import inline
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.prose import folded
from fluent_pipe.display.tables import html_table
from fluent_pipe.display.threshold_slider import threshold_slider
from fluent_pipe.display.verdicts import draw_predictions
from fluent_pipe.report.again import draw_again
from fluent_pipe.report.changes import Changes
from fluent_pipe.report.first import draw_figures, draw_worst, last_evaluation
from fluent_pipe.report.lineage import lineage
from fluent_pipe.report.past import PastRun
from fluent_pipe.report.steps import draw_past_steps
from fluent_pipe.store.metadata import MetadataStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Section:
    """A part of the page with its place in the table of contents."""

    id: str
    title: str
    body: Markup


def _drawn(_: PastRun, artifact: Artifact) -> Markup:
    return results.result_of(artifact).drawn(inline)


def _statistics(run: PastRun, artifact: Statistics) -> Markup:
    anomalies = run.artifact(Anomalies)
    found = results.AnomaliesResult(anomalies) if anomalies is not None else None
    return results.StatisticsResult(artifact, found).drawn(inline)


def _curves(_: PastRun, artifact: Evaluation) -> Markup:
    curves = results.CurvesResult.of(artifact)
    return joined(curves.drawn(inline), threshold_slider(curves.facts)) if curves is not None else Markup("")


def _predictions(_: PastRun, artifact: Predictions) -> Markup:
    """From the facts alone: the rows may lie far away, or be gone."""
    return draw_predictions(artifact.facts(), [], "", inline)


_DETAILS: tuple[tuple[type[Artifact], str, Callable[[PastRun, Any], Markup]], ...] = (
    (Examples, "Rows", _drawn),
    (Statistics, "Statistics", _statistics),
    (Schema, "Schema", _drawn),
    (TransformGraph, "Features", _drawn),
    (HyperParameters, "Trials", _drawn),
    (Model, "Training", _drawn),
    (Evaluation, "Evaluation", _drawn),
    (Evaluation, "Curves", _curves),
    (InfraBlessing, "Serving", _drawn),
    (Approval, "Approval", _drawn),
    (Predictions, "Predictions", _predictions),
)


def sections(store: MetadataStore, run: PastRun, before: PastRun | None) -> Iterator[Section]:
    """Every section that the run has something for.

    Parameters
    ----------
    store
        Where the run is recorded.
    run
        The run.
    before
        The run to compare with, if there is one.
    """
    for title, way in _ways(store, run, before):
        body = drawn_or_said(title, run, way)
        if body:
            yield Section(title.lower().replace(" ", "-").replace(",", ""), title, body)


def _ways(store: MetadataStore, run: PastRun, before: PastRun | None) -> Iterator[tuple[str, Callable[[], Markup]]]:
    evaluation = run.artifact(Evaluation)
    if evaluation is not None:
        yield "How good", lambda: draw_figures(evaluation, last_evaluation(before))
        yield "Worst slices", lambda: draw_worst(results.EvaluationResult(evaluation), inline)
    yield "What changed since the last run", lambda: _changes(before, run)
    anomalies = run.artifact(Anomalies)
    if anomalies is not None:
        yield "Anomalies and drift", lambda: results.AnomaliesResult(anomalies).drawn(inline)
    for kind, title, draw in _DETAILS:
        artifact = run.artifact(kind)
        if artifact is not None:
            yield title, partial(draw, run, artifact)
    own = [a for a in run.artifacts if type(a) not in TYPES.values()]
    if own:
        yield "Components of your own", lambda: html_table([_own(a) for a in own], inline)
    yield "Steps", lambda: _steps(store, run)
    if run.artifacts:
        last = run.artifact(PushedModel) or run.artifacts[-1]
        yield "Where it comes from", lambda: lineage(store, last).drawn(inline)
    yield "How to make it again", lambda: draw_again(run)


def drawn_or_said(title: str, run: PastRun, way: Callable[[], Markup]) -> Markup:
    """What ``way`` draws, or a sentence that says why it could not; the rest of the page is worth having then."""
    try:
        return way()
    except Exception as error:  # files of a past run may be gone or damaged
        log.exception("%s in the report of run %s could not be drawn", title, run.stored.id)
        return tag("p", f"{title} could not be drawn: {type(error).__name__}: {error}")


def _changes(before: PastRun | None, run: PastRun) -> Markup:
    if before is None:
        return tag("p", "This is the first run of this pipeline that came to its end.")
    return Changes.between(before, run).drawn(inline)


def _own(artifact: Artifact) -> dict[str, Any]:
    try:
        summary = artifact.summary()
    except Exception:  # a type of the user's own
        log.exception("There is no summary of %s", artifact.path)
        summary = ""
    return {"step": artifact.step, "type": type(artifact).__name__, "holds": summary, "folder": str(artifact.path)}


def _steps(store: MetadataStore, run: PastRun) -> Markup:
    """What flowed between the steps, in which Beam jobs, how long it took, and what each left where."""
    if not run.stored.steps:
        return tag("p", "No step came to its end.")
    left = {a.step: a for a in reversed(run.artifacts)}
    rows = [
        {
            "step": s.step,
            "state": s.state,
            "seconds": round(s.seconds, 2),
            "left": _own(left[s.step])["holds"] if s.step in left else s.note,
            "folder": str(s.path or ""),
        }
        for s in run.stored.steps
    ]
    table = html_table(rows, inline, sortable=True)
    return joined(inline(draw_past_steps(store, run)), folded("Seconds, results and folders", table))
