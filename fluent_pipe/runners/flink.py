"""Apache Flink, embedded or a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

from fluent_pipe import progress
from fluent_pipe.errors import ArgumentError
from fluent_pipe.runners.base import JobName, Place, Session
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
    settings
        Flink's own, such as ``{"taskmanager.memory.network.max": "512mb"}``.
    memory
        Heap of the job server, in Java's words.

    Examples
    --------
    >>> Flink(parallelism=2).name
    'Flink [local]'
    """

    master: str = field(default="[local]", kw_only=False)
    jar: str | Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict, hash=False)
    memory: str = "2g"

    ours: ClassVar[Mapping[str, str]] = {
        **Workers.ours,
        "flink_master": "master",
        "flink_job_server_jar": "jar",
        "flink_conf_dir": "settings",
    }

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
        """See that Java is there, and a jar that was given.

        Raises
        ------
        RunnerError
            If Java is not, or too old; with the command that brings it.
        ArgumentError
            If an option or the jar cannot be used.
        """
        from fluent_pipe.runners import jars, java

        super().check()
        java.find()
        if self.jar is not None:
            jars.resolve("flink", self.jar)

    def session(self, place: Place) -> AbstractContextManager[Session]:
        """Begin to run jobs: one job server, started at the first, takes all of them."""
        return self.jobs(lambda: self._server(place), place)

    def end_left(self, name: JobName) -> None:
        """Cancel the job on a cluster; one inside the job server ends with it."""
        if self.master not in EMBEDDED:
            from fluent_pipe.runners.flink_cluster import cancel

            cancel(self.master, str(name))

    @contextmanager
    def _server(self, place: Place) -> Iterator[str]:
        from fluent_pipe.runners import jars
        from fluent_pipe.runners.job_server import JobServer

        jar = jars.resolve("flink", self.jar, say=partial(progress.say, self.name))
        log = place.logs / "job_server.txt"
        with JobServer.flink(jar, log=log, master=self.master, memory=self.memory, settings=self.settings) as server:
            yield server.endpoint
