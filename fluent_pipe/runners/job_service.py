"""A Beam job, handed to a job service over gRPC, watched until it ends, and cancelled where the run is stopped.

Flink's and Spark's job servers tell a job's state at any time, but its counters only when it has ended. So rows and
words of steps are live from workers that the run started here, and come at the end of the job from others.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc
from apache_beam.runners.portability.portable_runner import TERMINAL_STATES, JobServiceHandle, PortableRunner

from fluent_pipe import progress
from fluent_pipe.errors import RunnerError
from fluent_pipe.runners.base import JobName, JobResult
from fluent_pipe.runners.failures import of_runner
from fluent_pipe.runners.job_server import last_words
from fluent_pipe.runners.measured import rows_by_step, seconds_by_step

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
CANCEL_SECONDS = 10.0
LAST_WORDS_SECONDS = 3.0
LOST_SECONDS = 5.0
"""How long a job service may not be reached; a moment's silence of a network is no end."""
SETTINGS: Mapping[str, object] = {
    "pipeline_type_check": False,
    "pickle_library": "cloudpickle",
    # A worker serves all stages of a job; Beam's default ends it after each, with all that it has loaded. On a cluster
    # it lives so much longer than its job, even a cancelled one that it knows nothing of.
    "environment_cache_millis": 10_000,
}
EXPERIMENTS = ("disable_logging_submission_environment",)  # else pip lists all packages before each job
LEVELS = {
    beam_job_api_pb2.JobMessage.JOB_MESSAGE_WARNING: logging.WARNING,
    beam_job_api_pb2.JobMessage.JOB_MESSAGE_ERROR: logging.ERROR,
}
_ANSWER_SECONDS = 60.0
_LAST_CHARACTERS = 20_000
_LARGEST_MESSAGE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class JobService:
    """A job service at an endpoint.

    Parameters
    ----------
    endpoint
        ``host:port``.
    where
        What it belongs to, for people.
    log
        What the service writes, where it was started here; its last lines tell why it ended.

    Raises
    ------
    RunnerError
        If nothing answers there.
    """

    def __init__(
        self, endpoint: str, *, where: str, log: Path | None = None, answer_seconds: float = _ANSWER_SECONDS
    ) -> None:
        self.where = where
        self._log = log
        self._channel = grpc.insecure_channel(endpoint, options=_LARGEST_MESSAGE)
        try:
            grpc.channel_ready_future(self._channel).result(timeout=answer_seconds)
        except grpc.FutureTimeoutError:
            self._channel.close()
            raise RunnerError(
                f"No Beam job service answers at {endpoint}.", where=where, fix="Look whether it runs there."
            ) from None
        self.stub = beam_job_api_pb2_grpc.JobServiceStub(self._channel)

    def close(self) -> None:
        """Hang up."""
        self._channel.close()

    def options(self) -> frozenset[str]:
        """Names of the pipeline options that the service knows."""
        said = self.stub.DescribePipelineOptions(beam_job_api_pb2.DescribePipelineOptionsRequest())
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
            If the service is gone. A job that fails raises what it said, which a component may know better.
        Interrupted
            If the run is asked to stop; the job is cancelled first.
        """
        given = {**SETTINGS, **settings, "experiments": [*EXPERIMENTS, *_listed(settings.get("experiments"))]}
        options = PipelineOptions(flags=[], job_name=str(name), **given)
        pipeline = beam.Pipeline(runner=_Handed(self, name), options=options)
        try:
            progress.tell_job(name.steps, f"{self.where}: building the job")
            build(pipeline)
            progress.tell_job(name.steps, f"{self.where}: handing over the job")
            handed: _Job = pipeline.run()
            with handed:
                return handed.wait()
        except grpc.RpcError as error:
            raise self.lost(error) from None
        finally:
            progress.tell_job(name.steps, "")

    def lost(self, error: grpc.RpcError) -> RunnerError:
        """What it means that the service did not answer."""
        log.error("The job service does not answer: %s", error)
        said = self._log.read_text(errors="replace") if self._log is not None and self._log.exists() else ""
        known = of_runner(said[-_LAST_CHARACTERS:])
        if known is not None:
            return known
        words = last_words(said)
        return RunnerError(
            f"{self.where}: the job server ended in the middle of a job{f'. It said: {words}' if words else ''}.",
            where=str(self._log) if said else None,
            fix="Finished steps stay cached; run again to go on.",
        )


class _Handed(PortableRunner):  # type: ignore[misc]
    """Beam's own way of making a job of a pipeline, up to where the job is handed over."""

    def __init__(self, service: JobService, name: JobName) -> None:
        super().__init__()
        self._service = service
        self._name = name

    def run_portable_pipeline(self, pipeline: Any, options: PipelineOptions) -> _Job:
        handle = JobServiceHandle(self._service.stub, options)
        proto = self._optimize_pipeline(pipeline, options)
        job, messages, states = handle.submit(proto)
        states.cancel() if hasattr(states, "cancel") else None
        labels = {known: transform.unique_name for known, transform in proto.components.transforms.items()}
        return _Job(self._service, job, messages, self._name, labels)


class _Job:
    """A job that was handed over; cancelled where the block ends before it does."""

    def __init__(self, service: JobService, job: str, messages: Any, name: JobName, labels: Mapping[str, str]) -> None:
        self._service = service
        self._job = job
        self._name = name
        self._labels = labels
        self._state = beam_job_api_pb2.JobState.STARTING
        self._answered = time.monotonic()
        self._errors: list[str] = []
        self._reader = threading.Thread(target=self._read, args=(messages,), daemon=True)
        self._reader.start()

    def __enter__(self) -> _Job:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        gone = kind is not None and issubclass(kind, grpc.RpcError)
        if self._state not in TERMINAL_STATES and not gone:
            self._cancel()

    def wait(self) -> JobResult:
        """Wait for its end."""
        self._tell(self._state)
        while self._state not in TERMINAL_STATES:
            progress.check()
            time.sleep(POLL_SECONDS)
            self._look()
        if self._state != beam_job_api_pb2.JobState.DONE:
            progress.check()
            self._reader.join(LAST_WORDS_SECONDS)  # the stream may never end
            state = _name(self._state)
            raise RuntimeError(self._errors[-1] if self._errors else f"The job ended as {state}, and gave no reason.")
        request = beam_job_api_pb2.GetJobMetricsRequest(job_id=self._job)
        said = self._service.stub.GetJobMetrics(request, timeout=_ANSWER_SECONDS).metrics
        measured = said.committed or said.attempted
        progress.counted(self._job, rows_by_step(measured))
        return JobResult(seconds_by_step(measured, self._labels))

    def _look(self) -> None:
        try:
            state = self._ask()
        except grpc.RpcError:
            if time.monotonic() - self._answered > LOST_SECONDS:
                raise
            return
        self._answered = time.monotonic()
        if state != self._state:
            self._state = state
            self._tell(state)

    def _tell(self, state: Any) -> None:
        progress.tell_job(self._name.steps, f"{self._service.where}: {_name(state)}")

    def _ask(self) -> Any:
        request = beam_job_api_pb2.GetJobStateRequest(job_id=self._job)
        return self._service.stub.GetState(request, timeout=_ANSWER_SECONDS).state

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
        self._tell(beam_job_api_pb2.JobState.CANCELLING)
        progress.say(self._name.steps[0], f"Cancelling the job on {self._service.where}.")
        with suppress(grpc.RpcError):
            request = beam_job_api_pb2.CancelJobRequest(job_id=self._job)
            self._service.stub.Cancel(request, timeout=CANCEL_SECONDS)
            until = time.monotonic() + CANCEL_SECONDS
            while self._ask() not in TERMINAL_STATES:
                if time.monotonic() > until:
                    progress.say(self._name.steps[0], f"{self._service.where} has not ended the job yet.")
                    return
                time.sleep(POLL_SECONDS)


def _name(state: Any) -> str:
    return str(beam_job_api_pb2.JobState.Enum.Name(state)).lower()


def _listed(value: object) -> list[object]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]
