"""The results of a run as the sections of its page, each drawn by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from markupsafe import Markup

from fluent_pipe import results
from fluent_pipe.artifacts import (
    Anomalies,
    Approval,
    Artifact,
    Evaluation,
    Examples,
    HyperParameters,
    InfraBlessing,
    Model,
    ModelBlessing,
    Predictions,
    PushedModel,
    Schema,
    Statistics,
    TransformGraph,
)
from fluent_pipe.display.charts import inline
from fluent_pipe.report.past import PastRun

log = logging.getLogger(__name__)

_Result = Callable[[Any], results.Result[Any]]
SECTIONS: Mapping[type[Artifact], tuple[str, _Result]] = {
    ModelBlessing: ("Verdict", results.BlessingResult),
    Evaluation: ("Evaluation", results.EvaluationResult),
    Approval: ("Approval", results.ApprovalResult),
    InfraBlessing: ("Serving", results.InfraResult),
    PushedModel: ("Push", results.PushedResult),
    Predictions: ("Predictions", results.PredictionsResult),
    Model: ("Training", results.ModelResult),
    HyperParameters: ("Tuning", results.TrialsResult),
    Anomalies: ("Anomalies and drift", results.AnomaliesResult),
    Statistics: ("Statistics", results.StatisticsResult),
    Schema: ("Schema", results.SchemaResult),
    TransformGraph: ("Features", results.TransformResult),
    Examples: ("Rows", results.ExamplesResult),
}
"""What is drawn of each type of artifact, in the order in which a person asks for it."""


@dataclass(frozen=True)
class Section:
    """One result.

    Parameters
    ----------
    title
        What it is.
    step
        Id of the step that left it.
    body
        Drawn; None where it cannot be.
    """

    title: str
    step: str
    body: Markup | None

    @property
    def anchor(self) -> str:
        """Its name in links on the page."""
        return f"{self.title} {self.step}".lower().replace(" ", "-")


def sections_of(past: PastRun) -> list[Section]:
    """All results of a run that can be drawn, in the order of :data:`SECTIONS`."""
    kinds = list(SECTIONS)
    known = [a for a in past.artifacts if type(a) in SECTIONS]
    return [Section(SECTIONS[type(a)][0], a.step, _drawn(a)) for a in sorted(known, key=lambda a: kinds.index(type(a)))]


def _drawn(artifact: Artifact) -> Markup | None:
    """The picture of an artifact; None for one whose files are damaged: the rest of the page is good."""
    try:
        return _kept_drawing(artifact)
    except Exception:  # what a component of the user's own left may be anything
        log.exception("%s of %s cannot be drawn", type(artifact).__name__, artifact.path)
        return None


@lru_cache(maxsize=256)
def _kept_drawing(artifact: Artifact) -> Markup:
    """A published artifact never changes, so neither does its picture."""
    return SECTIONS[type(artifact)][1](artifact).drawn(inline)
