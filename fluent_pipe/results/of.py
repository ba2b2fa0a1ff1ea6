"""Which result shows which artifact."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

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
from fluent_pipe.display.text import text_table
from fluent_pipe.results.data import AnomaliesResult, ExamplesResult, SchemaResult, StatisticsResult, TransformResult
from fluent_pipe.results.delivery import ApprovalResult, InfraResult, PredictionsResult, PushedResult
from fluent_pipe.results.evaluation import BlessingResult, EvaluationResult
from fluent_pipe.results.model import ModelResult, TrialsResult
from fluent_pipe.results.tables import Result, Tabular

LONGEST = 60
"""Characters of a fact in a table."""


class OwnResult(Tabular[Artifact]):
    """What a component of one's own left; one row a fact."""

    def rows(self) -> list[dict[str, Any]]:
        """Fact and value, long ones cut short."""
        return [{"fact": name, "value": _short(value)} for name, value in self.artifact.facts().items()]

    def __repr__(self) -> str:
        summary = self.artifact.summary()
        head = f"{type(self.artifact).__name__} of {self.artifact.step}{f': {summary}' if summary else ''}"
        facts = self.rows()
        return "\n".join([head, str(self.path), *([text_table(facts)] if facts else [])])


RESULTS: Mapping[type[Artifact], type[Result[Any]]] = {
    Examples: ExamplesResult,
    Statistics: StatisticsResult,
    Schema: SchemaResult,
    Anomalies: AnomaliesResult,
    TransformGraph: TransformResult,
    HyperParameters: TrialsResult,
    Model: ModelResult,
    Evaluation: EvaluationResult,
    ModelBlessing: BlessingResult,
    Approval: ApprovalResult,
    InfraBlessing: InfraResult,
    PushedModel: PushedResult,
    Predictions: PredictionsResult,
}


def result_type(kind: type[Artifact]) -> type[Result[Any]]:
    """What shows artifacts of a type."""
    return next((result for known, result in RESULTS.items() if issubclass(kind, known)), OwnResult)


def result_of(artifact: Artifact) -> Result[Any]:
    """What shows an artifact."""
    return result_type(type(artifact))(artifact)


def shows_with(kind: type[Artifact]) -> list[str]:
    """Names of what ``show()`` of the result takes.

    Examples
    --------
    >>> shows_with(Approval)
    []
    """
    return [name for name in inspect.signature(result_type(kind).show).parameters if name != "self"]


def _short(value: Any) -> Any:
    if isinstance(value, int | float) or value is None:
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return f"{text[: LONGEST - 1]}…" if len(text) > LONGEST else text
