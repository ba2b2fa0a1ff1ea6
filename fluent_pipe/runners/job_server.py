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

import psutil

from fluent_pipe.errors import RunnerError
from fluent_pipe.runners import java, tied

if TYPE_CHECKING:
    from typing_extensions import Self

START_SECONDS = 120.0
"""For Java to start and to answer: about 4 s, longer on a busy machine."""
ATTEMPTS = 3
"""A port that is free now may be taken when Java has started."""
MEMORY = "2g"
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Halves what Java costs the processors on a laptop: most of it is compiling what runs once."""
LAST_LINES = 5
LOGGING = Path(__file__).with_name("logging.properties")

EMBEDDED_FLINK: Mapping[str, str] = {
    # Flink's own 64 MB are too few for the shuffles of one TFDV job ("Insufficient number of network buffers").
    "taskmanager.memory.network.min": "256mb",
    "taskmanager.memory.network.max": "256mb",
}
"""Settings of a Flink inside the server."""
EMBEDDED_SPARK: Mapping[str, str] = {
    "spark.ui.enabled": "false",  # a web page that the whole network could open
    "spark.driver.host": "localhost",
    "spark.driver.bindAddress": "127.0.0.1",
}
"""Settings of a Spark inside the server."""


class JobServer:
    """Takes Beam jobs on a free port. Used as a context manager; no process outlives the block.

    Should this process be killed, the job server ends by itself. Make one by :meth:`flink` or :meth:`spark`.

    Beam's server listens on all addresses of the machine, whatever it is told, and asks nobody who they are: what
    reaches its port can run code. On a network that is not trusted, a firewall has to close it.

    Parameters
    ----------
    command
        Java and its arguments, without the ports and folders that are chosen here.
    log
        File that gets all that the server writes, after what is there already; its folder must exist.
    flink_settings
        For a folder with Flink's configuration, which is made for the server; None for no such folder.
    artifacts_dir
        Where a job's files are kept; None for a folder for temporary files.

    Attributes
    ----------
    endpoint
        ``host:port`` of Beam's job service, inside the block.
    log
        The file.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        flink_settings: Mapping[str, str] | None = None,
        artifacts_dir: str | None = None,
    ) -> None:
        self._command = tuple(command)
        self._flink_settings = flink_settings
        self._artifacts_dir = artifacts_dir
        self._process: subprocess.Popen[bytes] | None = None
        self._place: tempfile.TemporaryDirectory[str] | None = None
        self._log_begin = 0
        self.log = Path(log)
        self.endpoint = ""

    @classmethod
    def flink(
        cls,
        jar: Path,
        *,
        log: Path,
        master: str = "[local]",
        memory: str = MEMORY,
        settings: Mapping[str, str] | None = None,
        conf_dir: Path | None = None,
        artifacts_dir: str | None = None,
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
            Flink's, over those that a Flink inside the server has here.
        conf_dir
            A folder with Flink's configuration, in place of all settings.
        artifacts_dir
            Where a job's files are kept for its workers; it has to be one that workers elsewhere can read. Default:
            a folder for temporary files, which goes with the server.

        Raises
        ------
        RunnerError
            If there is no Java that will do.
        """
        command = [*_java(jar, memory), f"--flink-master={master}"]
        if conf_dir is not None:
            return cls([*command, f"--flink-conf-dir={conf_dir}"], log=log, artifacts_dir=artifacts_dir)
        own = EMBEDDED_FLINK if master == "[local]" else {}
        return cls(command, log=log, flink_settings={**own, **(settings or {})}, artifacts_dir=artifacts_dir)

    @classmethod
    def spark(
        cls,
        jar: Path,
        *,
        log: Path,
        master: str = "local[*]",
        memory: str = MEMORY,
        settings: Mapping[str, str] | None = None,
        artifacts_dir: str | None = None,
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
        artifacts_dir
            Where a job's files are kept for its workers; it has to be one that workers elsewhere can read. Default:
            a folder for temporary files, which goes with the server.

        Raises
        ------
        RunnerError
            If there is no Java that will do.
        """
        own = EMBEDDED_SPARK if master.startswith("local") else {}
        properties = [f"-D{name}={value}" for name, value in {**own, **(settings or {})}.items()]
        command = [*_java(jar, memory, properties), f"--spark-master-url={master}"]
        return cls(command, log=log, artifacts_dir=artifacts_dir)

    def __enter__(self) -> Self:
        try:
            for attempt in range(1, ATTEMPTS + 1):
                port = self._start()
                if self._is_up(port, last=attempt == ATTEMPTS):
                    self.endpoint = f"localhost:{port}"
                    return self
                self.stop()
        except BaseException:
            self.stop()
            raise
        raise AssertionError("the last attempt ends in an answer or in an error")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def check(self) -> None:
        """See that the server is alive.

        Raises
        ------
        RunnerError
            If it has ended; with the last lines of its log.
        """
        if self._process is None or self._process.poll() is not None:
            self._fail("The job server has ended")

    def stop(self) -> None:
        """End the server and remove what it keeps. May be called twice."""
        if self._process is not None:
            tied.stop(self._process)
        if self._place is not None:
            self._place.cleanup()
            self._place = None

    def _start(self) -> int:
        self._place = tempfile.TemporaryDirectory(prefix="fluent_pipe_job_server_")
        place, port = Path(self._place.name), _free_port()
        command = [
            *self._command, "--job-host=localhost", f"--job-port={port}", "--artifact-port=0",
            "--expansion-port=-1",  # nobody asks it to expand transforms of other languages
            f"--artifacts-dir={self._artifacts_dir or place / 'artifacts'}",
        ]  # fmt: skip
        if self._flink_settings:
            lines = "".join(f"{name}: {value}\n" for name, value in self._flink_settings.items())
            for file in ("flink-conf.yaml", "config.yaml"):  # as Flink names it up to 1.18, and from 1.19 on
                (place / file).write_text(lines)
            command.append(f"--flink-conf-dir={place}")
        with self.log.open("ab") as log:
            self._log_begin = log.tell()
            self._process = tied.start(command, log, folder=place)
        return port

    def _is_up(self, port: int, *, last: bool) -> bool:
        """Wait for the server; False if another process took its port."""
        assert self._process is not None
        end = time.monotonic() + START_SECONDS
        while not _listens(self._process, port):
            if self._process.poll() is not None:
                if not last and "Address already in use" in self._said():
                    return False
                self._fail("The job server does not start")
            if time.monotonic() > end:
                self._fail(f"The job server did not answer within {START_SECONDS:g} s, and was ended")
            time.sleep(0.1)
        return True

    def _said(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_begin)
            return log.read().decode(errors="replace")

    def _fail(self, fact: str) -> None:
        words = last_words(self._said())
        raise RunnerError(f"{fact}{f': {words}' if words else ''}.", where=str(self.log))


def last_words(text: str) -> str:
    r"""The last lines of a Java log that tell something: no frames of a stack.

    Examples
    --------
    >>> last_words("WARNING no\njava.io.IOException: disk\n\tat a.B.c(B.java:1)\n\t... 2 more\n")
    'WARNING no / java.io.IOException: disk'
    """
    lines = [line.strip() for line in text.splitlines()]
    telling = [line for line in lines if line and not re.match(r"at \S+\(|\.\.\. \d+ more", line)]
    return " / ".join(telling[-LAST_LINES:]).rstrip(".")


def _java(jar: Path, memory: str, properties: Sequence[str] = ()) -> list[str]:
    found = java.find()
    logging = f"-Djava.util.logging.config.file={LOGGING}"
    return [
        str(found.path), f"-Xmx{memory}", *QUICK, *found.opening(), logging, *properties,
        "-jar", str(Path(jar).absolute()),
    ]  # fmt: skip


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether the command, and not any other process, listens on a port."""
    try:
        for child in psutil.Process(process.pid).children(recursive=True):
            connections = getattr(child, "net_connections", None) or child.connections  # its name before psutil 6
            if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections(kind="tcp")):
                return True
    except psutil.Error:
        pass  # it has just ended, which is seen elsewhere
    return False
