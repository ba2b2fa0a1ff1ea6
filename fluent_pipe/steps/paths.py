"""Which files a path or pattern means: one rule, for the reader and for the cache key; and where results lie."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from fluent_pipe.mirror import Root


def default_root() -> Path | str:
    """Folder or URL of all results where none is given: the environment's ``FLUENT_PIPE_ROOT``, or ``.fluent_pipe``."""
    return Root.of(os.environ.get("FLUENT_PIPE_ROOT", ".fluent_pipe")).location


def matches(pattern: str) -> list[str]:
    """Files that a path, a glob or a folder means; empty if there are none.

    Parameters
    ----------
    pattern
        ``~`` is the home folder. A folder means the files in it, those that begin with ``.`` or ``_`` left out. A file
        whose name holds ``[`` or ``*`` is meant literally where it exists.
    """
    path = Path(pattern).expanduser()
    if path.is_dir():
        return sorted(str(p) for p in path.iterdir() if p.is_file() and not p.name.startswith((".", "_")))
    if path.exists():
        return [str(path)]
    return sorted(f for f in glob.glob(str(path), recursive=True) if Path(f).is_file())
