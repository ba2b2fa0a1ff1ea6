"""Jobs of a run on Dataflow: sent or written as templates, watched until they end, cancelled where a run is stopped."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
from apache_beam.runners.runner import PipelineState
from apitools.base.py.exceptions import HttpError
from google.auth.exceptions import GoogleAuthError

from fluent_pipe import progress
from fluent_pipe.errors import RunnerError, TemplateWritten
from fluent_pipe.remote import joined
from fluent_pipe.runners import packages
from fluent_pipe.runners.base import JobName, JobResult
from fluent_pipe.runners.dataflow_names import job_name, labels, steps_name

if TYPE_CHECKING:
    from pathlib import Path

    from fluent_pipe.runners.dataflow import Dataflow

log = logging.getLogger(__name__)

POLL_SECONDS = 5.0
ASK_SECONDS = 0.2  # how soon a request to stop is seen
LAST_WORDS_SECONDS = 30.0  # messages arrive some time after the end that they explain
CANCEL_SECONDS = 60.0
REFUSED = (401, 403)
SETTINGS: Mapping[str, object] = {
    "pipeline_type_check": False,
    "pickle_library": "cloudpickle",
}
EXPERIMENTS = ("disable_logging_submission_environment",)  # else pip lists all packages before each job
_BAD_STATES = (PipelineState.FAILED, PipelineState.CANCELLED, PipelineState.UPDATED, PipelineState.DRAINED)


class DataflowJobs:
    """The jobs of one run.

    Parameters
    ----------
    runner
        What the user asked for.
    temp, staging
        Folders of Cloud Storage.
    logs
        Folder of the run on this machine.
    """

    def __init__(self, runner: Dataflow, temp: str, staging: str, logs: Path) -> None:
        self._runner = runner
        self._logs = logs
        self._temp = temp
        self._staging = staging

    def run(self, build: Callable[[beam.Pipeline], None], name: JobName) -> JobResult:
        """Build a job, send it and wait for its end; or write it as a template.

        Raises
        ------
        RunnerError
            If Google refuses it.
        TemplateWritten
            If it was written as a template.
        Interrupted
            If the run was asked to stop; the job is cancelled first.
        """
        template = self._runner.template_location
        at = None if template is None else joined(template, steps_name(name))
        dataflow = DataflowRunner()
        options = self._options(name, at)
        try:
            pipeline = beam.Pipeline(runner=dataflow, options=options)
        except ValueError as error:
            said = "; ".join(str(error).splitlines()[1:]) or str(error)
            raise RunnerError(f"Beam does not take the options of the job: {said}") from error
        build(pipeline)
        with _explained():
            sent = pipeline.run()
        if at is not None:
            raise TemplateWritten(
                f"The job of {', '.join(name.steps)} was written as a template, and nothing has run.",
                where=at,
                fix="Leave out template_location= to run it.",
                step=name.steps[0],
            )
        page = f"https://console.cloud.google.com/dataflow/jobs/{self._runner.region}/{sent.job_id()}"
        progress.say(name.steps[0], f"{page}?project={self._runner.project}")
        with _explained():
            return _Sent(sent, dataflow.dataflow_client, name).wait()

    def _options(self, name: JobName, template: str | None) -> PipelineOptions:
        runner = self._runner
        further = runner.further_options()
        given = {
            "project": runner.project,
            "region": runner.region,
            "temp_location": self._temp,
            "staging_location": self._staging,
            "template_location": template,
            "job_name": job_name(name),
            "labels": labels(name, runner.labels),
            "sdk_container_image": runner.container,
            "machine_type": runner.machine_type,
            "max_num_workers": runner.max_workers,
            "service_account_email": runner.service_account,
            "network": runner.network,
            "subnetwork": runner.subnetwork,
            "experiments": [*EXPERIMENTS, *further.pop("experiments", ())],  # type: ignore[misc]
        }
        known = {key: value for key, value in given.items() if value is not None}
        return PipelineOptions(flags=[], **{**SETTINGS, **further, **known, **self._staged})

    @cached_property
    def _staged(self) -> dict[str, Any]:
        """Options for what workers install; the same for every job."""
        runner = self._runner
        return packages.staged(
            runner.requirements, self._logs, cache=runner.requirements_cache, own=runner.container is None
        )


class _Sent:
    """A job that Dataflow has taken."""

    def __init__(self, sent: Any, client: Any, name: JobName) -> None:
        self._sent = sent
        self._client = client
        self._name = name

    def wait(self) -> JobResult:
        """Wait for its end."""
        try:
            state = self._ask()
            while not PipelineState.is_terminal(state):
                _pause(POLL_SECONDS)
                state = self._ask()
        except BaseException:
            self._cancel()
            raise
        if state in _BAD_STATES:
            raise RuntimeError(self._reason(state))
        return JobResult()

    def _ask(self) -> str:
        state: str = self._sent.state
        for step in self._name.steps:
            progress.report(step, detail=state.lower().replace("_", " "))
        return state

    def _reason(self, state: str) -> str:
        """The service's last error, one with a traceback before others."""
        until = time.monotonic() + LAST_WORDS_SECONDS
        while not (said := self._errors()) and state == PipelineState.FAILED and time.monotonic() < until:
            _pause(POLL_SECONDS)
        for text in said:
            log.error("%s", text)
        told = [text for text in said if "Traceback" in text] or said
        return told[-1] if told else f"The job ended as {state.lower()}, and Dataflow gave no reason."

    def _errors(self) -> list[str]:
        messages, _ = self._client.list_messages(self._sent.job_id(), minimum_importance="JOB_MESSAGE_ERROR")
        return [m.messageText for m in messages if m.messageText]

    def _cancel(self) -> None:
        """Cancel it and wait until it has ended, so that no worker writes behind a run that was stopped."""
        with suppress(HttpError, GoogleAuthError, OSError):
            self._sent.cancel()
            until = time.monotonic() + CANCEL_SECONDS
            while time.monotonic() < until and not PipelineState.is_terminal(self._sent.state):
                time.sleep(min(POLL_SECONDS, 1.0))


def _pause(seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        progress.check()
        time.sleep(min(left, ASK_SECONDS))


@contextmanager
def _explained() -> Iterator[None]:
    """Google's refusals as errors of the runner."""
    from fluent_pipe.runners.dataflow import LOGIN

    try:
        yield
    except GoogleAuthError as error:
        raise RunnerError(f"Google Cloud takes no credentials of yours: {error}.", fix=f"Run `{LOGIN}`.") from error
    except HttpError as error:
        login = f"Run `{LOGIN}`, and look at the roles of the account." if error.status_code in REFUSED else None
        raise RunnerError(f"Dataflow refused ({error.status_code}): {_message(error)}", fix=login) from error


def _message(error: HttpError) -> str:
    try:
        return str(json.loads(error.content)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.content)[:500]
