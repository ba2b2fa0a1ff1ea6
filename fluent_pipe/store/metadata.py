"""The metadata store: what was published, by which execution, in which run. Kept with ML Metadata.

Artifact types are named as in :data:`fluent_pipe.artifacts.TYPES`, execution types as the calls that make steps;
contexts are the pipeline and the run. An execution is recorded in one transaction, after its folder was published: what
this store does not name does not exist.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from fluent_pipe.artifacts import A, Artifact
from fluent_pipe.errors import ArgumentError, StoreError
from fluent_pipe.mirror import Root
from fluent_pipe.store import executions
from fluent_pipe.store.connection import connect, protos
from fluent_pipe.store.database import Database, equals, quoted
from fluent_pipe.store.manifest import Manifest
from fluent_pipe.store.records import (
    Property,
    StoredExecution,
    StoredRun,
    StoredStep,
    artifact_from,
    execution_from,
    put_properties,
    relative_to_root,
)
from fluent_pipe.store.remote_index import RemoteIndex
from fluent_pipe.store.runs import RunStore

__all__ = ["MetadataStore", "StoredExecution", "StoredRun", "StoredStep"]

log = logging.getLogger(__name__)

_SWEPT = ".swept"
_SWEEP_SECONDS = 24 * 3600.0


class MetadataStore(RunStore):
    """Published executions, artifacts and runs of one root. Open it with :meth:`open`.

    Parameters
    ----------
    root
        Where the pipelines lie.
    database
        The connected database.
    """

    def __init__(self, root: Root, database: Database) -> None:
        super().__init__(root, database)
        self._remote = RemoteIndex(root, database) if root.url else None

    def sync(self, pipeline: str | None = None) -> None:
        """Take up what other machines have published in a root on an object store, in one pipeline or in all.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        if self._remote is not None:
            for name in [pipeline] if pipeline is not None else self._remote.manifests.pipelines():
                self._remote.sync(name)

    def end_run(self, run_id: str, state: str, properties: Mapping[str, Property] | None = None) -> Any:
        """End a run as any of ``RUN_STATES`` but ``"running"``, and tell other machines where they share the root."""
        context = super().end_run(run_id, state, properties)
        if self._remote is not None:
            self._remote.tell(context)
        return context

    def sweep(self, pipeline: str) -> None:
        """Remove what runs that were killed have left in a root on an object store; once a day, since it takes time."""
        if self._remote is None:
            return
        swept = self.root / pipeline / _SWEPT
        if not swept.exists() or time.time() - swept.stat().st_mtime > _SWEEP_SECONDS:
            swept.parent.mkdir(parents=True, exist_ok=True)
            swept.touch()
            try:
                self._remote.manifests.sweep(pipeline, self._remote.named(pipeline))
            except StoreError:
                log.exception("What killed runs have left could not be removed")  # the run can do without

    @classmethod
    def open(cls, root: Path | Root, url: str | None = None, *, create: bool = True) -> MetadataStore:
        """Open the store of a root.

        Parameters
        ----------
        root
            Where the pipelines lie.
        url
            ``mysql://user:password@host:port/database``, ``postgresql://...`` or ``sqlite:///path``; by default the
            SQLite file ``metadata.sqlite`` in the root, or in the folder that mirrors it.
        create
            Whether a missing root and database are made.

        Raises
        ------
        StoreError
            If there is none, or it is of a newer version, damaged, locked for long, or cannot be reached or written.
            Nothing was changed then.
        ArgumentError
            If the URL cannot be read.
        """
        place = root if isinstance(root, Root) else Root.of(root)
        return cls(place, Database(connect(place.home, url, create=create), place.home, url))

    # Executions

    def lookup(self, pipeline: str, key: str, types: Collection[type[Artifact]] = ()) -> StoredExecution | None:
        """The latest complete execution with a cache key whose folder still exists.

        Parameters
        ----------
        types
            Artifact types that the step is known to leave; one of the user's own may be had in two classes of a name.
        """
        condition = f"{equals('key', key)} AND {equals('pipeline', pipeline)} AND last_known_state = COMPLETE"
        records = (execution_from(proto, self.place, types) for proto in self._newest("executions", condition))
        return next((record for record in records if self._is_there(record.path)), None)

    def executions_of(self, run: StoredRun) -> list[StoredExecution]:
        """What a run made or took from the cache and is still there, in the order of steps."""
        places = [s.path for s in run.steps if s.path is not None and self._is_there(s.path)]
        if not places:
            return []
        any_of = " OR ".join(equals("path", relative_to_root(path, self.root)) for path in places)
        condition = f"({any_of}) AND {equals('pipeline', run.pipeline)}"
        found = [execution_from(proto, self.place) for proto in self._database.newest("executions", condition)]
        by_path = {stored.path: stored for stored in reversed(found)}  # of several, the newest
        return [by_path[path] for path in places if path in by_path]

    def record(self, manifest: Manifest, types: Collection[type[Artifact]] = ()) -> StoredExecution:
        """Record a published execution with its artifacts, its inputs and its run, in one transaction.

        Parameters
        ----------
        manifest
            What is known of it; its run is one that :meth:`begin_run` began.
        types
            Artifact types that it is known to have left; see :meth:`lookup`.

        Raises
        ------
        StoreError
            If it cannot be written, or was recorded before. Nothing was written then.
        """
        from ml_metadata import errors

        made, pairs = executions.published(self._database, manifest)
        step = (manifest.step, "ran", manifest.seconds, manifest.place)
        try:
            made.id = self._put(made, pairs, manifest.pipeline, manifest.run, step)
        except errors.AlreadyExistsError as error:
            where = str(self.root / manifest.place)
            raise StoreError("The execution was recorded already.", where=where) from error
        if self._remote is not None:
            self._remote.add(manifest.place)
        made.create_time_since_epoch = int(time.time() * 1000)
        return execution_from(made, self.place, types)

    def read_by(self, inputs: Mapping[str, Artifact]) -> dict[str, dict[str, str]]:
        """Inputs by their names, as a manifest has them."""
        return {
            name: {
                "type": type(a).__name__,
                "place": relative_to_root(a.path, self.root),
                "step": a.step,
                "execution": a.execution,
                "fingerprint": a.fingerprint,
            }
            for name, a in inputs.items()
        }

    def record_cached(self, run: str, *stored: StoredExecution) -> None:
        """Make executions of earlier runs a part of this run too."""
        if not stored:
            return
        steps = [(s.step, "cached", s.seconds, relative_to_root(s.path, self.root)) for s in stored]
        changed = self._with_steps(run, *steps)
        made = [protos().Association(execution_id=s.id, context_id=changed.id) for s in stored]
        self._database.call("put_attributions_and_associations", [], made)
        self._database.call("put_contexts", [changed])
        self._keep(changed)

    def record_failed(
        self, *, pipeline: str, run: str, step_id: str, step_type: str, seconds: float, reason: str
    ) -> None:
        """Record that a step failed in a run. ``reason`` is kept as text."""
        place = f"{run}/{step_id}/failed"
        made = executions.begun(self._database, pipeline, run, step_id, step_type, place, seconds, "FAILED")
        put_properties(made.custom_properties, {"reason": reason})
        made.ClearField("name")
        self._put(made, [], pipeline, run, (step_id, "failed", seconds, None))

    def record_skipped(self, run: str, step_id: str, reason: str) -> None:
        """Record that a step was skipped in a run, and why."""
        changed = self._with_steps(run, (step_id, "skipped", 0.0, None), note=reason)
        self._database.call("put_contexts", [changed])
        self._keep(changed)

    def recorded_paths(self, pipeline: str) -> set[Path]:
        """Folders of all recorded executions of a pipeline."""
        condition = f"{equals('pipeline', pipeline)} AND last_known_state = COMPLETE"
        found = self._database.newest("executions", condition)
        return {self.root / proto.properties["path"].string_value for proto in found}

    def _put(
        self, made: Any, pairs: list[Any], pipeline: str, run: str, step: tuple[str, str, float, str | None]
    ) -> int:
        """One transaction: the execution, its artifacts and events, and the run with one more step."""
        changed = self._with_steps(run, step)
        contexts = [self._database.pipeline_context(pipeline), changed]
        number: int = self._database.call("put_execution", made, pairs, contexts)[0]
        self._keep(changed)
        return number

    def _newest(self, what: str, condition: str) -> Iterator[Any]:
        """What was published last comes first; by its name where other machines publish too, and by number here."""
        found = self._database.newest(what, condition)
        if self._remote is None:
            return found
        return iter(sorted(found, key=lambda proto: proto.properties["execution"].string_value, reverse=True))

    def _is_there(self, path: Path) -> bool:
        if self._remote is None or not self.place.url_of(path):
            return path.is_dir()
        return self._remote.has(relative_to_root(path, self.root))

    # Artifacts

    def latest(
        self,
        pipeline: str,
        artifact_type: type[A],
        *,
        excluding: Collection[str] = (),
        where: Mapping[str, str | int] | None = None,
    ) -> A | None:
        """The artifact of a type that a pipeline published last.

        Parameters
        ----------
        excluding
            Fingerprints that do not count, neither of the artifact nor of what it was directly made from: mostly that
            of the present run's own.
        where
            Values that properties recorded with it must have, such as ``{"approved": 1}``.
        """
        found = self._published(pipeline, artifact_type, excluding, where or {})
        return next((a for a in found if not self._made_from(a, excluding)), None)

    def latest_approved(
        self, pipeline: str, artifact_type: type[A], *, by: type[Artifact], excluding: Collection[str] = ()
    ) -> A | None:
        """The artifact of a type that the last favourable verdict of a pipeline was about, or was made from.

        That is the nearest one upstream of the newest verdict recorded with ``approved=1`` whose folder exists and
        that does not count as excluded; see :meth:`latest`.

        Parameters
        ----------
        by
            Type of the verdict: ``ModelBlessing`` or ``Anomalies``.
        """
        for verdict in self._published(pipeline, by, (), {"approved": 1}):
            for found in self._upstream(verdict):
                if (
                    type(found) is artifact_type
                    and found.fingerprint not in excluding
                    and not self._made_from(found, excluding)
                    and self._is_there(found.path)
                ):
                    return found
        return None

    def of_run(self, run: str, artifact_type: type[A]) -> A:
        """The artifact of a type that a run made or took from the cache; the last one, where there are several.

        Parameters
        ----------
        run
            Id of the run, or its beginning.

        Raises
        ------
        ArgumentError
            If there is no such run, several ids begin so, or it has no such artifact any more.
        """
        stored = self.run(run)
        if stored is None:
            self.sync()  # it may be another machine's, of another pipeline
            stored = self.run(run)
        kind = artifact_type.__name__
        if stored is None:
            raise ArgumentError(f"There is no run {run!r}.", got=run, valid=self._ended())
        for path in (s.path for s in reversed(stored.steps) if s.path is not None):
            proto = self._database.call("get_artifact_by_type_and_name", kind, relative_to_root(path, self.root))
            found = None if proto is None else artifact_from(proto, kind, self.place)
            if isinstance(found, artifact_type) and self._is_there(path):
                return found
        raise ArgumentError(
            f"Run {stored.id!r} of pipeline {stored.pipeline!r} has no {kind}: {stored.state}.",
            fix="Name a run that made one and still has it; `fluent-pipe show RUN` tells.",
        )

    def _ended(self) -> list[str]:
        return [run.id for run in self.runs(limit=10) if run.state != "running"]

    def _made_from(self, artifact: Artifact, fingerprints: Collection[str]) -> bool:
        return bool(fingerprints) and any(i.fingerprint in fingerprints for i in self.inputs(artifact).values())

    def inputs(self, artifact: Artifact) -> dict[str, Artifact]:
        """What the execution that made an artifact has read, by the name of the input; empty if it is not recorded."""
        place = relative_to_root(artifact.path, self.root)
        proto = self._database.call("get_artifact_by_type_and_name", type(artifact).__name__, place)
        events = [] if proto is None else self._database.call("get_events_by_artifact_ids", [proto.id])
        makers = [e.execution_id for e in events if e.type == protos().Event.OUTPUT]
        if not makers:
            return {}
        events = self._database.call("get_events_by_execution_ids", makers[:1])
        names = {e.artifact_id: e.path.steps for e in events if e.type == protos().Event.INPUT}
        found = self._database.call("get_artifacts_by_id", list(names)) if names else []
        return {step.key: artifact_from(p, p.type, self.place) for p in found for step in names[p.id]}

    def made_by(self, artifact: Artifact) -> StoredExecution | None:
        """The execution that left an artifact, also where its folder is gone; None if it is not recorded."""
        place = equals("path", relative_to_root(artifact.path, self.root))
        found = self._database.newest("executions", f"{place} AND last_known_state = COMPLETE", 1)
        return next((execution_from(proto, self.place) for proto in found), None)

    def exists(self, stored: StoredExecution) -> bool:
        """Whether what an execution has left is still there."""
        return self._is_there(stored.path)

    def read_of(self, artifact: Artifact) -> list[StoredExecution]:
        """The executions that have read an artifact, in the order in which they were recorded."""
        place = relative_to_root(artifact.path, self.root)
        proto = self._database.call("get_artifact_by_type_and_name", type(artifact).__name__, place)
        events = [] if proto is None else self._database.call("get_events_by_artifact_ids", [proto.id])
        readers = sorted({e.execution_id for e in events if e.type == protos().Event.INPUT})
        found = self._database.call("get_executions_by_id", readers) if readers else []
        return [execution_from(proto, self.place) for proto in sorted(found, key=lambda proto: proto.id)]

    def _published(
        self, pipeline: str, artifact_type: type[A], excluding: Collection[str], where: Mapping[str, str | int]
    ) -> Iterator[A]:
        kind = artifact_type.__name__
        conditions = [f"type = {quoted(kind)}", "state = LIVE", equals("pipeline", pipeline)]
        conditions += [equals(name, value, custom=True) for name, value in where.items()]
        for proto in self._newest("artifacts", " AND ".join(conditions)):
            found = artifact_from(proto, kind, self.place)
            if found.fingerprint in excluding or not isinstance(found, artifact_type):
                continue
            if self._is_there(found.path):
                yield found

    def _upstream(self, artifact: Artifact) -> Iterator[Artifact]:
        """Everything that an artifact was made from, the nearest first."""
        waiting: list[Artifact] = [artifact]
        met = {(type(artifact), artifact.path)}
        while waiting:
            for found in self.inputs(waiting.pop(0)).values():
                if (type(found), found.path) not in met:
                    met.add((type(found), found.path))
                    waiting.append(found)
                    yield found
