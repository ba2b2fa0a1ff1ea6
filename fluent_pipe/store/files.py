"""The commit protocol on disk: a step writes into a staging folder, which is published whole by one rename.

Layout under the root::

    <pipeline>/.staging/<unique>/<step>/    written by a running process, which holds the lock in <unique>/.lock
    <pipeline>/<step>/<execution>/          published
    <pipeline>/runs/<run>/                  logs; never touched here
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from fluent_pipe.errors import StoreError
from fluent_pipe.store.flushing import flush, flush_folder

if TYPE_CHECKING:
    from typing_extensions import Self

GRACE_SECONDS = 3600.0
EXECUTION_NAME = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")
_LOCK = ".lock"
WHY_NOT_WRITTEN = {
    errno.ENOSPC: "The disk is full",
    errno.EDQUOT: "The disk quota is used up",
    errno.EROFS: "The file system is read-only",
    errno.EACCES: "Permission denied",
    errno.EPERM: "Permission denied",
    errno.ENOTDIR: "A file stands where a folder is needed",
    errno.EEXIST: "A file stands where a folder is needed",
    errno.ENOLCK: "The file system cannot lock files",
}
"""What an error number of a write means, for people."""

_FIXES = {
    errno.ENOSPC: "Make room, or choose another root. Published steps stay cached.",
    errno.EDQUOT: "Make room, or choose another root. Published steps stay cached.",
    errno.EROFS: "Choose a root that can be written.",
    errno.EACCES: "Choose a root that can be written, or change its permissions.",
    errno.EPERM: "Choose a root that can be written, or change its permissions.",
    errno.ENOTDIR: "Choose another root, or move that file away.",
    errno.EEXIST: "Choose another root, or move that file away.",
    errno.ENOLCK: "Choose a root on a file system that has file locks.",
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an :class:`OSError` met while writing under ``path`` into a :class:`StoreError` that says what to do."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        fact = WHY_NOT_WRITTEN.get(number, f"It cannot be written: {error.strerror or error}")
        fix = _FIXES.get(number, "Choose a root that can be written.")
        raise StoreError(f"{fact}.", where=str(error.filename or path), fix=fix) from error


def disk_is_full(text: str, *, where: str) -> StoreError | None:
    """The error for a library's message that says that the disk is full; None if it says something else."""
    for code, words in ((errno.ENOSPC, "No space left on device"), (errno.EDQUOT, "Disk quota exceeded")):
        if words in text:
            return StoreError(f"{WHY_NOT_WRITTEN[code]}.", where=where, fix=_FIXES[code])
    return None


def new_execution_name() -> str:
    """A new name for an execution, such as ``20260102-030405-1a2b3c4d``: UTC time, so that names sort, and chance."""
    return f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"


def age_of(execution: str) -> float:
    """Seconds since an execution was given its name."""
    made = datetime.strptime(execution[:15], "%Y%m%d-%H%M%S").replace(tzinfo=timezone.utc)
    return (datetime.now(timezone.utc) - made).total_seconds()


class Lock:
    """An advisory lock on a file, held until it is released or the process dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; False if another process has it and ``wait`` is False."""
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(handle)
            return False
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle
        return True

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def is_held(path: Path) -> bool:
    """Whether some process, this one included, holds the lock of an existing lock file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


class Staging:
    """A folder for what a running process has not published yet.

    It is locked as long as the process lives, so that what a killed process left can be told from work in progress.
    Use it as a context manager, or call :meth:`discard`.
    """

    def __init__(self, path: Path, lock: Lock) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def create(cls, pipeline_root: Path) -> Self:
        """Make and lock a staging folder in ``<pipeline_root>/.staging/``.

        Parameters
        ----------
        pipeline_root
            The pipeline's folder, ``<root>/<pipeline>``; made when missing.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        parent = pipeline_root / ".staging"
        with writing(parent):
            parent.mkdir(parents=True, exist_ok=True)
            # Under the guard nobody looks for abandoned folders between the making of this one and its lock.
            with Lock(parent / _LOCK):
                path = parent / new_execution_name()
                path.mkdir()
                lock = Lock(path / _LOCK)
                lock.acquire()
        return cls(path, lock)

    def folder(self, step_id: str) -> Path:
        """A new empty folder for one step; what an earlier attempt left there is removed.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        path = self.path / step_id
        with writing(path):
            if path.exists():
                shutil.rmtree(path)
            path.mkdir(parents=True)
        return path

    def discard(self) -> None:
        """Remove the folder and give up its lock. May be called twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


def clean_abandoned(pipeline_root: Path) -> list[Path]:
    """Remove staging folders that no living process holds.

    Returns
    -------
    list of Path
        The folders that were removed.
    """
    parent = pipeline_root / ".staging"
    if not parent.is_dir():
        return []
    with writing(parent):
        return [folder for folder in sorted(parent.iterdir()) if folder.is_dir() and _take_away(folder, parent)]


def _take_away(folder: Path, parent: Path) -> bool:
    """Remove a staging folder if nobody holds it: renamed under the guard, and removed, which may be long, after."""
    trash = folder.with_name(f".trash-{secrets.token_hex(4)}")
    with Lock(parent / _LOCK):
        if is_held(folder / _LOCK):
            return False
        try:
            folder.rename(trash)
        except FileNotFoundError:  # another process was quicker
            return False
    shutil.rmtree(trash, ignore_errors=True)
    return True


def publish(staged: Path, destination: Path) -> None:
    """Make a staged folder appear at its destination, whole and durable, by one rename.

    Parameters
    ----------
    staged
        The folder to publish, on the file system of ``destination``. It is gone afterwards.
    destination
        ``<root>/<pipeline>/<step>/<execution>``; must not exist.

    Raises
    ------
    StoreError
        If the destination exists or cannot be written. The staged folder is then still there.
    """
    if destination.exists():
        raise StoreError("The execution is published already.", where=str(destination))
    with writing(destination):
        flush(staged)
        destination.parent.mkdir(parents=True, exist_ok=True)
        staged.rename(destination)
        flush_folder(destination.parent)


def sweep_unrecorded(
    pipeline_root: Path, recorded: Collection[Path], *, grace_seconds: float = GRACE_SECONDS
) -> list[Path]:
    """Remove published executions that the metadata store does not name, left by a kill between rename and record.

    Only folders named as :func:`new_execution_name` names them are touched, and only once they are older than the
    grace, which leaves a concurrent run the time to record what it has just published.

    Returns
    -------
    list of Path
        The folders that were removed.
    """
    if not pipeline_root.is_dir():
        return []
    named = {path.absolute() for path in recorded}
    removed = []
    with writing(pipeline_root):
        for step in sorted(pipeline_root.iterdir()):
            if step.name == "runs" or step.name.startswith(".") or not step.is_dir():
                continue
            for folder in sorted(step.iterdir()):
                if not EXECUTION_NAME.fullmatch(folder.name) or folder.absolute() in named:
                    continue
                if time.time() - folder.stat().st_ctime >= grace_seconds:  # a rename sets the ctime
                    shutil.rmtree(folder, ignore_errors=True)
                    removed.append(folder)
    return removed
