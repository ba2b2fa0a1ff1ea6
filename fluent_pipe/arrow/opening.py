"""Files opened where they lie: on this machine, or on an object store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, cast

import pyarrow.parquet as pq

from fluent_pipe.mirror import nearby
from fluent_pipe.remote import file_system, is_remote, reaching

BLOCK_BYTES = 8 << 20
"""Bytes of an object that are asked for at once where it is read from its beginning to its end."""


def open_binary(location: str, *, ahead: bool = True) -> IO[bytes]:
    """A file, to be read and sought in.

    Parameters
    ----------
    location
        A path or a URL; of a result of ours, a copy on this machine is read in place of the object.
    ahead
        Whether an object is read in large blocks, which suits a reader of small parts in order.

    Raises
    ------
    StoreError
        If an object store cannot be read.
    """
    if not is_remote(location):
        return open(location, "rb")
    place = nearby(location)
    if not is_remote(place):
        return open(place, "rb")
    with reaching(location):
        system, path = file_system(location)
        kind = "readahead" if ahead else "none"
        return cast("IO[bytes]", system.open(path, "rb", block_size=BLOCK_BYTES, cache_type=kind))


def size_of(location: str) -> int:
    """Bytes of a file."""
    if not is_remote(location):
        return Path(location).stat().st_size
    with reaching(location):
        system, path = file_system(location)
        return int(system.info(path)["size"])


@contextmanager
def parquet_file(location: str | Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file; the columns of a row group are asked for together where each request takes its time."""
    location = str(location)
    with ExitStack() as stack:
        if is_remote(location) and is_remote(location := nearby(location)):
            source = stack.enter_context(open_binary(location, ahead=False))
            yield stack.enter_context(pq.ParquetFile(source, pre_buffer=True))
        else:
            yield stack.enter_context(pq.ParquetFile(location))
