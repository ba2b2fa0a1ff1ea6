"""What all workers of a step have written so far: files of a folder on a shared disk, or of one on an object store.

On a disk a worker writes where the files stay. On an object store it writes into a scratch folder of its own and
*delivers*: files are uploaded, and a record of their sizes and hashes is left beside them, so that nobody has to read
them again to know what is in them.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

from fluent_pipe import mirror, remote
from fluent_pipe.mirror import HASHES
from fluent_pipe.remote import is_remote, joined
from fluent_pipe.store.content import files_of

Known = tuple[int, str]
"""Bytes and hash of a file."""


class Staged(Protocol):
    """The files of a step, by names relative to its folder."""

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, in order; none where it does not exist."""

    def move(self, renamed: Mapping[str, str]) -> None:
        """Rename files: old names to new ones that are not there yet."""

    def remove(self, names: Collection[str]) -> None:
        """Remove files."""

    def remove_folder(self, folder: str) -> None:
        """Remove a folder with all that is in it; it need not exist."""


def staged(location: str) -> Staged:
    """The files of a staging folder, or at a staging URL."""
    return OnStore(location) if is_remote(location) else OnDisk(Path(location))


@dataclass(frozen=True)
class OnDisk:
    """Files of a folder."""

    folder: Path

    def names(self, folder: str) -> list[str]:
        there = self.folder / folder
        return sorted(p.name for p in there.iterdir() if p.is_file()) if there.is_dir() else []

    def move(self, renamed: Mapping[str, str]) -> None:
        for old, new in renamed.items():
            (self.folder / new).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / old).rename(self.folder / new)

    def remove(self, names: Collection[str]) -> None:
        for name in names:
            (self.folder / name).unlink()

    def remove_folder(self, folder: str) -> None:
        shutil.rmtree(self.folder / folder, ignore_errors=True)


@dataclass(frozen=True)
class OnStore:
    """Files on an object store: what is renamed is copied there, and the other removed."""

    url: str

    def names(self, folder: str) -> list[str]:
        return remote.listed(joined(self.url, folder), "file")

    def move(self, renamed: Mapping[str, str]) -> None:
        if not renamed:
            return
        known = self.records()
        with remote.reaching(self.url, "written"):
            system, path = remote.file_system(self.url)
            old, new = ([f"{path}/{name}" for name in names] for names in (renamed, renamed.values()))
            system.copy(old, new)
            system.rm(old)
        _record(self.url, {new: known[old] for old, new in renamed.items() if old in known})

    def remove(self, names: Collection[str]) -> None:
        if names:
            with remote.reaching(self.url, "written"):
                system, path = remote.file_system(self.url)
                system.rm([f"{path}/{name}" for name in names])

    def remove_folder(self, folder: str) -> None:
        remote.remove(joined(self.url, folder))

    def records(self) -> dict[str, Known]:
        """What was recorded of the files, by name."""
        return mirror.recorded(self.url)


@dataclass
class _Delivery:
    """What one call on a worker writes, to be delivered at its end."""

    url: str
    folder: Path
    record: dict[str, Known] = field(default_factory=dict)


_delivery: ContextVar[_Delivery | None] = ContextVar("delivery", default=None)


@contextmanager
def delivering(url: str) -> Iterator[None]:
    """Give what is called inside a fresh :func:`scratch` folder; at a good end its files are uploaded, and recorded.

    Files and folders whose name begins with a dot stay behind.
    """
    with tempfile.TemporaryDirectory(prefix="fluent_pipe-") as folder:
        current = _Delivery(url, Path(folder))
        before = _delivery.set(current)
        try:
            yield
            files = files_of(Path(folder))
            remote.put({joined(url, name): Path(folder, name) for name in files})
            current.record |= files
        finally:
            _delivery.reset(before)
    _record(url, current.record)


def deliver(url: str, file: Path, name: str, *, known: str | None) -> None:
    """Upload one file and remove it here; what is ``known`` is its hash, and recorded."""
    size = file.stat().st_size
    remote.put({joined(url, name): file})
    file.unlink()
    if known is not None:
        _record(url, {name: (size, known)})


def scratch(url: str) -> Path:
    """Where to write what will be delivered to ``url``: the folder of the call under way, else one of this process."""
    current = _delivery.get()
    if current is not None and current.url == url:
        return current.folder
    with _making:
        return _of_process(url, os.getpid())


def fetched(url: str, folder: Path, *, hidden: bool = False) -> None:
    """Have in ``folder`` what lies at ``url``, hidden files only where they are asked for."""
    with remote.reaching(url):
        system, path = remote.file_system(url)
        names = [str(n).removeprefix(path).strip("/") for n in system.find(path)]
    wanted = [n for n in names if n and (hidden or not any(part.startswith(".") for part in n.split("/")))]
    remote.get({joined(url, name): folder / name for name in wanted})


def _record(url: str, record: Mapping[str, Known]) -> None:
    """Leave a record; within a call that delivers, it becomes part of that one's."""
    current = _delivery.get()
    if current is not None and current.url == url:
        current.record.update(record)
    elif record:
        remote.write_bytes(joined(url, HASHES, f"{uuid.uuid4().hex}.json"), json.dumps(record).encode())


_making = threading.Lock()
"""Threads that ask at the same moment are given the same folder."""


@cache
def _of_process(url: str, process: int) -> Path:  # noqa: ARG001 - each process has its own, a forked one too
    folder = tempfile.mkdtemp(prefix="fluent_pipe-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
