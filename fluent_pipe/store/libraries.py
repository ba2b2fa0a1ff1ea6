"""Where a module comes from: the user's own code, or a library with a version.

User code is fingerprinted by what it says, a library by its name and version. Nothing is imported to find out.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

_SITE_FOLDERS = frozenset({"site-packages", "dist-packages"})
_STANDARD_LIBRARY = Path(os.__file__).absolute().parent
# The steps' own versions stand for this package in a key.
_OWN_PACKAGE = __name__.partition(".")[0]


def is_library(name: str, file: str | None) -> bool:
    """Whether a module is a library: standard, installed, compiled in, or this package.

    Parameters
    ----------
    name
        The module's dotted name.
    file
        Its file, if it has one.
    """
    top = name.partition(".")[0]
    if top == _OWN_PACKAGE:
        return True
    if top == "__main__":
        return False
    if file is None:
        return top in sys.builtin_module_names or top in sys.stdlib_module_names
    return is_library_file(file)


def is_library_file(file: str) -> bool:
    """Whether a file lies in the standard library or among installed packages."""
    if file.startswith("<frozen"):
        return True
    path = Path(file).absolute()
    return bool(_SITE_FOLDERS.intersection(path.parts)) or _STANDARD_LIBRARY in path.parents


def label(name: str) -> str:
    """``"numpy 1.26.4"`` for a module of an installed distribution, else its top-level name alone."""
    top = name.partition(".")[0]
    version = "" if top in sys.stdlib_module_names or top == _OWN_PACKAGE else version_of(top)
    return f"{top} {version}".rstrip()


@functools.cache
def version_of(top: str) -> str:
    """Version of the installed distribution that holds a top-level module; empty when there is none.

    Folder names of the installed distributions are read instead of ``importlib.metadata``, which parses each one.
    """
    for site in sys.path:
        if not _SITE_FOLDERS.intersection(Path(site).parts):
            continue
        versions = _distributions(site)
        known = versions.get(_normal(top)) or _by_top_level(site).get(top)
        if known:
            return known
    return ""


@functools.cache
def _distributions(site: str) -> dict[str, str]:
    """Version by normalised distribution name."""
    try:
        names = [entry.name for entry in Path(site).iterdir() if entry.suffix == ".dist-info"]
    except OSError:
        return {}
    parts = (name.removesuffix(".dist-info").partition("-") for name in sorted(names))
    return {_normal(name): version for name, _, version in parts}


@functools.cache
def _by_top_level(site: str) -> dict[str, str]:
    """Version by top-level module, for distributions that are named otherwise (yaml is in PyYAML)."""
    found: dict[str, str] = {}
    for folder in sorted(Path(site).glob("*.dist-info")):
        version = folder.name.removesuffix(".dist-info").partition("-")[2]
        for listing in ("top_level.txt", "RECORD"):
            try:
                lines = (folder / listing).read_text(errors="replace").splitlines()
            except OSError:
                continue
            for line in lines:
                top = line.split(",")[0].split("/")[0].strip().removesuffix(".py")
                if top.isidentifier():
                    found.setdefault(top, version)
            break
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def find_file(name: str, folders: Iterable[Path] = ()) -> tuple[Path | None, bool]:
    """The source file of a module, found without importing it or a parent package.

    Parameters
    ----------
    name
        Dotted name.
    folders
        Searched before ``sys.path``.

    Returns
    -------
    tuple
        The file, or None for a module without one, and whether there is such a module at all.
    """
    top, *rest = name.split(".")
    search = [*(str(folder) for folder in folders), *(entry or str(Path.cwd()) for entry in sys.path)]
    if top in sys.builtin_module_names:
        return None, True
    spec = PathFinder.find_spec(top, search) or _editable(top)
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None, False
        spec = PathFinder.find_spec(part, list(spec.submodule_search_locations))
    if spec is None:
        return None, False
    return (Path(spec.origin) if spec.origin and spec.has_location else None), True


def _editable(top: str) -> ModuleSpec | None:
    """A spec from the finders that editable installs add to ``sys.meta_path``."""
    for finder in sys.meta_path:
        if finder is PathFinder or not hasattr(finder, "find_spec"):
            continue
        spec = finder.find_spec(top, None)
        if spec is not None:
            return spec
    return None
