"""What every runner can do and says of itself. A step or component never asks which runner it is on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import apache_beam as beam

    from fluent_pipe.runners.machine import Machine


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a runner can do, as far as a run must know.

    Parameters
    ----------
    shared_disk
        Whether workers see the files of this process under the same paths.
    parallelism
        Workers that a step's elements are spread over; None where the runner decides.
    machine
        What the machine that does the work has; None where a cluster finds one that fits a step's wishes.

    Examples
    --------
    >>> print(Capabilities(shared_disk=False, parallelism=8))
    8 workers, sees no files of this machine, machines as steps ask for them
    """

    shared_disk: bool
    parallelism: int | None = None
    machine: Machine | None = None

    def __str__(self) -> str:
        workers = "as many workers as it decides" if self.parallelism is None else f"{self.parallelism} workers"
        disk = "sees this machine's files" if self.shared_disk else "sees no files of this machine"
        machine = "machines as steps ask for them" if self.machine is None else str(self.machine)
        return f"{'1 worker' if self.parallelism == 1 else workers}, {disk}, {machine}"


@dataclass(frozen=True)
class Place:
    """Where a run lies, for what a runner starts and leaves besides.

    Parameters
    ----------
    root
        Path or URL of the root of all results.
    logs
        Folder of this machine for the logs of what is started.
    """

    root: str
    logs: Path


@dataclass(frozen=True)
class JobName:
    """Names a Beam job for the runner's own pages, and for labels.

    Parameters
    ----------
    pipeline
        Name of the pipeline.
    run
        Id of the run.
    steps
        Ids of the steps in the job, in order.
    """

    pipeline: str
    run: str
    steps: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.pipeline} {self.run}: {', '.join(self.steps)}"


@dataclass(frozen=True)
class JobResult:
    """What a finished Beam job tells.

    Parameters
    ----------
    seconds_by_step
        Seconds spent in each step's transforms, as Beam measured them; empty where the runner does not say.
    """

    seconds_by_step: Mapping[str, float] = field(default_factory=dict)


class Session(Protocol):
    """A runner at work for one run: its jobs share what it takes to run them."""

    def run(self, build: Callable[[beam.Pipeline], None], name: JobName) -> JobResult:
        """Build a job on a new Beam pipeline, run it and wait for its end.

        Parameters
        ----------
        build
            Adds the job's transforms to the pipeline.
        name
            Of the job.

        Raises
        ------
        Interrupted
            If the run was asked to stop; a job that runs elsewhere is cancelled first.
        """


class Runner(Protocol):
    """Where Beam jobs run: a small value, made without looking at anything."""

    @property
    def name(self) -> str:
        """For people."""

    def capabilities(self) -> Capabilities:
        """What it can do."""

    def check(self) -> None:
        """Look, before anything starts, whether jobs can run there.

        Raises
        ------
        RunnerError
            What is missing, and the command that brings it.
        """

    def session(self, place: Place) -> AbstractContextManager[Session]:
        """Begin to run jobs; whatever is started for them, at the first job, ends with the block."""
