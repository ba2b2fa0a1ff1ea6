"""Apache Spark, embedded or a cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fluent_pipe.errors import ArgumentError
from fluent_pipe.runners.base import Place, Session
from fluent_pipe.runners.portable import Workers

_EMBEDDED = re.compile(r"local(\[(\d+|\*)\])?")


@dataclass(frozen=True, kw_only=True)
class Spark(Workers):
    """Run Beam jobs on Apache Spark.

    Parameters
    ----------
    master
        ``"local[*]"`` or ``"local[2]"``: a Spark of its own inside the job server, on all or so many processors, which
        ends with the run. Else ``spark://host:port`` of a cluster; then ``worker_pool`` or ``container`` says where
        its Python workers are.
    jar
        Beam's job server for Spark. Default: found, or built once; ``fluent-pipe runners`` tells.
    memory
        Heap of the job server, in Java's words; embedded, all work is done in it.

    Examples
    --------
    >>> Spark("local[2]").name
    'Spark local[2]'
    """

    master: str = field(default="local[*]", kw_only=False)
    jar: str | Path | None = None
    memory: str = "2g"

    def __post_init__(self) -> None:
        super().__post_init__()
        if _EMBEDDED.fullmatch(self.master) is None and self.here:
            raise ArgumentError(
                f"Spark({self.master!r}) is a cluster, and nothing says where its Python workers are.",
                fix='Give worker_pool="localhost:50000" (a pool beside each Spark worker) or container="image".',
            )

    @property
    def name(self) -> str:
        """For people."""
        return f"Spark {self.master}"

    def check(self) -> None:
        """Java, and the job server's jar."""

    def session(self, place: Place) -> AbstractContextManager[Session]:
        """Begin to run jobs."""
        return self.jobs(lambda: self._server(place), place)

    @contextmanager
    def _server(self, place: Place) -> Iterator[str]:
        import os
        import socket
        import subprocess

        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        s.close()
        p = subprocess.Popen(
            [
                "java", *os.environ.get("JOPTS", "").split(), "-Xmx" + self.memory, "-jar", str(self.jar),
                "--spark-master-url", self.master, "--job-host", "127.0.0.1", "--job-port", str(port),
                "--artifact-port", "0", "--expansion-port", "0", "--artifacts-dir", "/tmp/beam-art",
            ],
            stdout=(place.logs / "job-server.txt").open("w"),
            stderr=subprocess.STDOUT,
        )
        try:
            yield f"127.0.0.1:{port}"
        finally:
            p.kill()
            p.wait()
