"""Steps that prove, push and use a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from fluent_pipe.artifacts import (
    Approval,
    Examples,
    InfraBlessing,
    Model,
    ModelBlessing,
    Predictions,
    PushedModel,
    TransformGraph,
)
from fluent_pipe.errors import FluentPipeError
from fluent_pipe.steps import destinations
from fluent_pipe.steps.base import Ref, Step, needs, unkeyed
from fluent_pipe.steps.resources import Resources
from fluent_pipe.steps.sources import Source

Format = Literal["parquet", "csv", "jsonl", "tfrecord"]


@dataclass(frozen=True, kw_only=True)
class InfraValidate(Step):
    """``infra_validate``: a fresh server process loads the model and answers real rows.

    Parameters
    ----------
    model
        What is about to be pushed.
    examples
        Gives the rows that are sent.
    split
        Whose rows.
    max_load_seconds, max_latency_ms, max_memory_mb
        Limits; None for no limit. The latency is that of the 95th percentile.
    requests
        How many requests are timed.
    concurrency
        Requests under way at once.
    endpoint
        URL of a server that runs already, in place of a process of our own.
    resources
        What the check asks of its worker.
    """

    model: Ref[Model] = needs()
    examples: Ref[Examples] = needs()
    split: str
    max_load_seconds: float | None = 5
    max_latency_ms: float | None = 200
    max_memory_mb: float | None = None
    requests: int = 100
    concurrency: int = 1
    endpoint: str | None = None
    resources: Resources | None = unkeyed(default=None)

    call: ClassVar[str] = "infra_validate"
    produces: ClassVar[tuple[type[InfraBlessing], ...]] = (InfraBlessing,)
    alone: ClassVar[bool] = True

    def still_holds(self, facts: Mapping[str, Any]) -> bool:
        return bool(facts["blessed"])  # a machine that was busy, or a server that was down, is asked anew


@dataclass(frozen=True, kw_only=True)
class Approve(Step):
    """``approve``: a person decides.

    Parameters
    ----------
    model
        What is to be approved.
    blessing, infra
        Verdicts so far; what was refused is not waited for.
    wait
        Whether the run waits, or ends where nobody has decided yet.
    """

    model: Ref[Model] = needs()
    blessing: Ref[ModelBlessing] | None = needs(default=None)
    infra: Ref[InfraBlessing] | None = needs(default=None)
    wait: bool = unkeyed(default=True)

    call: ClassVar[str] = "approve"
    produces: ClassVar[tuple[type[Approval], ...]] = (Approval,)
    gates: ClassVar[bool] = True
    alone: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class PushTo(Step):
    """``push_to``: a blessed model becomes a new version folder of ``destination``.

    Parameters
    ----------
    blessing
        Without it (no ``evaluate`` before) the model is pushed unjudged.
    infra
        With it, what is pushed is the model that was served, with its warm-up requests.
    approval
        A person's.
    keep
        Newest versions to keep; None for all.
    """

    model: Ref[Model] = needs()
    blessing: Ref[ModelBlessing] | None = needs(default=None)
    infra: Ref[InfraBlessing] | None = needs(default=None)
    approval: Ref[Approval] | None = needs(default=None)
    destination: str
    keep: int | None = None

    call: ClassVar[str] = "push_to"
    produces: ClassVar[tuple[type[PushedModel], ...]] = (PushedModel,)
    gates: ClassVar[bool] = True

    def outside(self) -> tuple[str, ...]:
        return (self.destination,)

    def still_holds(self, facts: Mapping[str, Any]) -> bool:
        if not facts["pushed"]:
            return True
        # What a server takes is the highest version.
        parent, _, _ = facts["destination"].rpartition("/")
        return bool(max(destinations.versions_at(parent), default=0) == facts["version"])


@dataclass(frozen=True, kw_only=True)
class BulkInfer(Step):
    """``bulk_infer``: predictions for many rows.

    Parameters
    ----------
    model
        Predicts.
    blessing, infra, approval
        Verdicts on it; with a refusal nothing is scored.
    examples
        Of the training: gives the types of the columns.
    graph
        Tells the task and the names of the classes.
    source
        Where the rows come from; its splits do not count.
    destination
        Folder that the predictions are written to.
    format
        Of the files.
    keep
        Columns written beside the predictions; None for all.
    """

    model: Ref[Model] = needs()
    blessing: Ref[ModelBlessing] | None = needs(default=None)
    infra: Ref[InfraBlessing] | None = needs(default=None)
    approval: Ref[Approval] | None = needs(default=None)
    examples: Ref[Examples] = needs()
    graph: Ref[TransformGraph] = needs()
    source: Source
    destination: str
    format: Format = "parquet"
    keep: tuple[str, ...] | None = None

    call: ClassVar[str] = "bulk_infer"
    produces: ClassVar[tuple[type[Predictions], ...]] = (Predictions,)
    gates: ClassVar[bool] = True

    def source_files(self) -> tuple[str, ...]:
        return self.source.source_files()

    def outside(self) -> tuple[str, ...]:
        return (*self.source.outside(), self.destination)

    def foreseen(self, facts: Mapping[str, Mapping[str, Any]]) -> FluentPipeError | None:
        return destinations.refusal(self.destination)

    def still_holds(self, facts: Mapping[str, Any]) -> bool:
        return not facts["scored"] or destinations.holds(facts)
