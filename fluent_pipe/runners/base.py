"""What every runner can do and says of itself. A step or component never asks which runner it is on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import apache_beam as beam

    from fluent_pipe.runners.machine import Machine


@dataclass(frozen=True)
class JobResult:
    """What a finished Beam job tells.

    Parameters
    ----------
    seconds_by_step
        Seconds spent in each step's transforms, as Beam measured them; empty where the runner does not say.
    """

    seconds_by_step: Mapping[str, float]


class Runner(Protocol):
    """Where Beam jobs run."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def shares_local_disk(self) -> bool:
        """Whether workers see the driver's files."""

    def machine(self) -> Machine | None:
        """What the machine that does the work has; None where a cluster finds one that fits a step's wishes."""

    def run(self, build: Callable[[beam.Pipeline], None]) -> JobResult:
        """Build a job on a new Beam pipeline, run it and wait for its end.

        Parameters
        ----------
        build
            Adds the job's transforms to the pipeline.
        """
