"""What Flink and Spark share: a job server of Beam's, which is started for a run and takes all of its jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

from fluent_pipe import progress
from fluent_pipe.errors import ArgumentError
from fluent_pipe.runners.base import Place, Session
from fluent_pipe.runners.jars import Kind
from fluent_pipe.runners.portable import JOB_SERVER_LOG, Workers


@dataclass(frozen=True, kw_only=True)
class Served(Workers):
    """Runs Beam jobs by a job server of its own. A subclass says of which engine, and documents the parameters."""

    master: str = field(kw_only=False)
    jar: str | Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict, hash=False)
    memory: str = "2g"

    kind: ClassVar[Kind]
    machine_name: ClassVar[str]
    """What a machine of the cluster is called, beside which a worker pool runs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.embedded and self.here:
            beside = f"a pool beside each {self.machine_name}"
            raise ArgumentError(
                f"{type(self).__name__}({self.master!r}) is a cluster, and nothing says where its Python workers are.",
                fix=f'Give worker_pool="localhost:50000" ({beside}) or container="image".',
            )

    @property
    def embedded(self) -> bool:
        """Whether the engine is inside the job server."""
        raise NotImplementedError(f"{type(self).__name__} does not say which masters are embedded")

    @property
    def name(self) -> str:
        """For people."""
        return f"{type(self).__name__} {self.master}"

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
            jars.resolve(self.kind, self.jar)

    def session(self, place: Place) -> AbstractContextManager[Session]:
        """Begin to run jobs: one job server, started at the first, takes all of them."""
        return self.jobs(lambda: self._server(place), place)

    @contextmanager
    def _server(self, place: Place) -> Iterator[str]:
        from fluent_pipe.runners import jars
        from fluent_pipe.runners.job_server import JobServer

        make = {"flink": JobServer.flink, "spark": JobServer.spark}[self.kind]
        jar = jars.resolve(self.kind, self.jar, say=partial(progress.say, self.name))
        log = place.logs / JOB_SERVER_LOG
        with make(jar, log=log, master=self.master, memory=self.memory, settings=self.settings) as server:
            yield server.endpoint
