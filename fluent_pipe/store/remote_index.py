"""The manifests of a root on an object store, taken up into the metadata store of this machine."""

from __future__ import annotations

import json
import logging
from typing import Any

from fluent_pipe.mirror import Root, fetch
from fluent_pipe.store import executions
from fluent_pipe.store.connection import protos
from fluent_pipe.store.database import RUN_TYPE, Database, equals, quoted
from fluent_pipe.store.manifest import Manifest
from fluent_pipe.store.manifests import Manifests
from fluent_pipe.store.records import put_properties, values

log = logging.getLogger(__name__)


class RemoteIndex:
    """What a root on an object store has, as its last listing told, and this process has published since.

    The manifests are the truth: the metadata store is an index of them, and may hold what was removed since.

    Parameters
    ----------
    root
        On an object store.
    database
        Of the metadata store.
    """

    def __init__(self, root: Root, database: Database) -> None:
        self.manifests = Manifests(root.url)
        self._root = root
        self._database = database
        self._there: dict[str, set[str]] = {}

    def sync(self, pipeline: str) -> None:
        """List the manifests of a pipeline, and take up those that the metadata store does not know.

        Raises
        ------
        StoreError
            If they cannot be read.
        """
        there, runs = self.manifests.listed(pipeline)
        for manifest in self.manifests.read(pipeline, there - self._recorded(pipeline)):
            self._adopt(manifest)
        for facts in self.manifests.read_runs(pipeline, runs - self._runs(pipeline)):
            self._adopt_run(facts)
        self._there[pipeline] = there

    def add(self, place: str) -> None:
        """Count the execution that this process has published; ``place`` is its folder relative to the root."""
        pipeline, _, rest = place.partition("/")
        self._there.setdefault(pipeline, set()).add(rest)

    def named(self, pipeline: str) -> set[str]:
        """Executions that are there, as ``<step>/<execution>``."""
        return self._there.get(pipeline, set())

    def has(self, place: str) -> bool:
        """Whether an execution is there; all of it but the rows is then on this machine too.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        pipeline, _, rest = place.partition("/")
        if pipeline not in self._there:
            self.sync(pipeline)
        if rest not in self._there[pipeline]:
            return False
        try:
            fetch(f"{self._root.url}/{place}", self._root.home / place)
        except FileNotFoundError as error:
            log.warning("The manifest of %s names what is not there: %s", place, error)
            return False
        return True

    def tell(self, run: Any) -> None:
        """Tell other machines of a run that has ended; ``run`` is its context in ML Metadata.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        own = run.properties
        facts = {name: own[name].string_value for name in ("pipeline", "state", "host")}
        times = {name: own[name].double_value for name in ("started", "finished")}
        steps, properties = json.loads(own["steps"].string_value), values(run.custom_properties)
        self.manifests.put_run(
            facts["pipeline"], run.name, {"id": run.name, **facts, **times, "steps": steps, "properties": properties}
        )

    def _recorded(self, pipeline: str) -> set[str]:
        condition = f"{equals('pipeline', pipeline)} AND last_known_state = COMPLETE"
        return {proto.name.partition("/")[2] for proto in self._database.newest("executions", condition)}

    def _runs(self, pipeline: str) -> set[str]:
        condition = f"type = {quoted(RUN_TYPE)} AND {equals('pipeline', pipeline)}"
        return {proto.name for proto in self._database.newest("contexts", condition)}

    def _adopt(self, manifest: Manifest) -> None:
        from ml_metadata import errors

        made, pairs = executions.published(self._database, manifest)
        try:
            self._database.call("put_execution", made, pairs, [self._database.pipeline_context(manifest.pipeline)])
        except errors.AlreadyExistsError:  # another process was quicker
            log.info("%s is known by now", manifest.place)

    def _adopt_run(self, facts: dict[str, Any]) -> None:
        from ml_metadata import errors

        made = protos().Context(type_id=self._database.type_id("context", RUN_TYPE), name=facts["id"])
        put_properties(made.properties, {name: facts[name] for name in ("pipeline", "state", "host")})
        put_properties(made.properties, {name: float(facts[name]) for name in ("started", "finished")})
        put_properties(made.properties, {"steps": json.dumps(facts["steps"])})
        put_properties(made.custom_properties, facts["properties"])
        try:
            made.id = self._database.call("put_contexts", [made])[0]
        except errors.AlreadyExistsError:
            log.info("%s is known by now", facts["id"])
            return
        parent = self._database.pipeline_context(facts["pipeline"])
        link = protos().ParentContext(child_id=made.id, parent_id=parent.id)
        self._database.call("put_parent_contexts", [link])
