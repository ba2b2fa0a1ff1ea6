"""A run as the store knows it, wherever it ran: the source of reports and of the page over runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fluent_pipe.artifacts import A, Artifact
from fluent_pipe.store.metadata import MetadataStore, StoredExecution, StoredRun


@dataclass(frozen=True)
class PastRun:
    """One run with the artifacts that it made or took from the cache.

    Parameters
    ----------
    stored
        Its record: id, pipeline, state, times, steps, and properties: ``reason``, ``seconds``, ``expression``,
        ``versions``, ``commit``, where they were recorded.
    executions
        What its steps left, in their order; only those whose folder still exists.
    folder
        Where its log, its report and its progress lie: ``root/<pipeline>/runs/<id>``.
    """

    stored: StoredRun
    executions: tuple[StoredExecution, ...]
    folder: Path

    @classmethod
    def of(cls, store: MetadataStore, stored: StoredRun) -> PastRun:
        """The run with all that the store still has of it."""
        folder = store.root / stored.pipeline / "runs" / stored.id
        return cls(stored, tuple(store.executions_of(stored)), folder)

    @classmethod
    def before(cls, store: MetadataStore, stored: StoredRun) -> PastRun | None:
        """The run of the same pipeline to compare with: the newest that began before this one and came to its end.

        One that failed counts only where no other did better: it has little to compare with.
        """
        earlier = [r for r in store.runs(stored.pipeline, limit=100) if r.started < stored.started]
        ended = [r for r in earlier if r.state not in ("running", "interrupted", "template written")]
        chosen = next((r for r in ended if r.state != "failed"), ended[0] if ended else None)
        return cls.of(store, chosen) if chosen is not None else None

    @cached_property
    def artifacts(self) -> tuple[Artifact, ...]:
        """In the order of steps."""
        return tuple(a for e in self.executions for a in e.artifacts)

    @property
    def keys(self) -> Mapping[str, str]:
        """Cache key by step."""
        return {e.step: e.key for e in self.executions}

    def artifact(self, kind: type[A]) -> A | None:
        """The last artifact of a type; None if the run left none."""
        found = [a for a in self.artifacts if isinstance(a, kind)]
        return found[-1] if found else None
