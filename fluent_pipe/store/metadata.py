"""The metadata store: what was published, by which execution, in which run. Kept with ML Metadata.

Artifact types are named as in :data:`fluent_pipe.artifacts.TYPES`, execution types as the calls that make steps;
contexts are the pipeline and the run. An execution is recorded in one transaction, after its folder was published: what
this store does not name does not exist.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from fluent_pipe.artifacts import A, Artifact
from fluent_pipe.errors import ArgumentError, StoreError
from fluent_pipe.store.connection import connect, protos
from fluent_pipe.store.database import Database, equals, quoted
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
from fluent_pipe.store.runs import RunStore

__all__ = ["MetadataStore", "StoredExecution", "StoredRun", "StoredStep"]


class MetadataStore(RunStore):
    """Published executions, artifacts and runs of one root. Open it with :meth:`open`.

    Parameters
    ----------
    root
        The folder that holds the pipelines.
    database
        The connected database.
    """

    @classmethod
    def open(cls, root: Path, url: str | None = None, *, create: bool = True) -> MetadataStore:
        """Open the store of a root.

        Parameters
        ----------
        root
            The folder that holds the pipelines.
        url
            ``mysql://user:password@host:port/database``, ``postgresql://...`` or ``sqlite:///path``; by default the
            SQLite file ``metadata.sqlite`` in the root.
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
        return cls(root, Database(connect(root, url, create=create), root, url))

    # Executions

    def lookup(self, pipeline: str, key: str, types: Collection[type[Artifact]] = ()) -> StoredExecution | None:
        """The latest complete execution with a cache key whose folder still exists.

        Parameters
        ----------
        types
            Artifact types that the step is known to leave; one of the user's own may be had in two classes of a name.
        """
        condition = f"{equals('key', key)} AND {equals('pipeline', pipeline)} AND last_known_state = COMPLETE"
        records = (execution_from(proto, self.root, types) for proto in self._database.newest("executions", condition))
        return next((record for record in records if record.path.is_dir()), None)

    def record(
        self,
        *,
        pipeline: str,
        run: str,
        step_id: str,
        step_type: str,
        execution: str,
        path: Path,
        key: str,
        fingerprint: str,
        seconds: float,
        produces: tuple[type[Artifact], ...],
        inputs: Mapping[str, Artifact],
        properties: Mapping[str, Property] | None = None,
    ) -> StoredExecution:
        """Record a published execution with its artifacts, its inputs and its run, in one transaction.

        Parameters
        ----------
        pipeline, run
            Name of the pipeline and id of a run that :meth:`begin_run` began.
        step_id, step_type, execution
            Id of the step, the call that made it, and the name of the execution.
        path
            The published folder.
        key, fingerprint
            Cache key, and hash of the folder's content.
        seconds
            How long the step took.
        produces
            Types of the artifacts that the folder holds.
        inputs
            Artifacts that were read, by the name of the input.
        properties
            Facts to find it by, kept with the execution and with each artifact.

        Raises
        ------
        StoreError
            If it cannot be written, or was recorded before. Nothing was written then.
        """
        from ml_metadata import errors

        place = relative_to_root(path, self.root)
        made = self._execution(pipeline, run, step_id, step_type, place, seconds, "COMPLETE")
        put_properties(made.properties, {"execution": execution, "key": key, "fingerprint": fingerprint})
        made.properties["produces"].string_value = json.dumps([kind.__name__ for kind in produces])
        put_properties(made.custom_properties, properties or {})
        pairs = [self._input(artifact, names) for artifact, names in _by_artifact(inputs)]
        pairs += [self._output(kind.__name__, place, made, properties or {}) for kind in produces]
        try:
            made.id = self._put(made, pairs, pipeline, run, (step_id, "ran", seconds, place))
        except errors.AlreadyExistsError as error:
            raise StoreError("The execution was recorded already.", where=str(path)) from error
        made.create_time_since_epoch = int(time.time() * 1000)
        return execution_from(made, self.root, produces)

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
        made = self._execution(pipeline, run, step_id, step_type, f"{run}/{step_id}/failed", seconds, "FAILED")
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

    def _execution(
        self, pipeline: str, run: str, step_id: str, step_type: str, place: str, seconds: float, state: str
    ) -> Any:
        states = protos().Execution.State
        type_id = self._database.type_id("execution", step_type)
        made = protos().Execution(type_id=type_id, name=place, last_known_state=states.Value(state))
        put_properties(made.properties, {"pipeline": pipeline, "run": run, "step": step_id, "path": place})
        made.properties["seconds"].double_value = float(seconds)
        return made

    def _put(
        self, made: Any, pairs: list[Any], pipeline: str, run: str, step: tuple[str, str, float, str | None]
    ) -> int:
        """One transaction: the execution, its artifacts and events, and the run with one more step."""
        changed = self._with_steps(run, step)
        contexts = [self._database.pipeline_context(pipeline), changed]
        number: int = self._database.call("put_execution", made, pairs, contexts)[0]
        self._keep(changed)
        return number

    def _output(self, kind: str, place: str, execution: Any, properties: Mapping[str, Property]) -> Any:
        made = self._artifact(kind, place)
        for name in ("pipeline", "step", "execution", "fingerprint"):
            made.properties[name].CopyFrom(execution.properties[name])
        put_properties(made.custom_properties, properties)
        return made, _event("OUTPUT", [kind])

    def _input(self, artifact: Artifact, names: list[str]) -> Any:
        kind, place = type(artifact).__name__, relative_to_root(artifact.path, self.root)
        made = self._database.call("get_artifact_by_type_and_name", kind, place)
        if made is None:  # it comes from outside this store
            made = self._artifact(kind, place)
            own = {"step": artifact.step, "execution": artifact.execution, "fingerprint": artifact.fingerprint}
            put_properties(made.properties, own)
        return made, _event("INPUT", names)

    def _artifact(self, kind: str, place: str) -> Any:
        live = protos().Artifact.LIVE
        type_id = self._database.type_id("artifact", kind)
        return protos().Artifact(type_id=type_id, name=place, uri=place, state=live)

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
                    and found.path.is_dir()
                    and not self._made_from(found, excluding)
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
        kind = artifact_type.__name__
        if stored is None:
            raise ArgumentError(f"There is no run {run!r}.", got=run, valid=self._ended())
        for path in (s.path for s in reversed(stored.steps) if s.path is not None and s.path.is_dir()):
            proto = self._database.call("get_artifact_by_type_and_name", kind, relative_to_root(path, self.root))
            found = None if proto is None else artifact_from(proto, kind, self.root)
            if isinstance(found, artifact_type):
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
        return {step.key: artifact_from(p, p.type, self.root) for p in found for step in names[p.id]}

    def _published(
        self, pipeline: str, artifact_type: type[A], excluding: Collection[str], where: Mapping[str, str | int]
    ) -> Iterator[A]:
        kind = artifact_type.__name__
        conditions = [f"type = {quoted(kind)}", "state = LIVE", equals("pipeline", pipeline)]
        conditions += [equals(name, value, custom=True) for name, value in where.items()]
        for proto in self._database.newest("artifacts", " AND ".join(conditions)):
            found = artifact_from(proto, kind, self.root)
            if found.fingerprint not in excluding and found.path.is_dir() and isinstance(found, artifact_type):
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


def _event(kind: str, keys: list[str]) -> Any:
    event = protos().Event(type=protos().Event.Type.Value(kind))
    for key in keys:
        event.path.steps.add().key = key
    return event


def _by_artifact(inputs: Mapping[str, Artifact]) -> list[tuple[Artifact, list[str]]]:
    """Artifacts with the names they have as inputs: ML Metadata keeps one event for an artifact and an execution."""
    found: dict[tuple[type[Artifact], Path], tuple[Artifact, list[str]]] = {}
    for name, artifact in inputs.items():
        found.setdefault((type(artifact), artifact.path), (artifact, []))[1].append(name)
    return list(found.values())
