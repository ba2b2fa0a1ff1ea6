"""Runs in the metadata store: begun, ended, listed, and known as interrupted when their process died."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fluent_pipe.errors import ArgumentError, StoreError
from fluent_pipe.mirror import Root
from fluent_pipe.store.connection import protos
from fluent_pipe.store.database import RUN_TYPE, Database, equals, quoted
from fluent_pipe.store.files import Lock, writing
from fluent_pipe.store.records import (
    Property,
    StoredRun,
    put_properties,
    run_from,
    run_lock,
)

if TYPE_CHECKING:
    from typing_extensions import Self

RUN_STATES = (
    "running",
    "succeeded",
    "failed",
    "not pushed",
    "not scored",
    "waiting",
    "template written",
    "interrupted",
)


class RunStore:
    """The runs of one root.

    Parameters
    ----------
    root
        Where the pipelines lie.
    database
        The connected database.
    """

    def __init__(self, root: Root, database: Database) -> None:
        self.place = root
        self.root = root.home
        self._database = database
        self.url = database.url
        self._running: dict[str, tuple[Any, Lock]] = {}

    def close(self) -> None:
        """Give up what the running runs hold; they count as interrupted if they were not ended."""
        for _, lock in self._running.values():
            lock.release()
        self._running.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin_run(self, pipeline: str, run_id: str, properties: Mapping[str, Property] | None = None) -> None:
        """Begin a run. It counts as running until :meth:`end_run`, or until this process dies.

        Raises
        ------
        StoreError
            If the id is taken, or the run's folder cannot be written.
        """
        from ml_metadata import errors

        path = run_lock(self.root, pipeline, run_id)
        lock = Lock(path)
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            if not lock.acquire(wait=False):
                raise StoreError(f"The run {run_id!r} is running already.", where=str(path.parent))
        try:
            made = self._new_context(pipeline, run_id, properties or {})
        except errors.AlreadyExistsError as error:
            lock.release()
            raise StoreError(f"There is a run {run_id!r} already.", where=self._database.where) from error
        except BaseException:
            lock.release()
            raise
        self._running[run_id] = (made, lock)

    def _new_context(self, pipeline: str, run_id: str, properties: Mapping[str, Property]) -> Any:
        parent = self._database.pipeline_context(pipeline)
        made = protos().Context(type_id=self._database.type_id("context", RUN_TYPE), name=run_id)
        put_properties(made.properties, {"pipeline": pipeline, "state": "running", "host": socket.gethostname()})
        put_properties(made.properties, {"started": time.time(), "finished": 0.0, "steps": "[]"})
        put_properties(made.custom_properties, properties)
        made.id = self._database.call("put_contexts", [made])[0]
        link = protos().ParentContext(child_id=made.id, parent_id=parent.id)
        self._database.call("put_parent_contexts", [link])
        return made

    def end_run(self, run_id: str, state: str, properties: Mapping[str, Property] | None = None) -> Any:
        """End a run as any of ``RUN_STATES`` but ``"running"``; its context is returned."""
        if state not in RUN_STATES[1:]:
            raise ArgumentError(f"A run cannot end as {state!r}.", got=state, valid=RUN_STATES[1:])
        context, lock = self._run(run_id)
        put_properties(context.properties, {"state": state, "finished": time.time()})
        put_properties(context.custom_properties, properties or {})
        self._database.call("put_contexts", [context])
        del self._running[run_id]
        lock.path.unlink(missing_ok=True)
        lock.release()
        return context

    def runs(self, pipeline: str | None = None, limit: int = 50) -> list[StoredRun]:
        """The latest runs, of one pipeline or of all, the newest first."""
        condition = f"type = {quoted(RUN_TYPE)}"
        if pipeline is not None:
            condition += f" AND {equals('pipeline', pipeline)}"
        return [run_from(proto, self.root) for proto in self._database.newest("contexts", condition, limit)]

    def changed_runs(self, above: int, unended: Collection[int] = ()) -> list[StoredRun]:
        """What to read anew where all runs were read before: a run that has ended does not change any more.

        Parameters
        ----------
        above
            The highest number so far; 0 for all runs there are.
        unended
            Numbers of the runs that had not ended.

        Returns
        -------
        list of StoredRun
            The new runs, and those that had not ended as they are now.
        """
        condition = f"type = {quoted(RUN_TYPE)} AND id > {above}"
        found = list(self._database.newest("contexts", condition))
        if unended:
            found += self._database.call("get_contexts_by_id", list(unended))
        return [run_from(proto, self.root) for proto in found]

    def run(self, run_id: str) -> StoredRun | None:
        """The run with an id, or with the only id that starts so; None if there is none.

        Raises
        ------
        ArgumentError
            If several ids start so.
        """
        exact = self._database.context(RUN_TYPE, run_id)
        if exact is not None:
            return run_from(exact, self.root)
        # Databases differ in how LIKE escapes its wildcards: let through what they match, and look once more.
        condition = f"type = {quoted(RUN_TYPE)} AND name LIKE {quoted(run_id.replace(chr(92), '_') + '%')}"
        found = [p for p in self._database.newest("contexts", condition) if p.name.startswith(run_id)]
        if len(found) > 1:
            raise ArgumentError(f"Several runs start with {run_id!r}.", got=run_id, valid=[p.name for p in found])
        return run_from(found[0], self.root) if found else None

    def _run(self, run_id: str) -> tuple[Any, Lock]:
        if run_id not in self._running:
            raise ArgumentError(f"No run {run_id!r} is running here.", got=run_id, valid=list(self._running))
        return self._running[run_id]

    def _with_steps(self, run_id: str, *steps: tuple[str, str, float, str | None], note: str = "") -> Any:
        """A copy of a run's context that has more steps; :meth:`_keep` takes it over once it is written."""
        context, _ = self._run(run_id)
        changed = type(context)()
        changed.CopyFrom(context)
        known = json.loads(changed.properties["steps"].string_value)
        more = [[s[0], s[1], float(s[2]), s[3], note] for s in steps]
        changed.properties["steps"].string_value = json.dumps([*known, *more])
        return changed

    def _keep(self, context: Any) -> None:
        self._running[context.name] = (context, self._running[context.name][1])
