"""Manifests: what exists on an object store. One small file an execution, written last and by one request.

Layout under the URL of a root::

    <pipeline>/<step>/<execution>/...               files; nothing looks at them before a manifest names them
    <pipeline>/_manifests/<step>/<execution>.json   the manifest: all that the metadata store records, and the files
    <pipeline>/_manifests/runs/<run>.json           a run that has ended
    <pipeline>/runs/<run>/log.txt                   its log

Manifests lie together, so that one listing tells what a pipeline has.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from fluent_pipe.mirror import MANIFESTS
from fluent_pipe.remote import (
    AT_ONCE,
    file_system,
    joined,
    listed,
    put,
    reaching,
    read_bytes,
    remove,
    within,
    write_bytes,
)
from fluent_pipe.store.files import EXECUTION_NAME, age_of
from fluent_pipe.store.manifest import Manifest, inputs_first

PROBE_SECONDS = 30.0
GRACE_SECONDS = 14 * 24 * 3600.0
"""Files that no manifest names are left alone so long: longer than a job of any cluster takes."""

RUNS = "runs"


class Manifests:
    """The manifests of one root on an object store.

    Parameters
    ----------
    url
        Of the root.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def reach(self) -> None:
        """Look whether the root can be read.

        Raises
        ------
        StoreError
            If not; within half a minute where nothing answers.
        """
        with suppress(FileNotFoundError):
            within(PROBE_SECONDS, self.url, partial(read_bytes, joined(self.url, MANIFESTS)))

    def check(self, pipeline: str, run: str) -> None:
        """Look whether the root can be written: make the log of a run that begins, empty.

        Raises
        ------
        StoreError
            If not; within half a minute where nothing answers.
        """
        log_file = joined(self.url, pipeline, RUNS, run, "log.txt")
        within(PROBE_SECONDS, self.url, partial(write_bytes, log_file, b""))

    def pipelines(self) -> list[str]:
        """Names of the pipelines in the root."""
        return listed(self.url, "directory")

    def listed(self, pipeline: str) -> tuple[set[str], set[str]]:
        """What a pipeline has, by one listing: executions as ``<step>/<execution>``, and ids of runs that have ended.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        executions, runs = set(), set()
        folder = joined(self.url, pipeline, MANIFESTS)
        for found in sizes(folder):
            step, slash, file = found.partition("/")
            name = file.removesuffix(".json")
            if slash and name != file:
                runs.add(name) if step == RUNS else executions.add(f"{step}/{name}")
        return executions, runs

    def read(self, pipeline: str, executions: Collection[str]) -> list[Manifest]:
        """Manifests of executions, each after those of its inputs; one that was removed meanwhile is left out."""
        found = self._read(pipeline, executions)
        manifests = {m.place: m for m in (Manifest.decoded(content, where=url) for url, content in found)}
        return list(inputs_first(manifests))

    def read_runs(self, pipeline: str, runs: Collection[str]) -> list[dict[str, Any]]:
        """What was written of runs by :meth:`put_run`."""
        return [json.loads(content) for _, content in self._read(pipeline, [f"{RUNS}/{run}" for run in runs])]

    def put_run(self, pipeline: str, run: str, facts: Mapping[str, Any]) -> None:
        """Tell other machines of a run that has ended.

        Raises
        ------
        StoreError
            If it cannot be written within half a minute.
        """
        file = joined(self.url, pipeline, MANIFESTS, RUNS, f"{run}.json")
        within(PROBE_SECONDS, file, partial(write_bytes, file, json.dumps(facts, indent=1).encode()))

    def put_of_run(self, pipeline: str, run: str, file: Path) -> None:
        """Leave a file of a run that has ended, under its name: the log, the report.

        Raises
        ------
        StoreError
            If it cannot be written within half a minute.
        """
        where = joined(self.url, pipeline, RUNS, run, file.name)
        within(PROBE_SECONDS, where, partial(put, {where: file}))

    def sweep(self, pipeline: str, named: Collection[str], *, grace_seconds: float = GRACE_SECONDS) -> list[str]:
        """Remove files that no manifest names, of runs that were killed long ago.

        A folder's age is that in its name: when its job began, or its upload.

        Returns
        -------
        list of str
            URLs that were removed.
        """
        removed = []
        above = joined(self.url, pipeline)
        for step in listed(above, "directory"):
            if step in (RUNS, MANIFESTS):
                continue
            for name in listed(joined(above, step), "directory"):
                old = EXECUTION_NAME.fullmatch(name) and age_of(name) >= grace_seconds
                if old and f"{step}/{name}" not in named:
                    remove(joined(above, step, name))
                    removed.append(joined(above, step, name))
        return removed

    def _read(self, pipeline: str, names: Collection[str]) -> list[tuple[str, bytes]]:
        urls = [joined(self.url, pipeline, MANIFESTS, f"{name}.json") for name in names]

        def content(url: str) -> list[tuple[str, bytes]]:
            with suppress(FileNotFoundError):
                return [(url, read_bytes(url))]
            return []

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return [pair for pairs in pool.map(content, urls) for pair in pairs]


def sizes(folder: str) -> dict[str, int]:
    """Sizes of all files in a folder on an object store, by relative name; empty if there are none.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    with reaching(folder, "listed"):
        system, path = file_system(folder)
        try:
            found = system.find(path, detail=True)
        except FileNotFoundError:
            return {}
    names = {name.removeprefix(path.rstrip("/") + "/"): entry["size"] for name, entry in found.items()}
    return {name: size for name, size in names.items() if name and not name.endswith("/")}  # markers of folders
