"""A Beam job, handed to a job service over gRPC, watched until it ends, and cancelled where the run is stopped."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc
from apache_beam.runners.portability.portable_runner import TERMINAL_STATES, JobServiceHandle, PortableRunner

from fluent_pipe import progress
from fluent_pipe.errors import RunnerError
from fluent_pipe.runners.base import JobName, JobResult
from fluent_pipe.runners.measured import seconds_by_step

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
CANCEL_SECONDS = 10.0
LAST_WORDS_SECONDS = 3.0
SETTINGS: Mapping[str, object] = {
    "pipeline_type_check": False,
    "pickle_library": "cloudpickle",
    # A worker serves all stages of a job; Beam's default ends it after each, with all that it has loaded.
    "environment_cache_millis": 3_600_000,
}
EXPERIMENTS = ("disable_logging_submission_environment",)  # else pip lists all packages before each job
LEVELS = {
    beam_job_api_pb2.JobMessage.JOB_MESSAGE_WARNING: logging.WARNING,
    beam_job_api_pb2.JobMessage.JOB_MESSAGE_ERROR: logging.ERROR,
}
_ANSWER_SECONDS = 60.0
_LARGEST_MESSAGE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class JobService:
    """A job service at an endpoint.

    Parameters
    ----------
    endpoint
        ``host:port``.
    where
        What it belongs to, for people.

    Raises
    ------
    RunnerError
        If nothing answers there.
    """

    def __init__(self, endpoint: str, *, where: str, answer_seconds: float = _ANSWER_SECONDS) -> None:
        self._where = where
        self._channel = grpc.insecure_channel(endpoint, options=_LARGEST_MESSAGE)
        try:
            grpc.channel_ready_future(self._channel).result(timeout=answer_seconds)
        except grpc.FutureTimeoutError:
            self._channel.close()
            raise RunnerError(
                f"No Beam job service answers at {endpoint}.", where=where, fix="Look whether it runs there."
            ) from None
        self._jobs = beam_job_api_pb2_grpc.JobServiceStub(self._channel)

    def close(self) -> None:
        """Hang up."""
        self._channel.close()

    def options(self) -> frozenset[str]:
        """Names of the pipeline options that the service knows."""
        said = self._jobs.DescribePipelineOptions(beam_job_api_pb2.DescribePipelineOptionsRequest())
        return frozenset(option.name for option in said.options)

    def run(self, build: Callable[[beam.Pipeline], None], name: JobName, settings: Mapping[str, object]) -> JobResult:
        """Build a job, hand it over and wait for its end.

        Parameters
        ----------
        settings
            Pipeline options.

        Raises
        ------
        RunnerError
            If the job fails for a reason that no component has told.
        Interrupted
            If the run is asked to stop; the job is cancelled first.
        """
        given = {**SETTINGS, **settings, "experiments": [*EXPERIMENTS, *_listed(settings.get("experiments"))]}
        options = PipelineOptions(flags=[], job_name=str(name), **given)
        pipeline = beam.Pipeline(runner=_Handed(self._jobs), options=options)
        build(pipeline)
        handed: _Job = pipeline.run()
        with handed:
            return handed.wait()


class _Handed(PortableRunner):  # type: ignore[misc]
    """Beam's own way of making a job of a pipeline, up to where the job is handed over."""

    def __init__(self, jobs: Any) -> None:
        super().__init__()
        self._jobs = jobs

    def run_portable_pipeline(self, pipeline: Any, options: PipelineOptions) -> _Job:
        handle = JobServiceHandle(self._jobs, options)
        job, messages, states = handle.submit(self._optimize_pipeline(pipeline, options))
        states.cancel() if hasattr(states, "cancel") else None
        return _Job(self._jobs, job, messages)


class _Job:
    """A job that was handed over; cancelled where the block ends before it does."""

    def __init__(self, jobs: Any, job: str, messages: Any) -> None:
        self._jobs = jobs
        self._job = job
        self._state = beam_job_api_pb2.JobState.STARTING
        self._errors: list[str] = []
        self._reader = threading.Thread(target=self._read, args=(messages,), daemon=True)
        self._reader.start()

    def __enter__(self) -> _Job:
        return self

    def __exit__(self, *_: object) -> None:
        if self._state not in TERMINAL_STATES:
            self._cancel()

    def wait(self) -> JobResult:
        """Wait for its end."""
        while self._state not in TERMINAL_STATES:
            progress.check()
            time.sleep(POLL_SECONDS)
            self._state = self._ask()
        if self._state != beam_job_api_pb2.JobState.DONE:
            progress.check()
            self._reader.join(LAST_WORDS_SECONDS)  # the stream may never end
            name = beam_job_api_pb2.JobState.Enum.Name(self._state).lower()
            raise RuntimeError(self._errors[-1] if self._errors else f"The job ended as {name}, and gave no reason.")
        request = beam_job_api_pb2.GetJobMetricsRequest(job_id=self._job)
        measured = self._jobs.GetJobMetrics(request, timeout=_ANSWER_SECONDS).metrics
        return JobResult(seconds_by_step(measured.committed or measured.attempted))

    def _ask(self) -> Any:
        request = beam_job_api_pb2.GetJobStateRequest(job_id=self._job)
        return self._jobs.GetState(request, timeout=_ANSWER_SECONDS).state

    def _read(self, messages: Any) -> None:
        with suppress(grpc.RpcError):
            for message in messages:
                said = message.message_response
                if not said.message_text:
                    continue
                log.log(LEVELS.get(said.importance, logging.INFO), "%s", said.message_text)
                if said.importance == beam_job_api_pb2.JobMessage.JOB_MESSAGE_ERROR:
                    self._errors.append(said.message_text)

    def _cancel(self) -> None:
        """Cancel it and wait until it has ended, so that no worker is at work behind a run that was stopped."""
        with suppress(grpc.RpcError):
            self._jobs.Cancel(beam_job_api_pb2.CancelJobRequest(job_id=self._job), timeout=CANCEL_SECONDS)
            until = time.monotonic() + CANCEL_SECONDS
            while time.monotonic() < until and self._ask() not in TERMINAL_STATES:
                time.sleep(POLL_SECONDS)


def _listed(value: object) -> list[object]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]
