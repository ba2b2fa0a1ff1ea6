"""Folders for what a long step has finished in part: they outlive a killed process, and the next run goes on there.

Layout under the root::

    <pipeline>/.resume/<cache key>/    kept until the step is published; its lock is held while a process uses it
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from fluent_pipe.store.files import Lock, is_held, writing

if TYPE_CHECKING:
    from typing_extensions import Self

KEEP_SECONDS = 14 * 24 * 3600.0
_PARENT = ".resume"
_LOCK = ".lock"


class Resumable:
    """The folder of one cache key, held by this process as long as it lives. Use it as a context manager.

    Parameters
    ----------
    path
        The folder.
    lock
        Held.
    """

    def __init__(self, path: Path, lock: Lock) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def open(cls, pipeline_root: Path, key: str) -> Resumable | None:
        """The folder for a cache key, with what an earlier process left; None if another process is at work in it.

        Parameters
        ----------
        pipeline_root
            The pipeline's folder, ``<root>/<pipeline>``; made when missing.
        key
            Of the step.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        path = pipeline_root / _PARENT / key
        lock = Lock(path / _LOCK)
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
            try:
                path.touch()  # it is of use: its age counts from now
                return cls(path, lock) if lock.acquire(wait=False) else None
            except FileNotFoundError:  # another process published the step this moment
                return None

    def remove(self) -> None:
        """Remove the folder: the step is published."""
        shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


def sweep_resumable(pipeline_root: Path, *, keep_seconds: float = KEEP_SECONDS) -> list[Path]:
    """Remove what no process holds and nothing was begun in for a long time: its code or data have changed since.

    Returns
    -------
    list of Path
        The folders that were removed.
    """
    parent = pipeline_root / _PARENT
    if not parent.is_dir():
        return []
    old = [p for p in sorted(parent.iterdir()) if p.is_dir() and time.time() - p.stat().st_mtime >= keep_seconds]
    removed = [folder for folder in old if not is_held(folder / _LOCK)]
    with writing(parent):
        for folder in removed:
            shutil.rmtree(folder, ignore_errors=True)
    return removed
