"""What the metadata store gives back: light records in place of ML Metadata's protos."""

from __future__ import annotations

import json
import socket
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fluent_pipe.artifacts import TYPES, Artifact
from fluent_pipe.mirror import Root
from fluent_pipe.store.files import is_held

Property = str | int | float


@dataclass(frozen=True)
class StoredExecution:
    """One published execution of a step.

    Parameters
    ----------
    step
        Id of the step.
    name
        Name of the execution, the last part of ``path``.
    path
        The published folder.
    key
        Cache key under which it was made.
    fingerprint
        Hash of the folder's content.
    seconds
        How long it took.
    artifacts
        What it produced; all lie in ``path``.
    published
        When it was recorded, UTC.
    properties
        Facts that were recorded with it.
    id
        Its number in ML Metadata.
    run
        Id of the run that made it.
    """

    step: str
    name: str
    path: Path
    key: str
    fingerprint: str
    seconds: float
    artifacts: tuple[Artifact, ...]
    published: datetime
    properties: Mapping[str, Property] = field(default_factory=dict)
    id: int = 0
    run: str = ""


@dataclass(frozen=True)
class StoredStep:
    """How one step went in one run.

    Parameters
    ----------
    step
        Id of the step.
    state
        ``"ran"``, ``"cached"``, ``"failed"`` or ``"skipped"``.
    seconds
        How long it took; for a cached step, when it ran.
    path
        The published folder; None for a failed or skipped step.
    note
        Why it was skipped.
    """

    step: str
    state: str
    seconds: float
    path: Path | None
    note: str = ""


@dataclass(frozen=True)
class StoredRun:
    """One run of a pipeline.

    Parameters
    ----------
    id
        Its id.
    pipeline
        Name of the pipeline.
    state
        ``"running"``, ``"succeeded"``, ``"failed"``, ``"not pushed"``, ``"not scored"``, ``"waiting"`` or
        ``"interrupted"``: also that of a run whose process died.
    started, finished
        UTC; ``finished`` is None for a run that did not come to its end.
    steps
        The steps that came to their end, in that order.
    properties
        Facts that were recorded with it.
    number
        Its number in ML Metadata; a run that was recorded later has a higher one.
    """

    id: str
    pipeline: str
    state: str
    started: datetime
    finished: datetime | None
    steps: tuple[StoredStep, ...]
    properties: Mapping[str, Property]
    number: int = 0


def execution_from(proto: Any, root: Root, types: Collection[type[Artifact]] = ()) -> StoredExecution:
    """A record from an ML Metadata execution; ``types`` are those that its artifacts are known to be of, by name."""
    known = {kind.__name__: kind for kind in types}
    own = proto.properties
    relative = own["path"].string_value
    path = root.home / relative
    step, name = own["step"].string_value, own["execution"].string_value
    fingerprint, url = own["fingerprint"].string_value, root.url_of(path)
    produced = json.loads(own["produces"].string_value)
    return StoredExecution(
        step=step,
        name=name,
        path=path,
        key=own["key"].string_value,
        fingerprint=fingerprint,
        seconds=own["seconds"].double_value,
        artifacts=tuple(
            (known.get(kind) or artifact_type(kind))(path, fingerprint, step, name, url) for kind in produced
        ),
        published=_moment(proto.create_time_since_epoch),
        properties=values(proto.custom_properties),
        id=proto.id,
        run=own["run"].string_value,
    )


def artifact_from(proto: Any, kind: str, root: Root) -> Artifact:
    """A record from an ML Metadata artifact. ``home / uri`` is the uri itself where that is absolute."""
    own, path = proto.properties, root.home / proto.uri
    step, name = own["step"].string_value, own["execution"].string_value
    return artifact_type(kind)(path, own["fingerprint"].string_value, step, name, root.url_of(path))


def run_from(proto: Any, root: Path) -> StoredRun:
    """A record from an ML Metadata context; a run whose process is gone counts as interrupted."""
    own = proto.properties
    pipeline, state = own["pipeline"].string_value, own["state"].string_value
    if state == "running" and not _alive(proto, root):
        state = "interrupted"
    finished = own["finished"].double_value
    steps = json.loads(own["steps"].string_value or "[]")
    return StoredRun(
        id=proto.name,
        pipeline=pipeline,
        state=state,
        started=datetime.fromtimestamp(own["started"].double_value, timezone.utc),
        finished=datetime.fromtimestamp(finished, timezone.utc) if finished else None,
        steps=tuple(StoredStep(s[0], s[1], s[2], root / s[3] if s[3] else None, *s[4:]) for s in steps),
        properties=values(proto.custom_properties),
        number=proto.id,
    )


def run_lock(root: Path, pipeline: str, run_id: str) -> Path:
    """The file that a run's process keeps locked while it lives."""
    return root / pipeline / "runs" / run_id / ".alive"


def _alive(proto: Any, root: Path) -> bool:
    lock = run_lock(root, proto.properties["pipeline"].string_value, proto.name)
    if lock.exists():
        return is_held(lock)
    return bool(proto.properties["host"].string_value != socket.gethostname())  # elsewhere, with a root of its own


def artifact_type(kind: str) -> type[Artifact]:
    """The artifact type of a name; the base type for one that is not loaded in this process."""
    return TYPES.get(kind) or next((t for t in _subtypes(Artifact) if t.__name__ == kind), Artifact)


def _subtypes(kind: type[Artifact]) -> Iterator[type[Artifact]]:
    for subtype in kind.__subclasses__():
        yield subtype
        yield from _subtypes(subtype)


def relative_to_root(path: Path, root: Path) -> str:
    """A path as it is stored: relative to the root where it lies in it, so that a root may be moved as a whole."""
    absolute, base = path.absolute(), root.absolute()
    return (absolute.relative_to(base) if absolute.is_relative_to(base) else absolute).as_posix()


def put_properties(target: Any, values: Mapping[str, object]) -> None:
    """Write plain values into a proto map of properties; bools become integers and anything else text."""
    for name, value in values.items():
        if isinstance(value, int):  # bool too
            target[name].int_value = int(value)
        elif isinstance(value, float):
            target[name].double_value = value
        else:
            target[name].string_value = str(value)


def values(properties: Any) -> dict[str, Property]:
    """Plain values from a proto map of properties."""
    return dict(_values(properties))


def _values(properties: Any) -> Iterator[tuple[str, Property]]:
    for name, value in properties.items():
        kind = value.WhichOneof("value")
        if kind in ("int_value", "double_value", "string_value"):
            yield name, getattr(value, kind)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
