"""Empty buckets of emulated object stores, as fixtures' bodies."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import pytest

from fluent_pipe import remote
from fluent_pipe.remote import joined
from tests import emulators

STORES = {"s3": emulators.s3, "gs": emulators.gcs}


@contextmanager
def bucket(scheme: str) -> Iterator[str]:
    """The URL of an empty bucket."""
    with STORES[scheme]() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        fsspec.filesystem(scheme).clear_instance_cache()
        name = f"{emulators.BUCKET}-{secrets.token_hex(4)}"  # emulators of one process may share what they hold
        fsspec.filesystem(scheme).mkdir(name)
        yield f"{scheme}://{name}"


def upload(folder: Path, url: str) -> str:
    """Put all files of a folder under a URL, which is returned."""
    files = {joined(url, p.relative_to(folder).as_posix()): p for p in folder.rglob("*") if p.is_file()}
    remote.put(files)
    return url


def names(url: str) -> list[str]:
    """Names of all files under a URL, relative to it."""
    system, path = remote.file_system(url)
    return sorted(name.removeprefix(f"{path}/") for name in system.find(path))
