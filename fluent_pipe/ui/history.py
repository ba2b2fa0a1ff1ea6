"""The runs of a root, kept in memory: a page reads from the store only what has changed since the page before."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fluent_pipe.errors import StoreError
from fluent_pipe.mirror import Root
from fluent_pipe.report.past import PastRun
from fluent_pipe.store.connection import sqlite_path
from fluent_pipe.store.manifests import Manifests
from fluent_pipe.store.metadata import MetadataStore, StoredRun

log = logging.getLogger(__name__)

SYNC_SECONDS = 15.0
"""How often an object store is asked what other machines have published."""
REMEMBERED = 100
"""Runs that are looked through for one to compare with."""
FETCHED = 200
"""Newest runs of an object store whose small files are fetched, so that lists can tell how good they were."""


@dataclass(frozen=True)
class Runs:
    """All runs as one page sees them, the newest first.

    Parameters
    ----------
    all
        Of every pipeline.
    notice
        Why they may not be the latest; empty where they are.
    """

    all: Sequence[StoredRun] = ()
    notice: str = ""
    _by_pipeline: dict[str, list[StoredRun]] = field(init=False, repr=False, default_factory=dict)
    _by_id: dict[str, StoredRun] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        for run in self.all:
            self._by_pipeline.setdefault(run.pipeline, []).append(run)
            self._by_id[run.id] = run

    @property
    def pipelines(self) -> Sequence[str]:
        """Names of the pipelines, that of the newest run first."""
        return list(self._by_pipeline)

    def of(self, pipeline: str) -> Sequence[StoredRun]:
        """Runs of one pipeline; none of one that is not known."""
        return self._by_pipeline.get(pipeline, [])

    def run(self, run_id: str) -> StoredRun | None:
        """The run with an id."""
        return self._by_id.get(run_id)

    def before(self, run: StoredRun) -> StoredRun | None:
        """The run that a report compares with, as :meth:`PastRun.before` finds it."""
        earlier = [r for r in self.of(run.pipeline) if r.started < run.started][:REMEMBERED]
        ended = [r for r in earlier if r.state not in ("running", "interrupted", "template written")]
        return next((r for r in ended if r.state != "failed"), ended[0] if ended else None)


class History:
    """The store of a root, opened for reading and looked at again for each page. Threads may share it.

    Parameters
    ----------
    root
        Where the pipelines lie.
    metadata
        URL of the metadata store, where it is not in the root.

    Raises
    ------
    StoreError
        If there is no store, or it cannot be read.
    """

    def __init__(self, root: Root, metadata: str | None = None) -> None:
        self.root = root
        self._metadata = metadata
        self._turn = threading.Lock()
        self._store: MetadataStore | None = None
        self._identity: tuple[int, int] | None = None
        self._known: dict[int, StoredRun] = {}
        self._runs = Runs()
        self._synced = -SYNC_SECONDS
        self._fetching: threading.Thread | None = None
        self._fetched: set[str] = set()
        self.look()

    def look(self) -> Runs:
        """The runs as they are now.

        Raises
        ------
        StoreError
            If there is no store, or it cannot be read.
        """
        with self._turn:
            store = self._opened()
            notice = self._sync(store)
            unended = [number for number, run in self._known.items() if run.finished is None]
            found = store.changed_runs(max(self._known, default=0), unended)
            changed = {run.number: run for run in found if self._known.get(run.number) != run}
            if changed or notice != self._runs.notice:
                self._known |= changed
                self._runs = Runs(_newest_first(self._known.values()), notice)
            if self.root.url:
                self._begin_fetching(store)
            return self._runs

    def past(self, run: StoredRun) -> PastRun:
        """A run with its artifacts."""
        return PastRun.of(self.store, run)

    @property
    def store(self) -> MetadataStore:
        """The open store."""
        with self._turn:
            return self._opened()

    def _opened(self) -> MetadataStore:
        """The store; opened anew where another file has taken the place of the one that was open."""
        identity = self._file()
        if self._store is None or identity != self._identity:
            if self.root.url and self._store is None:
                Manifests(self.root.url).reach()
            self._store = MetadataStore.open(self.root, self._metadata, create=bool(self.root.url))
            self._identity = self._file()
            self._known, self._runs = {}, Runs()
        return self._store

    def _file(self) -> tuple[int, int] | None:
        path = sqlite_path(self.root.home, self._metadata)
        try:
            found = None if path is None else path.stat()
        except OSError:
            return None
        return None if found is None else (found.st_dev, found.st_ino)

    def _sync(self, store: MetadataStore) -> str:
        """Take up what other machines have published; what is known already is shown where that cannot be had."""
        if not self.root.url or time.monotonic() - self._synced < SYNC_SECONDS:
            return self._runs.notice
        try:
            store.sync()
        except StoreError as error:
            log.warning("%s", error)
            return f"What other machines have done since may be missing: {error}"
        finally:
            self._synced = time.monotonic()
        return ""

    def _begin_fetching(self, store: MetadataStore) -> None:
        """Fetch the small files of runs beside the pages, which would wait long for them."""
        missing = [run for run in self._runs.all[:FETCHED] if run.finished is not None and run.id not in self._fetched]
        if missing and (self._fetching is None or not self._fetching.is_alive()):
            self._fetching = threading.Thread(target=self._fetch, args=(store, missing), name="fetching", daemon=True)
            self._fetching.start()

    def _fetch(self, store: MetadataStore, runs: Sequence[StoredRun]) -> None:
        for run in runs:
            try:
                store.executions_of(run)
            except StoreError as error:
                log.warning("%s", error)  # the pages say so where they are shown; the next look tries again
                return
            self._fetched.add(run.id)


def _newest_first(runs: Iterable[StoredRun]) -> list[StoredRun]:
    return sorted(runs, key=lambda run: (run.started, run.number), reverse=True)


def run_folder(root: Root, run: StoredRun) -> Path | None:
    """Where a run's log and report lie; None for names that lead out of the root."""
    folder = root.home / run.pipeline / "runs" / run.id
    return folder if folder.resolve().is_relative_to(root.home.resolve()) else None
