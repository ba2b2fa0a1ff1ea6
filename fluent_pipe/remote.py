"""Files on object stores (``gs://``, ``s3://``), by fsspec; paths of this machine pass through untouched.

fsspec finds the library for a scheme (gcsfs, s3fs) and takes credentials and endpoints where those libraries do: from
the environment and the cloud's own configuration files. Nothing is imported before a remote location is met.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluent_pipe.errors import ArgumentError, StoreError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

EXTRAS = {"gs": "gcs", "gcs": "gcs", "s3": "s3"}
"""Schemes that are supported, and the extra of this package that brings the library."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def is_remote(location: str | os.PathLike[str]) -> bool:
    """Whether a location is a URL, not a path of this machine.

    Examples
    --------
    >>> is_remote("gs://bucket/flights"), is_remote("data/flights.csv")
    (True, False)
    """
    return _SCHEME.match(os.fspath(location)) is not None


def checked(location: str, *, what: str) -> str:
    """``location`` without a slash at its end, if it is of a scheme that is supported.

    Raises
    ------
    ArgumentError
        If it is of another; ``what`` names the argument.
    """
    found = _SCHEME.match(location)
    if found is not None and found[1] not in EXTRAS:
        raise ArgumentError(f"{what} has a scheme that is not supported.", got=found[1], valid=list(EXTRAS))
    return location.rstrip("/")


def joined(location: str, *names: str) -> str:
    """A location below another.

    Examples
    --------
    >>> joined("gs://bucket/root", "flights", "train")
    'gs://bucket/root/flights/train'
    """
    return "/".join([location.rstrip("/"), *names]) if is_remote(location) else str(Path(location, *names))


def file_system(location: str) -> tuple[AbstractFileSystem, str]:
    """The file system of fsspec for a location, and the location as that names it.

    Raises
    ------
    StoreError
        If the library for the scheme is not installed.
    """
    import fsspec

    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(location)
    except ImportError as error:
        scheme = location.partition("://")[0]
        raise StoreError(
            f"{scheme}:// needs a library that is not installed: {error}.",
            where=location,
            fix=f"pip install 'fluent-pipe[{EXTRAS.get(scheme, scheme)}]'.",
        ) from error
    return found
