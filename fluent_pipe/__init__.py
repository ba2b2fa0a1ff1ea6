"""One chained expression from raw data to a model that is validated, trained, sliced, pushed and explained.

Examples
--------
Nothing is read or run until :meth:`Pipeline.run`:

>>> import fluent_pipe as fp
>>> chain = fp.Pipeline("flights").from_csv("flights.csv").generate_statistics().infer_schema()
>>> [step.id for step in chain.steps]
['from_csv', 'generate_statistics', 'infer_schema']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fluent_pipe import errors, runners
    from fluent_pipe.artifacts import (
        Anomalies,
        Approval,
        Artifact,
        BaseModel,
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
    from fluent_pipe.errors import FluentPipeError
    from fluent_pipe.hooks import Failure
    from fluent_pipe.pipeline import Pipeline
    from fluent_pipe.run import Run
    from fluent_pipe.steps.limits import (
        at_least,
        at_most,
        change_at_least,
        change_at_most,
        infinity_norm,
        jensen_shannon,
    )
    from fluent_pipe.steps.resources import Resources
    from fluent_pipe.steps.user_components import Component, component

__version__ = "0.1.0"

_HOMES = {
    "Pipeline": "fluent_pipe.pipeline",
    "Run": "fluent_pipe.run",
    "FluentPipeError": "fluent_pipe.errors",
    "Failure": "fluent_pipe.hooks",
    "at_least": "fluent_pipe.steps.limits",
    "at_most": "fluent_pipe.steps.limits",
    "change_at_least": "fluent_pipe.steps.limits",
    "change_at_most": "fluent_pipe.steps.limits",
    "infinity_norm": "fluent_pipe.steps.limits",
    "jensen_shannon": "fluent_pipe.steps.limits",
    "Resources": "fluent_pipe.steps.resources",
    "Component": "fluent_pipe.steps.user_components",
    "component": "fluent_pipe.steps.user_components",
    **dict.fromkeys(
        (
            "Anomalies",
            "Approval",
            "Artifact",
            "BaseModel",
            "Evaluation",
            "Examples",
            "HyperParameters",
            "InfraBlessing",
            "Model",
            "ModelBlessing",
            "Predictions",
            "PushedModel",
            "Schema",
            "Statistics",
            "TransformGraph",
        ),
        "fluent_pipe.artifacts",
    ),
}

__all__ = [
    "Anomalies",
    "Approval",
    "Artifact",
    "BaseModel",
    "Component",
    "Evaluation",
    "Examples",
    "Failure",
    "FluentPipeError",
    "HyperParameters",
    "InfraBlessing",
    "Model",
    "ModelBlessing",
    "Pipeline",
    "Predictions",
    "PushedModel",
    "Resources",
    "Run",
    "Schema",
    "Statistics",
    "TransformGraph",
    "at_least",
    "at_most",
    "change_at_least",
    "change_at_most",
    "component",
    "errors",
    "infinity_norm",
    "jensen_shannon",
    "runners",
]


def __getattr__(name: str) -> Any:
    if name in ("errors", "runners"):
        return importlib.import_module(f"fluent_pipe.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"fluent_pipe has no {name!r}. There are: {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
