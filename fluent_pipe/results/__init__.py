"""Results as the user meets them: each reads its artifact when asked, prints well, and is a frame where tabular."""

from __future__ import annotations

from fluent_pipe.display.slices import slice_name
from fluent_pipe.results.data import AnomaliesResult, ExamplesResult, SchemaResult, StatisticsResult, TransformResult
from fluent_pipe.results.delivery import ApprovalResult, InfraResult, PredictionsResult, PushedResult
from fluent_pipe.results.evaluation import BlessingResult, CurvesResult, EvaluationResult, SlicesResult
from fluent_pipe.results.model import ModelResult, TrialsResult
from fluent_pipe.results.of import OwnResult, result_of, shows_with
from fluent_pipe.results.pipeline import PlanResult, came_of
from fluent_pipe.results.tables import Drawn, Result, Tabular, Timings

__all__ = [
    "AnomaliesResult",
    "ApprovalResult",
    "BlessingResult",
    "CurvesResult",
    "Drawn",
    "EvaluationResult",
    "ExamplesResult",
    "InfraResult",
    "ModelResult",
    "OwnResult",
    "PlanResult",
    "PredictionsResult",
    "PushedResult",
    "Result",
    "SchemaResult",
    "SlicesResult",
    "StatisticsResult",
    "Tabular",
    "Timings",
    "TransformResult",
    "TrialsResult",
    "came_of",
    "result_of",
    "shows_with",
    "slice_name",
]
