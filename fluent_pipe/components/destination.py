"""A folder outside the store that appears, or changes, whole."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fluent_pipe.errors import StoreError
from fluent_pipe.steps.destinations import refusal
from fluent_pipe.store.files import WHY_NOT_WRITTEN

LEFTOVER_SECONDS = 3600.0


def appear(staged: Path, destination: Path) -> None:
    """Make ``staged`` the folder ``destination``, in place of earlier predictions.

    It is moved, or from another file system copied, to a hidden folder beside the destination, flushed to disk, and
    appears by one rename. Where there are earlier predictions, they are renamed away just before.

    Parameters
    ----------
    staged
        A folder; gone afterwards.
    destination
        Does not exist, is empty, or holds earlier predictions and nothing else.

    Raises
    ------
    StoreError
        If ``destination`` holds other things or cannot be written. It is then as it was.
    """
    destination = destination.resolve()
    with _explained(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        _sweep(destination)
        incoming = _beside(destination, "incoming")
        try:
            _move(staged, incoming)
            _flush(incoming)
            _swap(incoming, destination)
        except BaseException:
            shutil.rmtree(incoming, ignore_errors=True)
            raise


def _move(staged: Path, incoming: Path) -> None:
    try:
        staged.rename(incoming)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copytree(staged, incoming)
        shutil.rmtree(staged, ignore_errors=True)


def _swap(incoming: Path, destination: Path) -> None:
    refused = refusal(destination)  # looked at again: it may have been filled meanwhile
    if refused is not None:
        raise refused
    outgoing = _beside(destination, "outgoing")
    held = destination.is_dir() and any(destination.iterdir())
    if held:
        destination.rename(outgoing)
    try:
        incoming.rename(destination)  # onto an empty folder a rename goes
    except BaseException:
        if held:
            outgoing.rename(destination)
        raise
    _flush_folder(destination.parent)
    shutil.rmtree(outgoing, ignore_errors=True)


def _beside(destination: Path, what: str) -> Path:
    return destination.with_name(f".{destination.name}.{what}-{secrets.token_hex(8)}")


def _sweep(destination: Path) -> None:
    """Remove what a kill left beside the destination, once it is too old to be of a run at work."""
    for what in ("incoming", "outgoing"):
        for left in destination.parent.glob(f".{destination.name}.{what}-*"):
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_ctime > LEFTOVER_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)


def _flush(folder: Path) -> None:
    for root, _, files in os.walk(folder):
        for name in files:
            with open(Path(root, name), "rb") as file:
                os.fsync(file.fileno())
        _flush_folder(Path(root))


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot sync a folder, and say so in this way
            raise
    finally:
        os.close(handle)


_FULL = "Make room, then run again: only the scoring is repeated."
_FIXES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
}


@contextmanager
def _explained(destination: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, shutil.Error) as error:
        number = error.errno or next((n for n in WHY_NOT_WRITTEN if f"[Errno {n}]" in str(error)), 0)
        fact = WHY_NOT_WRITTEN.get(number, f"Predictions cannot be written: {error.strerror or error}")
        where = error.filename if isinstance(error.filename, str) else str(destination)
        fix = _FIXES.get(number, "Give to= a folder that can be written.")
        raise StoreError(f"{fact}.", where=where, fix=fix) from error
