"""Which files a path or pattern means: one rule, for the reader and for the cache key; and where results lie."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from fluent_pipe.mirror import Root
from fluent_pipe.remote import file_system, is_remote, reaching


def default_root() -> Path | str:
    """Folder or URL of all results where none is given: the environment's ``FLUENT_PIPE_ROOT``, or ``.fluent_pipe``."""
    return Root.of(os.environ.get("FLUENT_PIPE_ROOT", ".fluent_pipe")).location


def matches(pattern: str) -> list[str]:
    """Files that a path, a glob or a folder means; empty if there are none.

    Parameters
    ----------
    pattern
        A path or a URL; ``~`` is the home folder. A folder means the files in it, those that begin with ``.`` or ``_``
        left out. A file whose name holds ``[`` or ``*`` is meant literally where it exists.
    """
    if is_remote(pattern):
        return _on_store(pattern)
    path = Path(pattern).expanduser()
    if path.is_dir():
        return sorted(str(p) for p in path.iterdir() if p.is_file() and not p.name.startswith((".", "_")))
    if path.exists():
        return [str(path)]
    return sorted(f for f in glob.glob(str(path), recursive=True) if Path(f).is_file())


def read(patterns: Collection[str]) -> list[tuple[str, int | None, int | None]]:
    """Patterns that were read, each with how many files it means and their bytes; None where that is not asked for.

    An object store is not asked: a listing takes time, and this is only told to a person.
    """
    found: list[tuple[str, int | None, int | None]] = []
    for pattern in patterns:
        if is_remote(pattern):
            found.append((pattern, None, None))
            continue
        sizes = []
        with suppress(OSError):  # of a file that is gone meanwhile
            sizes = [Path(file).stat().st_size for file in matches(pattern)]
        found.append((str(Path(pattern).expanduser().absolute()), len(sizes), sum(sizes)))
    return found


def _on_store(pattern: str) -> list[str]:
    with reaching(pattern):
        system, path = file_system(pattern)
        scheme = pattern.partition("://")[0]
        try:
            there = {e["name"].rstrip("/"): e for e in system.ls(path, detail=True)}
        except FileNotFoundError:
            there = {}
        if there:
            plain = [name for name, e in there.items() if e["type"] == "file" and e["size"]]
            found = [n for n in plain if n == path or not n.rpartition("/")[2].startswith((".", "_"))]
        else:
            found = [n for n, e in system.glob(path, detail=True).items() if e["type"] == "file"]
    return sorted(f"{scheme}://{name}" for name in found)
