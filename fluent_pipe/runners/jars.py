"""The jars of Beam's job servers: one that is given, from the cache, from upstream, or built here.

The cache is ``FLUENT_PIPE_CACHE``, else ``fluent_pipe`` in the user's folder for caches. A jar appears there by one
rename, and a lock lets one process at a time fetch or build it::

    <cache>/jars/beam-flink-job-server-2.62.0.jar     named by the Beam it serves; a link where it is of another
    <cache>/jars/build-flink.log                      of the last build
    <cache>/jars/.flink/                              work in progress
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from fluent_pipe.caches import cache_folder
from fluent_pipe.errors import ArgumentError, RunnerError
from fluent_pipe.runners import jar_build, jar_download

Kind = Literal["flink", "spark"]
KINDS: tuple[Kind, ...] = ("flink", "spark")
Say = Callable[[str], None]

UPSTREAM = {"flink": "runners:flink:1.19:job-server", "spark": "runners:spark:3:job-server"}
"""Beam's own names of the jars that it publishes."""
BUILDS = "2.62.0"
"""The Beam that is built where the installed one's artifacts cannot be had; newer SDKs work with its job servers."""


@dataclass(frozen=True)
class Look:
    """What is there of a jar.

    Parameters
    ----------
    jar
        Where it lies; None where it has to be fetched or built first.
    found
        What there is, for people.
    fix
        The command that brings what is missing; None where nothing is.
    """

    jar: Path | None
    found: str
    fix: str | None


def resolve(kind: Kind, given: Path | str | None = None, *, say: Say = lambda _: None) -> Path:
    """The jar of a job server; fetched or built if it is nowhere.

    Parameters
    ----------
    kind
        Of the job server.
    given
        A jar to take and no other.
    say
        Told what takes its time.

    Returns
    -------
    Path
        The jar: the one given; else from the cache; else the one that Beam publishes for the installed version; else
        one that Maven builds from Beam's plain artifacts.

    Raises
    ------
    ArgumentError
        If the given file is not there.
    RunnerError
        If it can neither be fetched nor built; with the command that brings what is missing, or the log.
    """
    if given is not None:
        jar = Path(given).expanduser()
        if not jar.is_file():
            raise ArgumentError(f"The {kind.title()} job server's jar is not there.", where=str(jar))
        return jar.absolute()
    version = beam_version()
    there = _there(kind, version)
    if there is not None:
        return there[0]
    with _alone(kind, say) as work:
        there = _there(kind, version)  # another process may have made it meanwhile
        if there is not None:
            return there[0]
        jar = _place(kind, version)
        incoming = jar_download.fetch(UPSTREAM[kind], version, into=work, say=say)
        if incoming is not None:
            incoming.replace(jar)
            return jar
        return _build(kind, version, work, say)


def look(kind: Kind) -> Look:
    """What is there of a jar and what is missing; nothing is fetched or built.

    Parameters
    ----------
    kind
        Of the job server.
    """
    version = beam_version()
    there = _there(kind, version)
    if there is not None:
        return Look(there[0], f"{there[0]} ({there[1]})", None)
    return Look(None, f"no jar for Beam {version}", f"fluent-pipe runners --prepare {kind}")


def beam_version() -> str:
    """Of the Beam that is installed; asked without importing it."""
    return metadata.version("apache-beam")


def _place(kind: Kind, version: str) -> Path:
    return cache_folder() / "jars" / f"beam-{kind}-job-server-{version}.jar"


def _there(kind: Kind, version: str) -> tuple[Path, str] | None:
    """A jar that is there already, and whose cache it lies in."""
    jar = _place(kind, version)
    if jar.is_file():
        return jar, "our cache"
    beams = jar_download.in_beams_cache(UPSTREAM[kind], version)
    return None if beams is None else (beams, "Beam's cache")


def _build(kind: Kind, version: str, work: Path, say: Say) -> Path:
    jar, other = _place(kind, version), _place(kind, BUILDS)
    try:
        jar_build.build(kind, version, work=work, say=say).replace(jar)
    except jar_build.NoSuchVersion:
        if version == BUILDS:
            raise
        say(f"There are no {kind.title()} artifacts of Beam {version}; taking those of {BUILDS}.")
        if not other.is_file():
            jar_build.build(kind, BUILDS, work=work, say=say).replace(other)
        link = work / jar.name
        link.symlink_to(other.name)
        link.replace(jar)
    return jar


@contextmanager
def _alone(kind: Kind, say: Say) -> Iterator[Path]:
    """An empty folder to work in, for one process at a time; what a killed one left in it is removed."""
    folder = cache_folder() / "jars"
    work = folder / f".{kind}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f".{kind}.lock").open("ab") as lock:  # closing it, or the end of the process, gives it back
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"Another process is getting the {kind.title()} job server; waiting for it.")
                fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            try:
                yield work
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise RunnerError(
            f"The {kind.title()} job server's jar cannot be put into the cache: {error.strerror or error}.",
            where=str(error.filename or folder),
            fix="Make room there, or let FLUENT_PIPE_CACHE name another folder.",
        ) from error
