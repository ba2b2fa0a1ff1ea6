"""The job servers' jars as Beam publishes them; where they are is Beam's own knowledge."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.request import urlopen

CONNECT_SECONDS = 10.0
"""For the other side to answer, and for each piece of the file."""
PIECE = 1 << 20


def jar_name(target: str, version: str) -> str:
    """What Beam calls a jar.

    Examples
    --------
    >>> jar_name("runners:spark:3:job-server", "2.62.0")
    'beam-runners-spark-3-job-server-2.62.0.jar'
    """
    return f"beam-{target.replace(':', '-')}-{version}.jar"


def in_beams_cache(target: str, version: str) -> Path | None:
    """A jar that Beam itself has fetched before."""
    jar = Path.home() / ".apache_beam/cache/jars" / jar_name(target, version)
    return jar if jar.is_file() else None


def fetch(target: str, version: str, *, into: Path, say: Callable[[str], None]) -> Path | None:
    """Fetch a jar.

    Parameters
    ----------
    target
        Beam's name of it, such as ``"runners:spark:3:job-server"``.
    version
        Of Beam.
    into
        A folder.
    say
        Told when it begins.

    Returns
    -------
    Path or None
        None where it cannot be had: not published, no network, or not whole. That is no error, since it can be built.
    """
    name = jar_name(target, version)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the libraries that Beam imports, about each other
            from apache_beam.utils.subprocess_server import JavaJarServer

        place = str(JavaJarServer.path_to_beam_jar(f":{target}:shadowJar", version=version))
        jar = into / name
        with urlopen(place, timeout=CONNECT_SECONDS) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            say(f"Fetching {name} ({size / 1e6:,.0f} MB): once.")
            digest = _save(answer, jar)
        with urlopen(f"{place}.sha1", timeout=CONNECT_SECONDS) as answer:
            published = answer.read().decode().split()[0]
    # Beam says RuntimeError, and urlopen ValueError, where Beam itself runs from sources that nobody published.
    except (OSError, HTTPException, ValueError, IndexError, RuntimeError) as error:
        say(f"{name} cannot be fetched: {error}.")
        return None
    if digest != published:
        say(f"{name} did not arrive whole.")
        return None
    return jar


def _save(answer: BinaryIO, file: Path) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    with file.open("wb") as out:
        while piece := answer.read(PIECE):
            digest.update(piece)
            out.write(piece)
    return digest.hexdigest()
