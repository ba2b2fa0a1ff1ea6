"""ML Metadata with retries and types: one call, one transaction."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from fluent_pipe.store.connection import (
    import_ml_metadata,
    persistently,
    protos,
    shown,
    sqlite_path,
)

T = TypeVar("T")

PIPELINE_TYPE = "fluent_pipe.Pipeline"
RUN_TYPE = "fluent_pipe.Run"
_TEXT, _NUMBER = "STRING", "DOUBLE"
ARTIFACT_PROPERTIES = {"pipeline": _TEXT, "step": _TEXT, "execution": _TEXT, "fingerprint": _TEXT}
EXECUTION_PROPERTIES = {
    **ARTIFACT_PROPERTIES,
    "key": _TEXT,
    "path": _TEXT,
    "produces": _TEXT,
    "run": _TEXT,
    "seconds": _NUMBER,
}
RUN_PROPERTIES = {
    "pipeline": _TEXT,
    "state": _TEXT,
    "host": _TEXT,
    "steps": _TEXT,
    "started": _NUMBER,
    "finished": _NUMBER,
}
_PAGE = 50


class Database:
    """A connected ML Metadata store. Threads take turns.

    Parameters
    ----------
    store
        An open ``ml_metadata.MetadataStore``.
    root
        The root that it belongs to.
    url
        Its URL, if it is not the root's own SQLite file.
    """

    def __init__(self, store: Any, root: Path, url: str | None) -> None:
        self._store = store
        self.url = url
        path = sqlite_path(root, url)
        self.where = str(path) if path is not None else shown(url)
        self._turn = threading.RLock()
        self._types: dict[tuple[str, str], int] = {}
        self._contexts: dict[str, int] = {}

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of ML Metadata; retried while the database is busy."""

        def run() -> Any:
            return getattr(self._store, method)(*arguments, **options)

        with self._turn:
            return persistently(run, where=self.where)

    def type_id(self, kind: str, name: str) -> int:
        """Id of an ``artifact``, ``execution`` or ``context`` type; registered when this process first needs it."""
        if (kind, name) not in self._types:
            made = {
                "artifact": protos().ArtifactType,
                "execution": protos().ExecutionType,
                "context": protos().ContextType,
            }[kind](name=name)
            for field, value in self._fields(kind, name).items():
                made.properties[field] = getattr(protos(), value)
            # Both flags: a store that an older or a newer version has written has fewer or more properties.
            known = self.call(f"put_{kind}_type", made, can_add_fields=True, can_omit_fields=True)
            self._types[kind, name] = known
        return self._types[kind, name]

    @staticmethod
    def _fields(kind: str, name: str) -> Mapping[str, str]:
        if kind == "context":
            return RUN_PROPERTIES if name == RUN_TYPE else {}
        return ARTIFACT_PROPERTIES if kind == "artifact" else EXECUTION_PROPERTIES

    def context(self, kind: str, name: str) -> Any:
        """The context of that type and name, or None."""
        return self.call("get_context_by_type_and_name", kind, name)

    def pipeline_context(self, name: str) -> Any:
        """The context of a pipeline by its id; made when there is none yet."""
        from ml_metadata import errors

        if name not in self._contexts:
            found = self.context(PIPELINE_TYPE, name)
            if found is None:
                made = protos().Context(type_id=self.type_id("context", PIPELINE_TYPE), name=name)
                try:
                    self._contexts[name] = self.call("put_contexts", [made])[0]
                except errors.AlreadyExistsError:  # another process was quicker
                    found = self.context(PIPELINE_TYPE, name)
            if found is not None:
                self._contexts[name] = found.id
        type_id = self.type_id("context", PIPELINE_TYPE)
        return protos().Context(id=self._contexts[name], type_id=type_id, name=name)

    def newest(self, what: str, condition: str, limit: int | None = None) -> Iterator[Any]:
        """``executions``, ``artifacts`` or ``contexts`` that match a filter query, the newest first, read as needed."""
        ml_metadata = import_ml_metadata()
        below: int | None = None
        left = limit
        while left is None or left > 0:
            page = _PAGE if left is None else min(left, _PAGE)
            bound = "" if below is None else f" AND id < {below}"
            options = ml_metadata.ListOptions(
                limit=page, order_by=ml_metadata.OrderByField.ID, is_asc=False, filter_query=condition + bound
            )
            found: Sequence[Any] = self.call(f"get_{what}", list_options=options)
            yield from found
            if len(found) < page:
                return
            below = found[-1].id
            left = None if left is None else left - len(found)


def quoted(text: str) -> str:
    """A string literal of ML Metadata's filter language."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def equals(name: str, value: object, *, custom: bool = False) -> str:
    """A filter condition: a property has a value."""
    place = f"{'custom_properties' if custom else 'properties'}.`{name}`"
    if isinstance(value, (bool, int)):
        return f"{place}.int_value = {int(value)}"
    if isinstance(value, float):
        return f"{place}.double_value = {value!r}"
    return f"{place}.string_value = {quoted(str(value))}"
