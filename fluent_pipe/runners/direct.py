"""Beam in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fluent_pipe import progress
from fluent_pipe.errors import ArgumentError
from fluent_pipe.runners.base import Capabilities, JobName, JobResult, Place
from fluent_pipe.runners.machine import this_machine
from fluent_pipe.runners.measured import rows_by_step, seconds_by_step
from fluent_pipe.steps import carrying

if TYPE_CHECKING:
    import apache_beam as beam

Mode = Literal["in_memory", "multi_threading", "multi_processing"]
MODES: Mapping[str, str] = {
    "in_memory": "one worker, the fastest for data that one core can read",
    "multi_threading": "several workers in this process",
    "multi_processing": "several processes, each of which imports all libraries",
}


@dataclass(frozen=True, kw_only=True)
class Direct:
    """Run Beam jobs on this machine, by Beam's own in-process runner.

    Parameters
    ----------
    workers
        Workers that share the elements of a step. More than one needs another ``mode`` than ``"in_memory"``.
    mode
        Beam's ``direct_running_mode``: ``"in_memory"`` (one worker, the default), ``"multi_threading"`` or
        ``"multi_processing"``.

    Raises
    ------
    ArgumentError
        If the two do not fit.

    Examples
    --------
    >>> Direct().capabilities().shared_disk
    True
    """

    workers: int = 1
    mode: Mode = "in_memory"

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ArgumentError(f"Direct(mode=) is none of Beam's: {self.mode!r}.", got=self.mode, valid=list(MODES))
        if isinstance(self.workers, bool) or not isinstance(self.workers, int) or self.workers < 1:
            raise ArgumentError(f"Direct(workers=) takes an integer of 1 or more, got {self.workers!r}.")
        if self.workers > 1 and self.mode == "in_memory":
            raise ArgumentError(
                f"Direct(workers={self.workers}) needs a mode that has several workers.",
                valid=[m for m in MODES if m != "in_memory"],
                fix='For example fp.runners.Direct(workers=2, mode="multi_threading").',
            )

    @property
    def name(self) -> str:
        """For people."""
        return "on this machine" if self.mode == "multi_processing" else "in this process"

    def capabilities(self) -> Capabilities:
        """What it can do."""
        return Capabilities(shared_disk=True, parallelism=self.workers, machine=this_machine())

    def check(self) -> None:
        """Nothing can be missing."""

    @contextmanager
    def session(self, place: Place) -> Iterator[Direct]:
        """Nothing is started for a job."""
        with carrying.elsewhere() if self.mode == "multi_processing" else nullcontext():
            yield self

    def run(self, build: Callable[[beam.Pipeline], None], name: JobName | None = None) -> JobResult:
        """Build a job on a new Beam pipeline, run it and wait for its end."""
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions

        # Named explicitly: ``DirectRunner`` may try others first and fall back silently.
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner

        options = PipelineOptions(
            flags=[],
            pipeline_type_check=False,
            pickle_library="cloudpickle",  # dill, this version's default, loses globals on their way to other processes
            direct_running_mode=self.mode,
            direct_num_workers=self.workers,
        )
        pipeline = beam.Pipeline(runner=FnApiRunner(), options=options)
        steps = name.steps if name is not None else ()
        progress.tell_job(steps, "building the job")
        build(pipeline)
        progress.tell_job(steps, "")
        result = pipeline.run()
        result.wait_until_finish()
        measured = list(result.monitoring_infos())
        progress.counted(result, rows_by_step(measured))
        return JobResult(seconds_by_step(measured))
