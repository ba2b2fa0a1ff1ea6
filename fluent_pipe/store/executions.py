"""Executions as ML Metadata takes them: one with its outputs and inputs, to be written in one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fluent_pipe.store.connection import protos
from fluent_pipe.store.database import Database
from fluent_pipe.store.manifest import Manifest
from fluent_pipe.store.records import put_properties


def published(database: Database, manifest: Manifest) -> tuple[Any, list[Any]]:
    """A published execution; and the artifacts that it has read and left, each with its event."""
    made = begun(
        database,
        manifest.pipeline,
        manifest.run,
        manifest.step,
        manifest.step_type,
        manifest.place,
        manifest.seconds,
        "COMPLETE",
    )
    for name in ("execution", "key", "fingerprint"):
        made.properties[name].string_value = getattr(manifest, name)
    made.properties["produces"].string_value = json.dumps(list(manifest.produces))
    put_properties(made.custom_properties, manifest.properties)
    return made, _inputs(database, manifest) + [_output(database, kind, made) for kind in manifest.produces]


def begun(
    database: Database, pipeline: str, run: str, step: str, step_type: str, place: str, seconds: float, state: str
) -> Any:
    """An execution that published nothing yet; ``place`` is its name, and its folder relative to the root."""
    states = protos().Execution.State
    type_id = database.type_id("execution", step_type)
    made = protos().Execution(type_id=type_id, name=place, last_known_state=states.Value(state))
    put_properties(made.properties, {"pipeline": pipeline, "run": run, "step": step, "path": place})
    made.properties["seconds"].double_value = float(seconds)
    return made


def _output(database: Database, kind: str, execution: Any) -> Any:
    made = _artifact(database, kind, execution.name)
    for name in ("pipeline", "step", "execution", "fingerprint"):
        made.properties[name].CopyFrom(execution.properties[name])
    for name, value in execution.custom_properties.items():
        made.custom_properties[name].CopyFrom(value)
    return made, _event("OUTPUT", [kind])


def _inputs(database: Database, manifest: Manifest) -> list[Any]:
    # ML Metadata keeps one event for an artifact and an execution: it holds all names.
    names: dict[tuple[str, str], list[str]] = {}
    for name, read in manifest.inputs.items():
        names.setdefault((read["type"], read["place"]), []).append(name)
    return [(_known(database, manifest.inputs[same[0]]), _event("INPUT", same)) for same in names.values()]


def _known(database: Database, read: Mapping[str, str]) -> Any:
    made = database.call("get_artifact_by_type_and_name", read["type"], read["place"])
    if made is None:  # it comes from outside this store
        made = _artifact(database, read["type"], read["place"])
        put_properties(made.properties, {name: read[name] for name in ("step", "execution", "fingerprint")})
    return made


def _artifact(database: Database, kind: str, place: str) -> Any:
    live = protos().Artifact.LIVE
    type_id = database.type_id("artifact", kind)
    return protos().Artifact(type_id=type_id, name=place, uri=place, state=live)


def _event(kind: str, keys: list[str]) -> Any:
    event = protos().Event(type=protos().Event.Type.Value(kind))
    for key in keys:
        event.path.steps.add().key = key
    return event
