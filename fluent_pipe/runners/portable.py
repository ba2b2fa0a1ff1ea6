"""Runners that take jobs over Beam's job service: any at an endpoint, and what Flink and Spark share."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from fluent_pipe import progress
from fluent_pipe.errors import ArgumentError, RunnerError
from fluent_pipe.runners.base import Capabilities, JobName, JobResult, Place, Session
from fluent_pipe.runners.machine import this_machine
from fluent_pipe.runners.packages import requirement_lines
from fluent_pipe.steps import carrying

if TYPE_CHECKING:
    import apache_beam as beam

    from fluent_pipe.runners.job_service import JobService
JOB_SERVER_LOG = "job_server.txt"
"""Name, in the folder of logs, of what a job server that was started for the run writes."""


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Where the Python workers of a portable runner are, and what its jobs are told besides.

    Parameters
    ----------
    parallelism
        Workers that a step's elements are spread over. None: the runner's own default.
    worker_pool
        ``host:port`` of a Beam worker pool, as the cluster's machines reach it: one beside each of them usually, then
        ``"localhost:50000"``. ``fluent-pipe worker-pool`` is one.
    container
        Image of a container that the cluster's machines start as worker.
    processes
        Where neither is given, workers are on this machine: threads of this process, or that many processes.
    shared_disk
        Whether workers see this machine's files under the same paths. Default: True for workers on this machine.
    requirements
        What workers elsewhere install besides this package, which is staged for them as a wheel: the path of a
        requirements file, or a list such as ``["pandera==0.22.1"]``; a wheel's path may stand in it.
    options
        Further Beam options by name.
    """

    parallelism: int | None = None
    worker_pool: str | None = None
    container: str | None = None
    processes: int | None = None
    shared_disk: bool | None = None
    requirements: str | Sequence[str] | None = None
    options: Mapping[str, object] = field(default_factory=dict, hash=False)

    ours: ClassVar[Mapping[str, str]] = {
        "runner": "",
        "job_endpoint": "",
        "job_name": "",
        "environment_type": "worker_pool",
        "environment_config": "worker_pool",
        "environment_options": "container",
        "sdk_worker_parallelism": "processes",
        "parallelism": "parallelism",
        "requirements_file": "requirements",
    }
    """Beam's options that are set here, and by which argument."""

    def __post_init__(self) -> None:
        call = type(self).__name__
        for name in ("parallelism", "processes"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ArgumentError(f"{call}({name}=) takes an integer of 1 or more, got {value!r}.")
        elsewhere = {n: v for n in ("worker_pool", "container", "processes") if (v := getattr(self, n)) is not None}
        if len(elsewhere) > 1:
            raise ArgumentError(f"{call}() takes one of {', '.join(elsewhere)}: they say where workers are.")
        if self.worker_pool is not None and not re.fullmatch(r"[^\s:/]+:\d+", self.worker_pool):
            raise ArgumentError(
                f"{call}(worker_pool=) takes host:port, got {self.worker_pool!r}.", fix='For example "localhost:50000".'
            )
        if requirement_lines(self.requirements) and self.here:
            raise ArgumentError(
                f"{call}(requirements=) is for workers elsewhere; here they are on this machine.",
                fix="Install what they need in this environment.",
            )

    @property
    def name(self) -> str:
        """For people."""
        return type(self).__name__

    @property
    def here(self) -> bool:
        """Whether workers are on this machine, started for the run."""
        return self.worker_pool is None and self.container is None

    def capabilities(self) -> Capabilities:
        """What it can do."""
        shared = self.here if self.shared_disk is None else self.shared_disk
        return Capabilities(
            shared_disk=shared, parallelism=self.parallelism, machine=this_machine() if self.here else None
        )

    def check(self) -> None:
        """See that the options are Beam's, as far as is known here.

        Raises
        ------
        ArgumentError
            If one is not, or is set by this runner itself.
        """
        if self.options:
            self.beam_options(also=self.options)

    def beam_options(self, also: Collection[str]) -> dict[str, object]:
        """``options`` as Beam takes them; ``also`` are names that a job server knows besides."""
        from fluent_pipe.runners.options import beam_options

        return beam_options(self.options, where=f"{type(self).__name__}(options=)", also=also, ours=self.ours)

    def end_left(self, name: JobName) -> None:
        """End what goes on of a job that was cancelled, or whose job service is gone."""

    @contextmanager
    def environment(self, log: Path) -> Iterator[dict[str, object]]:
        """Beam's options that say where workers are; those on this machine are served for as long as it lasts."""
        if self.container is not None:
            yield {"environment_type": "DOCKER", "environment_config": self.container}
        elif self.worker_pool is not None:
            yield {"environment_type": "EXTERNAL", "environment_config": self.worker_pool}
        else:
            from fluent_pipe.runners.worker_pool import WorkerPool, serving

            pool = WorkerPool(processes=self.processes is not None, log=log)
            with serving(pool) as address:
                more = {} if self.processes is None else {"sdk_worker_parallelism": str(self.processes)}
                yield {"environment_type": "EXTERNAL", "environment_config": address, **more}

    def staged(self, folder: Path) -> dict[str, object]:
        """Options for what workers elsewhere install."""
        if self.here:
            return {}
        from fluent_pipe.runners import packages

        return packages.staged(self.requirements, folder)

    @contextmanager
    def jobs(self, service: Callable[[], AbstractContextManager[str]], place: Place) -> Iterator[Session]:
        """Jobs handed to a service, which is started at the first of them; ``service`` gives its endpoint."""
        with ExitStack() as started:
            if not self.here or self.processes is not None:
                started.enter_context(carrying.elsewhere())
            yield _Jobs(self, service, place, started)


class _Jobs:
    def __init__(
        self, workers: Workers, service: Callable[[], AbstractContextManager[str]], place: Place, started: ExitStack
    ) -> None:
        self._workers = workers
        self._start = service
        self._place = place
        self._started = started
        self._service: JobService | None = None
        self._settings: dict[str, object] = {}

    def run(self, build: Callable[[beam.Pipeline], None], name: JobName) -> JobResult:
        try:
            return self._at_work(name).run(build, name, self._settings)
        except KeyboardInterrupt:
            self._workers.end_left(name)
            self._started.close()  # now, so that no worker writes into a folder that is then removed
            raise
        except RunnerError:
            self._workers.end_left(name)
            raise

    def _at_work(self, name: JobName) -> JobService:
        if self._service is None:
            progress.tell_job(name.steps, f"{self._workers.name}: starting")
            from fluent_pipe.runners.job_service import JobService

            workers = self._workers
            # Ended in turn: the connection, the service, then the workers, which are idle when it is gone.
            environment = self._started.enter_context(workers.environment(self._place.logs / "workers.txt"))
            endpoint = self._started.enter_context(self._start())
            service = JobService(endpoint, where=workers.name, log=self._place.logs / JOB_SERVER_LOG)
            self._service = service
            self._started.callback(service.close)
            parallel = {} if workers.parallelism is None else {"parallelism": workers.parallelism}
            also = service.options() if workers.options else ()
            self._settings = {
                **workers.beam_options(also),
                **parallel,
                **environment,
                **workers.staged(self._place.logs),
            }
        return self._service


@dataclass(frozen=True, kw_only=True)
class Portable(Workers):
    """Hand jobs to a Beam job service that runs somewhere.

    Parameters
    ----------
    job_endpoint
        ``host:port`` of the job service.

    Examples
    --------
    >>> Portable("localhost:8099", worker_pool="localhost:50000").capabilities().shared_disk
    False
    """

    job_endpoint: str = field(kw_only=False)

    @property
    def name(self) -> str:
        """For people."""
        return f"Beam job service {self.job_endpoint}"

    def session(self, place: Place) -> AbstractContextManager[Session]:
        """Begin to run jobs."""
        return self.jobs(lambda: nullcontext(self.job_endpoint), place)
