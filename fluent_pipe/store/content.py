"""Content hashes of files and folders, remembered between processes."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from fnmatch import fnmatch
from pathlib import Path
from typing import BinaryIO

from fluent_pipe.errors import InputError
from fluent_pipe.remote import file_system, is_remote, reaching

DIGEST_BYTES = 16
_CHUNK_BYTES = 1 << 20
_TAGS = ("md5Hash", "crc32c", "ETag", "etag", "generation")
"""What object stores say of an object that changes with its content, the best first."""
_REQUESTS = 16
# A file that changed this recently may change again and keep its size and its mtime: its hash is not remembered.
_SETTLED_SECONDS = 2.0


class FileHashes:
    """Content hashes by absolute path, size and mtime, in a small SQLite file.

    The file is only a memory: when it is missing, locked or broken, content is hashed again and nothing fails.
    Several processes and threads may use one file at once.

    Parameters
    ----------
    path
        The SQLite file; made, with its folder, at the first write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, path: Path, size: int, mtime_ns: int) -> str | None:
        """The remembered hash of a file of this size and mtime, if any."""
        if not self.path.exists():
            return None
        try:
            with closing(sqlite3.connect(self.path, timeout=10)) as database:
                row = database.execute(
                    "SELECT hash FROM file_hash WHERE path = ? AND size = ? AND mtime_ns = ?",
                    (str(path), size, mtime_ns),
                ).fetchone()
        except sqlite3.Error:
            return None
        return None if row is None else str(row[0])

    def put(self, path: Path, size: int, mtime_ns: int, value: str) -> None:
        """Remember the hash of a file."""
        try:
            self._put(path, size, mtime_ns, value)
        except sqlite3.OperationalError:  # locked for long, or no room: the hash is simply not remembered
            return
        except sqlite3.DatabaseError:  # not a database any more
            self.path.unlink(missing_ok=True)

    def _put(self, path: Path, size: int, mtime_ns: int, value: str) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            return
        with closing(sqlite3.connect(self.path, timeout=10)) as database, database:
            database.execute("PRAGMA synchronous = OFF")
            database.execute(
                "CREATE TABLE IF NOT EXISTS file_hash"
                " (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, hash TEXT)"
            )
            database.execute("INSERT OR REPLACE INTO file_hash VALUES (?, ?, ?, ?)", (str(path), size, mtime_ns, value))


def of_file(path: Path, cache: FileHashes | None = None) -> str:
    """Hash of a file's content.

    Parameters
    ----------
    path
        The file.
    cache
        Where hashes are remembered by path, size and mtime. Without it the file is read each time.

    Returns
    -------
    str
        BLAKE2b, 32 hexadecimal digits.

    Raises
    ------
    InputError
        If the file is missing or cannot be read.
    """
    absolute = path.absolute()  # not resolve(): a link that now points elsewhere has another mtime or size
    try:
        before = absolute.stat()
        if cache is not None:
            known = cache.get(absolute, before.st_size, before.st_mtime_ns)
            if known is not None:
                return known
        value = _hash_content(absolute)
        after = absolute.stat()
    except OSError as error:
        raise InputError(f"The file cannot be read: {error.strerror}.", where=str(path)) from error
    unchanged = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if cache is not None and unchanged and time.time() - after.st_mtime > _SETTLED_SECONDS:
        cache.put(absolute, after.st_size, after.st_mtime_ns, value)
    return value


def of_locations(locations: Sequence[str], cache: FileHashes | None = None) -> list[str]:
    """Hash of each of some files, given as paths or URLs.

    What lies on an object store is not read: its tag there, which changes with the content, is taken in place of that.

    Raises
    ------
    InputError
        If a file is missing or cannot be read.
    StoreError
        If an object store cannot be read.
    """
    if not any(map(is_remote, locations)):
        return [of_file(Path(location), cache) for location in locations]
    with ThreadPoolExecutor(_REQUESTS) as pool:
        return list(pool.map(_of_tag, locations))


def _of_tag(url: str) -> str:
    with reaching(url):
        system, path = file_system(url)
        try:
            there = system.info(path)
        except FileNotFoundError as error:
            raise InputError("The file cannot be read: there is none.", where=url) from error
    kind = next((name for name in _TAGS if there.get(name)), None)
    tag = system.ukey(path) if kind is None else f"{kind} {there[kind]}"
    return hashlib.blake2b(f"{tag} {there['size']}".encode(), digest_size=DIGEST_BYTES).hexdigest()


def of_folder(path: Path, cache: FileHashes | None = None, *, leave_out: str = "") -> str:
    """Hash of a folder: the relative names of its files and their contents.

    Files and folders whose name starts with a dot are left out, and so are empty folders.

    Parameters
    ----------
    leave_out
        A glob of relative names that are left out too.

    Returns
    -------
    str
        BLAKE2b, 32 hexadecimal digits.

    Raises
    ------
    InputError
        If the folder is missing or one of its files cannot be read.
    """
    return of_files({name: value for name, (_, value) in files_of(path, cache).items()}, leave_out=leave_out)


def files_of(path: Path, cache: FileHashes | None = None) -> dict[str, tuple[int, str]]:
    """Size and hash of the files in a folder by relative name, without those whose name starts with a dot.

    Raises
    ------
    InputError
        If the folder is missing or one of its files cannot be read.
    """
    if not path.is_dir():
        raise InputError("There is no such folder.", where=str(path))
    return {
        file.relative_to(path).as_posix(): (file.stat().st_size, of_file(file, cache)) for file in visible_files(path)
    }


def of_files(hashes: Mapping[str, str], *, leave_out: str = "") -> str:
    """Hash of a folder, as :func:`of_folder`, from the hashes of its files by relative name."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for name, value in sorted(hashes.items()):
        if not fnmatch(name, leave_out):
            digest.update(f"{len(name.encode())}:{name}={value}\n".encode())
    return digest.hexdigest()


def of_stream(stream: BinaryIO) -> str:
    """Hash of what a stream gives, as :func:`of_file`."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def visible_files(folder: Path) -> Iterator[Path]:
    """Files under a folder; those whose name, or a folder's on the way to them, begins with a dot are left out."""
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in files if not name.startswith("."))


def _hash_content(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    buffer = bytearray(_CHUNK_BYTES)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            digest.update(view[:count])
    return digest.hexdigest()
