"""Apache Spark, embedded or a cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

from fluent_pipe import progress
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
    settings
        Spark's own, such as ``{"spark.executor.memory": "4g"}``.
    memory
        Heap of the job server, in Java's words; embedded, all work is done in it.

    Examples
    --------
    >>> Spark("local[2]").name
    'Spark local[2]'
    """

    master: str = field(default="local[*]", kw_only=False)
    jar: str | Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict, hash=False)
    memory: str = "2g"

    ours: ClassVar[Mapping[str, str]] = {**Workers.ours, "spark_master_url": "master", "spark_job_server_jar": "jar"}

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
            jars.resolve("spark", self.jar)

    def session(self, place: Place) -> AbstractContextManager[Session]:
        """Begin to run jobs: one job server, started at the first, takes all of them."""
        return self.jobs(lambda: self._server(place), place)

    @contextmanager
    def _server(self, place: Place) -> Iterator[str]:
        from fluent_pipe.runners import jars
        from fluent_pipe.runners.job_server import JobServer

        jar = jars.resolve("spark", self.jar, say=partial(progress.say, self.name))
        log = place.logs / "job_server.txt"
        with JobServer.spark(jar, log=log, master=self.master, memory=self.memory, settings=self.settings) as server:
            yield server.endpoint
