"""Files on object stores (``gs://``, ``s3://``), by fsspec; paths of this machine pass through untouched.

fsspec finds the library for a scheme (gcsfs, s3fs) and takes credentials and endpoints where those libraries do: from
the environment and the cloud's own configuration files. Nothing is imported before a remote location is met.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fluent_pipe.errors import ArgumentError, FluentPipeError, StoreError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

EXTRAS = {"gs": "gcs", "gcs": "gcs", "s3": "s3"}
"""Schemes that are supported, and the extra of this package that brings the library."""

AT_ONCE = 16
"""Files that travel at once."""

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
    scheme, slashes, rest = location.partition("://")
    return f"{scheme}{slashes}{rest.rstrip('/')}"


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
        # Listings are never remembered: other machines write there too.
        options = {"use_listings_cache": False} if is_remote(location) else {}
        found: tuple[Any, str] = fsspec.core.url_to_fs(location, **options)
    except ImportError as error:
        scheme = location.partition("://")[0]
        raise StoreError(
            f"{scheme}:// needs a library that is not installed: {error}.",
            where=location,
            fix=f"pip install 'fluent-pipe[{EXTRAS.get(scheme, scheme)}]'.",
        ) from error
    return found


@contextmanager
def reaching(location: str, doing: str = "read") -> Iterator[None]:
    """Turn what a library of an object store raises inside into a :class:`StoreError` that says what to do.

    A file that is not there stays a :class:`FileNotFoundError`.
    """
    try:
        yield
    except (FluentPipeError, FileNotFoundError):
        raise
    except Exception as error:  # each library has errors of its own, and of the HTTP library beneath
        said = str(error).strip().splitlines()
        words = f"{type(error).__name__}{': ' + said[0] if said else ''}"
        fix = "Check the bucket's name, the network and the credentials; what was published stays cached."
        raise StoreError(f"It cannot be {doing}: {words.rstrip('.')}.", where=location, fix=fix) from error


def within(seconds: float, location: str, work: Callable[[], object]) -> None:
    """Do something with an object store, or give up.

    Libraries look for credentials and try again for minutes; on a thread of its own that nobody waits for, they may.

    Raises
    ------
    StoreError
        If it takes longer; and whatever ``work`` raises.
    """
    met: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            met.append(error)

    doing = threading.Thread(target=guarded, daemon=True)
    doing.start()
    doing.join(seconds)
    if met:
        raise met[0]
    if doing.is_alive():
        fix = "Check the network, and the credentials that the cloud's own tools use here."
        raise StoreError(f"It does not answer within {seconds:g} seconds.", where=location, fix=fix)


def read_bytes(location: str) -> bytes:
    """The content of a file.

    Raises
    ------
    FileNotFoundError
        If there is none.
    StoreError
        If the object store cannot be read.
    """
    with reaching(location):
        system, path = file_system(location)
        content: bytes = system.cat_file(path)
    return content


def listed(folder: str, kind: Literal["file", "directory"]) -> list[str]:
    """Names of the files, or of the folders, in a folder, in order; none where it does not exist.

    Raises
    ------
    StoreError
        If it cannot be listed.
    """
    with reaching(folder, "listed"):
        system, path = file_system(folder)
        try:
            found = system.ls(path, detail=True)
        except FileNotFoundError:
            return []
    return sorted(entry["name"].rstrip("/").rpartition("/")[2] for entry in found if entry["type"] == kind)


def write_bytes(location: str, content: bytes) -> None:
    """Write a file as a whole, by one request: it appears whole or not at all.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    with reaching(location, "written"):
        system, path = file_system(location)
        try:
            system.pipe_file(path, content)
        except FileNotFoundError as error:  # of the bucket
            raise StoreError("There is no such bucket.", where=location, fix="Make it, or name another.") from error


def get(files: Mapping[str, Path]) -> None:
    """Fetch files, many at once; each appears whole.

    Parameters
    ----------
    files
        Where each URL goes.

    Raises
    ------
    FileNotFoundError
        If one is not there.
    StoreError
        If one cannot be read.
    """
    _each(files.items(), _get)


def put(files: Mapping[str, Path], done: Callable[[int], None] = lambda _: None) -> None:
    """Upload files, many at once.

    Parameters
    ----------
    files
        Which file goes to each URL.
    done
        Told the bytes of each file that has gone.

    Raises
    ------
    StoreError
        If one cannot be written.
    """
    _each(files.items(), _put, done)


def _get(url: str, file: Path) -> int:
    with reaching(url):
        system, path = file_system(url)
        part = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(path, str(part))
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    return 0


def _put(url: str, file: Path) -> int:
    with reaching(url, "written"):
        system, path = file_system(url)
        system.put_file(str(file), path)
    return file.stat().st_size


def _each(
    files: Collection[tuple[str, Path]],
    work: Callable[[str, Path], int],
    done: Callable[[int], None] = lambda _: None,
) -> None:
    if not files:
        return
    with ThreadPoolExecutor(min(AT_ONCE, len(files))) as pool:
        try:
            for future in as_completed([pool.submit(work, url, file) for url, file in files]):
                done(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def remove(location: str) -> None:
    """Remove a folder with all that is in it; nothing happens if there is none.

    Raises
    ------
    StoreError
        If it cannot be removed.
    """
    with reaching(location, "removed"), suppress(FileNotFoundError):
        system, path = file_system(location)
        system.rm(path, recursive=True)
