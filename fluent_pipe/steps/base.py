"""What every step shares: a frozen description with typed references to earlier artifacts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from fluent_pipe.artifacts import Artifact
from fluent_pipe.errors import FluentPipeError
from fluent_pipe.steps.gates import Condition

A = TypeVar("A", bound=Artifact)

Pairs = tuple[tuple[str, Any], ...]
ArtifactType = type[Artifact]


@dataclass(frozen=True)
class Ref(Generic[A]):
    """A typed reference to an artifact that an earlier step of the same pipeline leaves."""

    step: str
    type: type[A]


@dataclass(frozen=True)
class Earlier(Generic[A]):
    """A reference to an artifact of an earlier run, found in the store when the run is planned.

    Of the same pipeline the newest artifact of the type is taken whose content is not that of ``other_than`` and that
    was not made from it, so that running an unchanged pipeline again takes the same artifact and stays a cache hit.
    There may be none.

    Parameters
    ----------
    type
        Type of the artifact.
    other_than
        The present run's own.
    judged_by
        Type of the verdict on it; only what was approved counts: a blessed model, statistics that passed validation.
        None: anything published counts.
    run
        Id of a run, or its beginning: the artifact of that run is meant, of whichever pipeline, and there must be one.
    """

    type: type[A]
    other_than: Ref[Any]
    judged_by: ArtifactType | None = None
    run: str | None = None


def streams(**more: Any) -> Any:
    """Mark an input that may still be flowing: a PCollection of the same Beam job will do."""
    return field(metadata={"streams": True}, **more)


def needs(**more: Any) -> Any:
    """Mark an input whose value must be known while the Beam graph is built; the job is cut before it."""
    return field(metadata={"streams": False}, **more)


def unkeyed(**more: Any) -> Any:
    """Mark an argument that changes how or where a step is done, not what it leaves: no part of the cache key."""
    return field(metadata={"keyed": False}, **more)


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one call asked for. Knows nothing of TensorFlow or Beam.

    Parameters
    ----------
    id
        Unique in its pipeline: the call's name, with a number after a repeated one.
    cached
        False if the step runs every time.
    conditions
        What must hold for the step to run, in order.
    """

    id: str
    cached: bool = True
    conditions: tuple[Condition, ...] = unkeyed(default=())

    call: ClassVar[str]
    """Name of the method of ``Pipeline``."""
    produces: ClassVar[tuple[type[Artifact], ...]]
    """Artifact types that it leaves, all in one folder."""
    version: ClassVar[int] = 1
    """Version of the component behind it; part of the cache key, raised when results would differ."""
    gates: ClassVar[bool] = False
    """True if later steps are never in its Beam job: its verdict decides whether they may run, or what it does lies
    outside the store and is not to be done again because a later step failed."""
    alone: ClassVar[bool] = False
    """True if no other step is ever in its Beam job: it runs several in turn, waits, or measures the machine."""
    resumes: ClassVar[bool] = False
    """True if what its component has finished in part is kept for the next run when a run is stopped or killed."""

    def inputs(self) -> dict[str, Ref[Any]]:
        """References to earlier steps, by field name."""
        return {f.name: v for f, v in self._fields() if isinstance(v, Ref)}

    def earlier(self) -> dict[str, Earlier[Any]]:
        """References to earlier runs, by field name."""
        return {f.name: v for f, v in self._fields() if isinstance(v, Earlier)}

    def needed(self) -> frozenset[str]:
        """Ids of the steps whose artifacts must be published before this one is lowered, and looked at first."""
        values = {v.step for f, v in self._fields() if isinstance(v, Ref) and not f.metadata.get("streams")}
        return frozenset(values.union(*(c.after for c in self.conditions)))

    def arguments(self) -> dict[str, Any]:
        """What was asked for, without references: the part of the cache key that the step itself gives."""
        return {
            f.name: v
            for f, v in self._fields()
            if not isinstance(v, (Ref, Earlier)) and f.name not in ("id", "cached") and f.metadata.get("keyed", True)
        }

    def source_files(self) -> tuple[str, ...]:
        """Patterns or paths of files outside the store whose content belongs to the cache key."""
        return ()

    def outside(self) -> tuple[str, ...]:
        """Paths and URLs outside the store that its workers read or write."""
        return ()

    def foreseen(self, facts: Mapping[str, Mapping[str, Any]]) -> FluentPipeError | None:
        """The error that this step is known to end in, so that nothing is run before it in vain.

        Parameters
        ----------
        facts
            Of those inputs that are published already, by field name.
        """
        return None

    def refused(self, facts: Mapping[str, Any]) -> FluentPipeError | None:
        """The error that ends the run for what was found, read from the facts that the step left."""
        return None

    def still_holds(self, facts: Mapping[str, Any]) -> bool:
        """Whether an earlier result can be used again, for a step whose effect lies outside the store."""
        return True

    def _fields(self) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
        return ((f, getattr(self, f.name)) for f in dataclasses.fields(self))


def pairs(mapping: Mapping[str, Any] | None) -> Pairs:
    """A mapping as a hashable tuple of pairs, order kept."""
    return tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in (mapping or {}).items())
