"""Have folders on disk before a rename shows them, so that they are whole after a power failure too."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def flush(folder: Path) -> None:
    """Have all files and names under ``folder`` on disk."""
    for parent, _, files in os.walk(folder):
        for name in files:
            with open(Path(parent, name), "rb") as file:
                os.fsync(file.fileno())
        flush_folder(Path(parent))


def flush_folder(folder: Path) -> None:
    """Have the names in ``folder`` on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot sync a folder, and say so in this way
            raise
    finally:
        os.close(handle)
