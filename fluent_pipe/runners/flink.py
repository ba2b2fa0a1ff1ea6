"""Apache Flink, embedded or a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fluent_pipe.errors import ArgumentError
from fluent_pipe.runners.base import Place, Session
from fluent_pipe.runners.portable import Workers

EMBEDDED = ("[local]", "[auto]")


@dataclass(frozen=True, kw_only=True)
class Flink(Workers):
    """Run Beam jobs on Apache Flink.

    Parameters
    ----------
    master
        ``"[local]"``: a Flink of its own inside the job server, which ends with the run. Else ``host:port`` of the job
        manager of a cluster; then ``worker_pool`` or ``container`` says where its Python workers are.
    jar
        Beam's job server for Flink. Default: found, or built once; ``fluent-pipe runners`` tells.
    memory
        Heap of the job server, in Java's words.

    Examples
    --------
    >>> Flink(parallelism=2).name
    'Flink [local]'
    """

    master: str = field(default="[local]", kw_only=False)
    jar: str | Path | None = None
    memory: str = "2g"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.master not in EMBEDDED and self.here:
            raise ArgumentError(
                f"Flink({self.master!r}) is a cluster, and nothing says where its Python workers are.",
                fix='Give worker_pool="localhost:50000" (a pool beside each task manager) or container="image".',
            )

    @property
    def name(self) -> str:
        """For people."""
        return f"Flink {self.master}"

    def check(self) -> None:
        """Java, and the job server's jar."""

    def session(self, place: Place) -> AbstractContextManager[Session]:
        """Begin to run jobs."""
        return self.jobs(lambda: self._server(place), place)

    @contextmanager
    def _server(self, place: Place) -> Iterator[str]:
        import subprocess, socket
        s = socket.socket(); s.bind(("127.0.0.1", 0)); port = s.getsockname()[1]; s.close()
        p = subprocess.Popen(["java", *__import__("os").environ.get("JOPTS","").split(), "-Xmx"+self.memory, "-jar", str(self.jar), "--flink-master", self.master, "--job-host", "127.0.0.1", "--job-port", str(port), "--artifact-port", "0", "--expansion-port", "0", "--artifacts-dir", "/tmp/beam-art"], stdout=(place.logs/"job-server.txt").open("w"), stderr=subprocess.STDOUT)
        try:
            yield f"127.0.0.1:{port}"
        finally:
            p.kill(); p.wait()
