"""Java, which the job servers of Flink and Spark run on: where it is, and whether it will do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fluent_pipe.errors import RunnerError

OLDEST = 11
"""The classes of Beam 2.62, Flink 1.19 and Spark 3.5 run on Java 8 still, but Flink has deprecated it and recommends 11
(its "Java compatibility" page); Spark 3.5 "runs on Java 8/11/17" (its overview)."""
INSTALL = "apt-get install openjdk-17-jre-headless"
"""Brings what this project is tested on, where Debian's or Ubuntu's packages are."""
ANSWER_SECONDS = 20

OPENED = (
    "java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util",
    "java.util.concurrent", "java.util.concurrent.atomic", "sun.nio.ch", "sun.nio.cs", "sun.security.action",
    "sun.util.calendar",
)  # fmt: skip
"""Packages of ``java.base`` that Spark reaches into, as its own launcher lists them (``JavaModuleOptions``)."""


@dataclass(frozen=True)
class Java:
    """A Java that was found.

    Parameters
    ----------
    path
        Of the ``java`` command.
    version
        As it says itself, such as ``"17.0.15"`` or ``"1.8.0_292"``.
    """

    path: Path
    version: str

    @property
    def major(self) -> int:
        """The number that people call it by.

        Examples
        --------
        >>> [Java(Path("java"), version).major for version in ("17.0.15", "1.8.0_292", "22-ea")]
        [17, 8, 22]
        """
        first, second = (*re.findall(r"\d+", self.version), "0")[:2]
        return int(second if first == "1" else first)

    def __str__(self) -> str:
        return f"Java {self.version} ({self.path})"

    def opening(self) -> list[str]:
        """Arguments that open what Spark reaches into, for jars whose manifest does not, or is not read (``-cp``).

        Examples
        --------
        >>> Java(Path("java"), "17.0.15").opening()[0]
        '--add-opens=java.base/java.lang=ALL-UNNAMED'
        """
        return [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]


def find() -> Java:
    """Find Java: that of ``JAVA_HOME``, else the one on the path; the first that is new enough.

    Returns
    -------
    Java
        Of version 11 or newer.

    Raises
    ------
    RunnerError
        If there is none; it says what was found, and the command that brings one.
    """
    met: list[str] = []
    for command in _commands():
        version = _version(command)
        if version is None:
            met.append(f"{command} does not say its version")
            continue
        java = Java(command, version)
        if java.major >= OLDEST:
            return java
        met.append(f"{java} is too old")
    home = os.environ.get("JAVA_HOME")
    if not met and home:
        met.append(f"JAVA_HOME is {home}, where there is no bin/java, and there is none on the path")
    raise RunnerError(
        f"Flink and Spark need Java {OLDEST} or newer: {'; '.join(met) or 'there is no java on the path'}.",
        fix=f"Install it, for example by `{INSTALL}`, or let JAVA_HOME name its folder.",
    )


def _commands() -> Iterator[Path]:
    home = os.environ.get("JAVA_HOME")
    own = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    found = shutil.which("java")
    yield from (Path(command) for command in dict.fromkeys((own, found)) if command is not None)


def _version(command: Path) -> str | None:
    try:
        done = subprocess.run(
            [command, "-version"], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = re.search(r'version "([^"]+)"', done.stderr + done.stdout)
    return said[1] if said and done.returncode == 0 else None
