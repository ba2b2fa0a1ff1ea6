"""Folders outside the store that appear whole: leftovers swept, and failures explained."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from fluent_pipe.errors import StoreError
from fluent_pipe.store.files import WHY_NOT_WRITTEN

LEFTOVER_SECONDS = 3600.0


def remove_leftovers(folders: Iterable[Path]) -> None:
    """Remove what processes that were killed left behind, once it is too old to be of one at work."""
    for left in folders:
        with suppress(FileNotFoundError):
            # Not the time of modification: a copied folder has that of its source, which may be old.
            if time.time() - left.stat().st_ctime > LEFTOVER_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def explained(destination: Path, fact: str, fixes: Mapping[int, str], otherwise: str | None = None) -> Iterator[None]:
    """Turn an :class:`OSError` met inside into a :class:`StoreError` that says what to do.

    Parameters
    ----------
    destination
        Where the error does not say where.
    fact
        What cannot be done, for an error of no known meaning.
    fixes
        What to do, by number of the error.
    otherwise
        What to do about any other.
    """
    try:
        yield
    except (OSError, shutil.Error) as error:
        # shutil.Error holds the errors of single files as text.
        number = error.errno or next((n for n in WHY_NOT_WRITTEN if f"[Errno {n}]" in str(error)), 0)
        what = WHY_NOT_WRITTEN.get(number, f"{fact}: {error.strerror or error}")
        where = error.filename if isinstance(error.filename, str) else str(destination)
        raise StoreError(f"{what}.", where=where, fix=fixes.get(number, otherwise)) from error
