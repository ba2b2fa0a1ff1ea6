"""A folder outside the store that appears, or changes, whole."""

from __future__ import annotations

import errno
import secrets
import shutil
from pathlib import Path

from fluent_pipe.steps.destinations import refusal
from fluent_pipe.store.flushing import flush, flush_folder
from fluent_pipe.store.outside import explained, remove_leftovers


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
    with explained(destination, "Predictions cannot be written", _FIXES, "Give to= a folder that can be written."):
        destination.parent.mkdir(parents=True, exist_ok=True)
        for what in ("incoming", "outgoing"):
            remove_leftovers(destination.parent.glob(f".{destination.name}.{what}-*"))
        incoming = _beside(destination, "incoming")
        try:
            _move(staged, incoming)
            flush(incoming)
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
    refused = refusal(str(destination))  # looked at again: it may have been filled meanwhile
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
    flush_folder(destination.parent)
    shutil.rmtree(outgoing, ignore_errors=True)


def _beside(destination: Path, what: str) -> Path:
    return destination.with_name(f".{destination.name}.{what}-{secrets.token_hex(8)}")


_FULL = "Make room, then run again: only the scoring is repeated."
_FIXES = {errno.ENOSPC: _FULL, errno.EDQUOT: _FULL}
