"""Beam's job server for Flink or Spark: a Java process that takes Beam jobs, for as long as a block lasts."""

from __future__ import annotations

import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from fluent_pipe.errors import RunnerError
from fluent_pipe.runners import java, tied

if TYPE_CHECKING:
    from typing_extensions import Self

START_SECONDS = 120.0
"""For Java to start and to answer: about 4 s, longer on a busy machine."""
MEMORY = "2g"
EMBEDDED_FLINK = "[local]"
FLINK_SETTINGS: Mapping[str, str] = {
    # Flink's own 64 MB are too few for the shuffles of one TFDV job ("Insufficient number of network buffers").
    "taskmanager.memory.network.min": "256mb",
    "taskmanager.memory.network.max": "256mb",
}
"""What the embedded Flink needs beyond its own defaults."""


class JobServer:
    """Takes Beam jobs on loopback, on a free port. Used as a context manager; no process outlives the block.

    Should this process be killed, the job server ends by itself. Make one by :meth:`flink` or :meth:`spark`.

    Parameters
    ----------
    command
        Java, with all arguments but the ports and folders that are chosen here.
    log
        File that gets all that the server writes, after what is there; its folder must exist.
    settings
        Of Flink, for a configuration folder that is made for it; None for no such folder.

    Attributes
    ----------
    endpoint
        ``host:port`` of Beam's job service, inside the block.
    log
        The file.
    """

    def __init__(self, command: Sequence[str], *, log: Path, settings: Mapping[str, str] | None = None) -> None:
        self._command = list(command)
        self._settings = settings
        self.log = Path(log)
        self.endpoint = ""

    @classmethod
    def flink(
        cls,
        jar: Path,
        *,
        log: Path,
        master: str = EMBEDDED_FLINK,
        memory: str = MEMORY,
        settings: Mapping[str, str] | None = None,
        conf_dir: Path | None = None,
    ) -> JobServer:
        """For Flink.

        Parameters
        ----------
        jar
            Of the job server.
        log
            File that gets all that the server writes.
        master
            ``host:port`` of a cluster, or ``"[local]"`` for a Flink inside the server.
        memory
            Most of Java's heap, such as ``"2g"``.
        settings
            Flink's, over the defaults here.
        conf_dir
            A folder with Flink's configuration, in place of ``settings``.

        Raises
        ------
        RunnerError
            If there is no Java that will do.
        """
        command = [*_java(jar, memory), f"--flink-master={master}"]
        if conf_dir is not None:
            return cls([*command, f"--flink-conf-dir={conf_dir}"], log=log)
        own = FLINK_SETTINGS if master == EMBEDDED_FLINK else {}
        return cls(command, log=log, settings={**own, **(settings or {})})

    @classmethod
    def spark(
        cls,
        jar: Path,
        *,
        log: Path,
        master: str = "local[*]",
        memory: str = MEMORY,
        settings: Mapping[str, str] | None = None,
    ) -> JobServer:
        """For Spark.

        Parameters
        ----------
        jar
            Of the job server.
        log
            File that gets all that the server writes.
        master
            URL of a cluster, or ``"local[2]"`` and the like for a Spark inside the server.
        memory
            Most of Java's heap, such as ``"2g"``.
        settings
            Spark's, such as ``{"spark.executor.memory": "4g"}``.

        Raises
        ------
        RunnerError
            If there is no Java that will do.
        """
        raise NotImplementedError

    def __enter__(self) -> Self:
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server. May be called twice."""

    def check(self) -> None:
        """See that the server is alive.

        Raises
        ------
        RunnerError
            If it has ended; with the last lines of its log.
        """


def _java(jar: Path, memory: str) -> list[str]:
    found = java.find()
    return [str(found.path), f"-Xmx{memory}", *found.opening(), "-jar", str(jar)]
