"""Opening the metadata database: which one, of which version, and what to say when it cannot be used."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from fluent_pipe.errors import ArgumentError, StoreError
from fluent_pipe.store.files import Lock, writing

LAYOUT = 1
DATABASE_FILE = "metadata.sqlite"
LAYOUT_FILE = "layout.json"
BUSY_SECONDS = 30.0

_SCHEMES = ("sqlite", "mysql", "postgresql")
_MYSQL_OPTIONS = ("socket", "key", "cert", "ca", "capath", "cipher", "verify_server_cert")
_POSTGRESQL_OPTIONS = ("sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert")
_NEWER = re.compile(r"database version (\d+) is greater than library version (\d+)")
_OLDER = re.compile(r"database version (\d+) is older than library version (\d+)")
_CORRUPT = ("file is not a database", "malformed", "file is encrypted")
_BUSY = ("aborted", "database is locked", "Please retry the connection")

T = TypeVar("T")


def import_ml_metadata() -> Any:
    """Import ML Metadata with its loggers silenced: what they report reaches the user as an error.

    Its C++ part reads the log level once, when it is loaded.
    """
    level = "GLOG_minloglevel"
    before = os.environ.get(level)
    os.environ[level] = before or "3"
    try:
        import ml_metadata
    finally:
        if before is None:
            del os.environ[level]
    logger = logging.getLogger("absl")
    if _not_ml_metadata not in logger.filters:
        logger.addFilter(_not_ml_metadata)
    return ml_metadata


def protos() -> Any:
    """The module of ML Metadata's messages."""
    import_ml_metadata()
    from ml_metadata.proto import metadata_store_pb2

    return metadata_store_pb2


def _not_ml_metadata(record: logging.LogRecord) -> bool:
    return "ml_metadata" not in Path(record.pathname).parts


def connection_config(root: Path, url: str | None = None, *, create: bool = True) -> Any:
    """ML Metadata's ``ConnectionConfig`` for a root or a URL.

    Parameters
    ----------
    root
        The root; its ``metadata.sqlite`` is meant when there is no URL.
    url
        ``sqlite:///path``, ``mysql://user:password@host:port/database`` or ``postgresql://...``. User and password are
        percent-decoded. TLS options stand in the query: those of ML Metadata's ``SSLOptions``.
    create
        Whether a missing SQLite file is made.

    Raises
    ------
    ArgumentError
        If the URL cannot be read. The message never shows a password.
    """
    config = protos().ConnectionConfig()
    config.retry_options.max_num_retries = 1  # retried by `persistently`, with a time limit instead of a count
    path = sqlite_path(root, url)
    if path is not None:
        config.sqlite.filename_uri = str(path)
        mode = protos().SqliteMetadataSourceConfig
        config.sqlite.connection_mode = mode.READWRITE_OPENCREATE if create else mode.READWRITE
        return config
    parts = _split(url or "")
    database = unquote(parts.path.lstrip("/"))
    if not parts.hostname or not database:
        raise ArgumentError(
            "The metadata URL names no host or no database.",
            got=shown(url),
            fix=f"Write it as {parts.scheme}://user:password@host:port/database.",
        )
    target = config.mysql if parts.scheme == "mysql" else config.postgresql
    options = _options(parts, _MYSQL_OPTIONS if parts.scheme == "mysql" else _POSTGRESQL_OPTIONS)
    target.host, target.user = parts.hostname, unquote(parts.username or "")
    target.password = unquote(parts.password or "")
    if parts.scheme == "mysql":
        target.database, target.port = database, parts.port or 3306
        if "socket" in options:
            target.socket = options.pop("socket")
        for name, value in options.items():
            setattr(target.ssl_options, name, value in ("1", "true") if name == "verify_server_cert" else value)
    else:
        target.dbname, target.port = database, str(parts.port or 5432)
        for name, value in options.items():
            setattr(target.ssloption, name, value)
    return config


def sqlite_path(root: Path, url: str | None) -> Path | None:
    """The SQLite file that is meant, or None for a server."""
    if url is None:
        return root / DATABASE_FILE
    parts = _split(url)
    return Path(unquote(parts.path.removeprefix("/"))) if parts.scheme == "sqlite" else None


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # read here because it raises for what is no number
    except ValueError as error:
        raise ArgumentError("The metadata URL cannot be read.", fix="Its port must be a number.") from error
    if parts.scheme not in _SCHEMES:
        raise ArgumentError(
            f"The metadata URL has the unknown scheme {parts.scheme!r}.",
            got=parts.scheme,
            valid=_SCHEMES,
            fix="Write it as sqlite:///path or mysql://user:password@host:port/database.",
        )
    return parts


def _options(parts: SplitResult, valid: tuple[str, ...]) -> dict[str, str]:
    options = dict(parse_qsl(parts.query))
    for name in options:
        if name not in valid:
            raise ArgumentError(f"The metadata URL has the unknown option {name!r}.", got=name, valid=valid)
    return options


def shown(url: str | None) -> str:
    """A URL without user and password."""
    return re.sub(r"//[^/]*@", "//", (url or "").partition("?")[0])


def check_layout(root: Path) -> bool:
    """Whether the root has a layout marker, which must not be newer than ours.

    Raises
    ------
    StoreError
        If the root was written by a newer version, or its marker cannot be read.
    """
    marker = root / LAYOUT_FILE
    try:
        layout = json.loads(marker.read_text())["layout"]
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            "The layout marker of the root cannot be read.",
            where=str(marker),
            fix=f'It should hold {{"layout": {LAYOUT}}}.',
        ) from error
    if not isinstance(layout, int) or layout > LAYOUT:
        raise StoreError(
            f"The root was written with layout {layout}; this version reads layouts up to {LAYOUT}.",
            where=str(root),
            fix="Upgrade fluent-pipe, or choose another root. Nothing was changed.",
        )
    return True


def connect(root: Path, url: str | None, *, create: bool) -> Any:
    """Open the database of a root, and make it when it is missing and ``create`` is set.

    Returns
    -------
    ml_metadata.MetadataStore
        An open store of the library's own schema version.

    Raises
    ------
    StoreError
        If there is none, it is of another version, is damaged, busy, or cannot be reached.
    """
    marked = check_layout(root)
    path = sqlite_path(root, url)
    new = path is not None and not path.exists()
    if new and not create:
        fix = "Run a pipeline with this root first."
        raise StoreError("There is no metadata store here.", where=str(path), fix=fix)
    ml_metadata = import_ml_metadata()
    config = connection_config(root, url, create=create)
    where = str(path) if path is not None else shown(url)

    def opened() -> Any:
        return persistently(lambda: ml_metadata.MetadataStore(config), where=where)

    if not create or (marked and not new):
        return opened()
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        # Two processes that create the tables of one empty database at once get in each other's way.
        with Lock(root / ".creating"):
            store = opened()
            if not marked:
                _mark(root)
    return store


def _mark(root: Path) -> None:
    fresh = root / f".{LAYOUT_FILE}.{os.getpid()}"
    fresh.write_text(json.dumps({"layout": LAYOUT}) + "\n")
    fresh.replace(root / LAYOUT_FILE)


def persistently(call: Callable[[], T], *, where: str, seconds: float | None = None) -> T:
    """Call the database until it is not busy, at most for a while.

    Parameters
    ----------
    call
        One transaction.
    where
        The database, for errors.
    seconds
        How long to go on, ``BUSY_SECONDS`` by default. ML Metadata itself waits about five seconds in each call.

    Raises
    ------
    StoreError
        If it stays busy or fails otherwise.
    """
    limit = BUSY_SECONDS if seconds is None else seconds
    start = time.monotonic()
    pause = 0.02
    while True:
        try:
            with translating(where):
                return call()
        except _BusyError as error:
            if time.monotonic() - start + pause > limit:
                raise StoreError(
                    f"The metadata store is kept locked by another process; gave up after {limit:.0f} s.",
                    where=where,
                    fix="End the process that holds it, then run again: finished steps stay cached.",
                ) from error
        time.sleep(pause)
        pause = min(pause * 2, 0.5)


class _BusyError(Exception):
    """The database is locked by another process."""


@contextmanager
def translating(where: str) -> Iterator[None]:
    """Turn ML Metadata's errors into a :class:`StoreError`."""
    ml_metadata = import_ml_metadata()
    from ml_metadata import errors

    try:
        yield
    except errors.AbortedError as error:
        raise _BusyError(str(error)) from error
    except errors.AlreadyExistsError:
        raise
    except (errors.StatusError, RuntimeError) as error:
        text = str(error)
        if any(word in text for word in _BUSY) or text.startswith("ABORTED"):
            raise _BusyError(text) from error
        raise _explained(text, where, ml_metadata.__version__) from error


def _explained(text: str, where: str, library: str) -> StoreError:
    if found := _NEWER.search(text):
        return StoreError(
            f"The metadata store has schema version {found[1]}; ML Metadata {library} reads up to {found[2]}.",
            where=where,
            fix="Upgrade ml-metadata, or choose another root. Nothing was changed.",
        )
    if found := _OLDER.search(text):
        return StoreError(
            f"The metadata store has schema version {found[1]}; ML Metadata {library} needs {found[2]}.",
            where=where,
            fix="Open it once with ml_metadata.MetadataStore(config, enable_upgrade_migration=True), after a backup.",
        )
    if any(word in text for word in _CORRUPT):
        return StoreError(
            "The metadata store is damaged or is not an SQLite database.",
            where=where,
            fix="Restore it from a backup, or move it away: the next run then makes a new one and runs every step.",
        )
    if "disk is full" in text:
        return StoreError(
            "The disk is full.", where=where, fix="Make room, or choose another root. Published steps stay cached."
        )
    if "readonly database" in text or "unable to open" in text or "disk I/O" in text:
        return StoreError(
            f"The metadata store cannot be opened or written: {text.splitlines()[0][:200]}.",
            where=where,
            fix="Check that its folder exists, can be written and has room.",
        )
    first = text.strip().splitlines()[0][:300] if text.strip() else "no reason was given"
    return StoreError(f"The metadata store failed: {first}", where=where)
