"""Beam in this process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fluent_pipe.runners.base import JobResult
from fluent_pipe.runners.machine import Machine, this_machine

if TYPE_CHECKING:
    import apache_beam as beam


@dataclass(frozen=True)
class Direct:
    """Run Beam jobs in this process, on one worker.

    Beam's in-process runner is named explicitly: ``DirectRunner`` may try others first and fall back silently.
    """

    name = "in this process"
    shares_local_disk = True

    def machine(self) -> Machine:
        """What this machine has."""
        return this_machine()

    def run(self, build: Callable[[beam.Pipeline], None]) -> JobResult:
        """Build a job on a new Beam pipeline, run it and wait for its end."""
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner

        pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(flags=[], pipeline_type_check=False))
        build(pipeline)
        result = pipeline.run()
        result.wait_until_finish()
        return JobResult(_seconds_by_step(result.monitoring_infos()))


def _seconds_by_step(infos: Any) -> Mapping[str, float]:
    from apache_beam.metrics import monitoring_infos as mi

    seconds: defaultdict[str, float] = defaultdict(float)
    for info in infos:
        if info.urn in (mi.START_BUNDLE_MSECS_URN, mi.PROCESS_BUNDLE_MSECS_URN, mi.FINISH_BUNDLE_MSECS_URN):
            transform = info.labels.get("PTRANSFORM", "")
            seconds[transform.partition("/")[0].removeprefix("ref_AppliedPTransform_")] += (
                mi.extract_counter_value(info) / 1000
            )
    return dict(seconds)
