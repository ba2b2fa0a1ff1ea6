"""Verdicts on a model, before it is pushed or used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fluent_pipe.artifacts import Approval, Artifact, InfraBlessing
from fluent_pipe.evaluation import reasons


def refusals(verdicts: Iterable[Artifact]) -> list[str]:
    """Why a model must not be pushed or used, by every verdict on it; empty if it may.

    Parameters
    ----------
    verdicts
        Of :class:`~fluent_pipe.artifacts.ModelBlessing`, ``InfraBlessing`` and ``Approval`` those that there are.
    """
    return [reason for verdict in verdicts for reason in _refusals(verdict, verdict.facts())]


def _refusals(verdict: Artifact, facts: Mapping[str, Any]) -> list[str]:
    if isinstance(verdict, Approval):
        return [] if facts["approved"] else [_not_approved(facts["by"], facts["note"])]
    if facts["blessed"]:
        return []
    if isinstance(verdict, InfraBlessing):
        return facts["reasons"] or ["The model was not infra-blessed."]
    return [*reasons.failures(facts["reasons"])] or ["The model was not blessed."]


def _not_approved(by: str, note: str) -> str:
    fact = f"The model was rejected by {by}" if by else "The model was not approved"
    return f"{fact}: {note}" if note else f"{fact}."
