"""Copies, on this machine, of results that lie on an object store.

A root is a folder or a URL. A URL has a *home*, a folder under the user's cache that mirrors it by position:
``<home>/<pipeline>/<step>/<execution>`` holds what was fetched of ``<url>/<pipeline>/<step>/<execution>``. Executions
are never changed once a manifest names them, so what was fetched stays good. A folder appears in the home whole, by a
rename, with all but the rows; those are fetched file by file when they are asked for.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fluent_pipe.caches import cache_folder
from fluent_pipe.errors import ArgumentError, StoreError
from fluent_pipe.remote import EXTRAS, checked, file_system, get, is_remote, joined, listed, reaching, read_bytes

MANIFESTS = "_manifests"
"""Folder of a pipeline, on the object store, that holds a manifest for each execution: ``<step>/<execution>.json``."""
KEPT = ".manifest.json"
"""The manifest as a mirrored folder holds it."""

HASHES = ".hashes"
"""Folder in what a step leaves on an object store, where workers say what they wrote, so that nobody need read it
again: ``<any name>.json`` holds ``{name of a file: [bytes, hash]}``; the hash is that of ``store.content.of_file``."""

_LEFT = ".fetching-"
_LEFT_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Root:
    """Where results lie.

    Parameters
    ----------
    home
        The folder on this machine: the root itself, or what mirrors it.
    url
        Of a root on an object store; empty for a folder.
    """

    home: Path
    url: str = ""

    @classmethod
    def of(cls, location: str | Path) -> Root:
        """The root at a path or URL.

        Raises
        ------
        ArgumentError
            If the URL is of a scheme that is not supported, or names no bucket.

        Examples
        --------
        >>> Root.of("results").url, Root.of("gs://bucket/results/").url
        ('', 'gs://bucket/results')
        """
        if isinstance(location, Path) and location.parts[:1] and location.parts[0] in {f"{s}:" for s in EXTRAS}:
            raise ArgumentError("A path cannot hold a URL.", got=location, fix='Give root= as text: root="gs://...".')
        if isinstance(location, Path) or not is_remote(location):
            return cls(Path(location).absolute())
        scheme, _, rest = checked(location, what="root=").partition("://")
        if not rest:
            raise ArgumentError("root= names no bucket.", got=location, fix=f"For example {scheme}://bucket/results.")
        url = f"{'gs' if scheme == 'gcs' else scheme}://{rest}"  # two names of one scheme, but one home
        return cls(home_of(url), url)

    @property
    def location(self) -> Path | str:
        """The folder, or the URL."""
        return self.url or self.home

    def __str__(self) -> str:
        return str(self.location)

    def url_of(self, path: Path) -> str:
        """Where a folder of the home lies on the object store; empty for a local root, or a folder outside."""
        if not self.url or not path.is_relative_to(self.home):
            return ""
        return joined(self.url, *path.relative_to(self.home).parts)


def recorded(url: str) -> dict[str, tuple[int, str]]:
    """Bytes and hashes of files at a URL, by name, as far as workers said: see :data:`HASHES`.

    Raises
    ------
    StoreError
        If they cannot be read.
    """
    folder = joined(url, HASHES)
    names = listed(folder, "file")
    with reaching(folder):
        system, path = file_system(folder)
        contents = system.cat([f"{path}/{name}" for name in names]) if names else {}
    return {
        name: (size, value) for file in sorted(contents) for name, (size, value) in json.loads(contents[file]).items()
    }


def home_of(url: str) -> Path:
    """The folder on this machine that mirrors a root on an object store."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", url.partition("://")[2]).strip("-")[-60:]
    digest = hashlib.blake2b(url.encode(), digest_size=6).hexdigest()
    return cache_folder() / "roots" / f"{readable}-{digest}"


def nearby(address: str) -> str:
    """What to read in place of a file's URL: the copy on this machine where there is one, else the URL itself.

    Paths pass through.
    """
    if not is_remote(address):
        return address
    root, parts = address, list[str]()
    while root.count("/") > 2:
        root, _, name = root.rpartition("/")
        parts.insert(0, name)
        if len(parts) > 3 and (copy := home_of(root).joinpath(*parts)).is_file():
            return str(copy)
    return address


def manifest_url(execution: str) -> str:
    """Where the manifest of an execution lies, given the URL of its folder.

    Examples
    --------
    >>> manifest_url("gs://bucket/root/flights/train/20260102-030405-1a2b3c4d")
    'gs://bucket/root/flights/_manifests/train/20260102-030405-1a2b3c4d.json'
    """
    pipeline, step, name = execution.rsplit("/", 2)
    return joined(pipeline, MANIFESTS, step, f"{name}.json")


def is_complete(folder: Path) -> bool:
    """Whether a mirrored folder holds all but the rows."""
    return (folder / KEPT).is_file()


def fetch(url: str, folder: Path) -> None:
    """Have in ``folder`` what an execution holds, all but its rows; nothing happens where it is there.

    Raises
    ------
    FileNotFoundError
        If no manifest names it, or what it names is not there.
    StoreError
        If the object store cannot be read.
    """
    if is_complete(folder):
        return
    content = read_bytes(manifest_url(url))
    manifest: Mapping[str, Any] = json.loads(content)
    rows = set(manifest["rows"])
    begun = new_copy(folder)
    try:
        small = [name for name in manifest["files"] if name not in rows]
        get({joined(url, name): begun / name for name in small})
        finish_copy(begun, folder, content)
    finally:
        shutil.rmtree(begun, ignore_errors=True)


def new_copy(folder: Path) -> Path:
    """A new folder beside ``folder``, for :func:`finish_copy`; what killed processes left there long ago is removed."""
    for left in folder.parent.glob(f"{_LEFT}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_ctime > _LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    begun = folder.parent / f"{_LEFT}{secrets.token_hex(8)}"
    try:
        begun.mkdir(parents=True)
    except OSError as error:
        fix = "FLUENT_PIPE_CACHE names another folder for copies of remote results."
        raise StoreError(f"It cannot be written: {error.strerror}.", where=str(begun), fix=fix) from error
    return begun


def finish_copy(begun: Path, folder: Path, manifest: bytes) -> None:
    """Make a copy appear as ``folder`` with its manifest, by one rename; one that another process made stays."""
    (begun / KEPT).write_bytes(manifest)
    try:
        begun.rename(folder)
    except OSError:
        if not is_complete(folder):
            raise


def row_files(folder: Path, url: str, inside: str, pattern: str) -> list[str]:
    """Names of files in the folder ``inside`` of an execution, relative to it and in order.

    Parameters
    ----------
    url
        Of the execution; the manifest is asked then. Empty for a local root.
    inside, pattern
        Which: ``Split-train`` and ``*.parquet``.
    """
    if not url:
        return sorted(file.relative_to(folder).as_posix() for file in (folder / inside).glob(pattern))
    fetch(url, folder)
    named = (PurePosixPath(name) for name in json.loads((folder / KEPT).read_bytes())["files"])
    return sorted(str(name) for name in named if name.parent == PurePosixPath(inside) and name.match(pattern))


def fetch_files(folder: Path, url: str, names: Collection[str]) -> list[Path]:
    """Files of an execution on this machine, fetched where they are not there yet.

    Raises
    ------
    StoreError
        If the object store cannot be read.
    """
    files = [folder / name for name in names]
    if url:
        missing = {joined(url, n): f for n, f in zip(names, files, strict=True) if not f.exists()}
        try:
            get(missing)
        except FileNotFoundError as error:
            fix = f"Remove {manifest_url(url)}, and run the pipeline again."
            raise StoreError("The manifest names a file that is not there.", where=str(error), fix=fix) from error
    return files
