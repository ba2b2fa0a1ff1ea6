"""What a pipeline is made of: a name, a root and steps in order, and how a call becomes the next step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fluent_pipe.artifacts import (
    A,
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
from fluent_pipe.errors import ArgumentError, OrderError
from fluent_pipe.mirror import Root
from fluent_pipe.steps.base import Ref, Step
from fluent_pipe.steps.gates import Condition, Hook
from fluent_pipe.steps.paths import default_root
from fluent_pipe.steps.sources import Source

if TYPE_CHECKING:
    from typing_extensions import Self

LOADING: ContextVar[bool] = ContextVar("loading", default=False)
"""True while the command line loads a user's file, which may make pipelines and not run them."""

_MAKERS: Mapping[type[Artifact], tuple[str, str]] = {
    Examples: ("examples", "from_csv() or another source"),
    Statistics: ("statistics", "generate_statistics()"),
    Schema: ("a schema", "infer_schema()"),
    TransformGraph: ("transformed examples", "preprocess()"),
    Model: ("a model", "train()"),
    Anomalies: ("anomalies", "validate()"),
    HyperParameters: ("hyperparameters", "tune()"),
    BaseModel: ("a base model", "with_base_model()"),
    Evaluation: ("an evaluation", "evaluate()"),
    ModelBlessing: ("a blessing", "evaluate()"),
    InfraBlessing: ("an infra blessing", "infra_validate()"),
    Approval: ("an approval", "approve()"),
    PushedModel: ("a pushed model", "push_to()"),
    Predictions: ("predictions", "bulk_infer()"),
}


@dataclass(frozen=True)
class Chain:
    """Steps in order, immutable. The calls that add to it are those of :class:`~fluent_pipe.pipeline.Pipeline`.

    Parameters
    ----------
    name
        Letters, digits, ``.``, ``_`` and ``-``; names the pipeline's folder under ``root``.
    root
        Folder of all results, or the URL where they lie: ``gs://`` or ``s3://``.
    metadata
        URL of the metadata store.
    steps
        What was asked for so far.
    conditions
        What guards the steps to come.
    hooks
        Who hears how a run ended.
    """

    name: str
    root: Path | str = field(default=Path(), kw_only=True)
    metadata: str | None = field(default=None, kw_only=True)
    steps: tuple[Step, ...] = field(default=(), kw_only=True)
    conditions: tuple[Condition, ...] = field(default=(), kw_only=True)
    hooks: tuple[Hook, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ArgumentError(
                f"Pipeline name {self.name!r} is not valid.",
                fix="Use letters, digits, '.', '_' and '-', beginning with a letter or digit.",
            )
        root = default_root() if self.root == Path() else Root.of(self.root).location
        object.__setattr__(self, "root", root)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}): " + (" -> ".join(s.id for s in self.steps) or "no steps yet")

    def _then(self, step: Step) -> Self:
        return replace(self, steps=(*self.steps, replace(step, conditions=self.conditions)))

    def _source(self, step: Source) -> Self:
        if self.steps:
            raise OrderError(
                f"{step.id}() must be the first step. This pipeline so far: {self._so_far}.",
                fix="Begin another Pipeline for another source.",
            )
        return self._then(step)

    def _id(self, call: str) -> str:
        repeats = sum(
            s.id == call or (s.id.startswith(f"{call}_") and s.id[len(call) + 1 :].isdigit()) for s in self.steps
        )
        return call if not repeats else f"{call}_{repeats + 1}"

    def _newest(self, wanted: type[A]) -> Ref[A] | None:
        made = [s for s in self.steps if wanted in s.produces]
        return Ref(made[-1].id, wanted) if made else None

    def _by(self, call: type[Step], wanted: type[A]) -> Ref[A] | None:
        """What the newest step of a kind leaves."""
        made = [s for s in self.steps if isinstance(s, call)]
        return Ref(made[-1].id, wanted) if made else None

    def _ref(self, wanted: type[A], call: str) -> Ref[A]:
        found = self._newest(wanted)
        if found is None:
            own = (wanted.__name__, f"apply() with a component that leaves {wanted.__name__}")
            what, maker = _MAKERS.get(wanted, own)
            raise OrderError(
                f"{call}() needs {what}. This pipeline so far: {self._so_far}.", fix=f"Call {maker} first."
            )
        return found

    @property
    def _so_far(self) -> str:
        return ", ".join(s.id for s in self.steps) or "nothing"

    @property
    def _splits(self) -> tuple[str, ...]:
        return next((s.split_names for s in self.steps if isinstance(s, Source)), ())
