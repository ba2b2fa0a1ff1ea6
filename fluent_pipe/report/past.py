"""A run as the store knows it, wherever it ran: the source of reports and of the page over runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fluent_pipe.artifacts import A, Artifact
from fluent_pipe.store.metadata import MetadataStore, StoredRun


@dataclass(frozen=True)
class PastRun:
    """One run with the artifacts that it made or took from the cache.

    Parameters
    ----------
    stored
        Its record: id, pipeline, state, times, steps, and properties: ``reason``, ``seconds``, ``expression``,
        ``versions``, ``commit``, where they were recorded.
    artifacts
        In the order of steps; only those whose folder still exists.
    folder
        Where its log, its report and its progress lie: ``root/<pipeline>/runs/<id>``.
    keys
        Cache key by step.
    """

    stored: StoredRun
    artifacts: tuple[Artifact, ...]
    folder: Path
    keys: Mapping[str, str]

    @classmethod
    def of(cls, store: MetadataStore, stored: StoredRun) -> PastRun:
        """The run with all that the store still has of it."""
        found = store.executions_of(stored)
        artifacts = tuple(a for e in found for a in e.artifacts)
        folder = store.root / stored.pipeline / "runs" / stored.id
        return cls(stored, artifacts, folder, {e.step: e.key for e in found})

    @classmethod
    def before(cls, store: MetadataStore, stored: StoredRun) -> PastRun | None:
        """The run of the same pipeline to compare with: the newest that began before this one and came to its end.

        One that failed counts only where no other did better: it has little to compare with.
        """
        earlier = [r for r in store.runs(stored.pipeline, limit=100) if r.started < stored.started]
        ended = [r for r in earlier if r.state not in ("running", "interrupted", "template written")]
        chosen = next((r for r in ended if r.state != "failed"), ended[0] if ended else None)
        return cls.of(store, chosen) if chosen is not None else None

    def artifact(self, kind: type[A]) -> A | None:
        """The last artifact of a type; None if the run left none."""
        found = [a for a in self.artifacts if isinstance(a, kind)]
        return found[-1] if found else None
