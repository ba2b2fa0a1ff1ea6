"""Dataflow's jobs, sent to a double of its service on loopback that answers as the documentation says it does.

What is real: Beam's client, the messages it sends, and the emulator of Cloud Storage. What is not: Dataflow.
"""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import fluent_pipe as fp
from fluent_pipe import progress
from fluent_pipe.errors import ArgumentError, Interrupted, RunnerError
from fluent_pipe.runners import packages
from fluent_pipe.runners.base import JobName, JobResult, Place
from fluent_pipe.runners.dataflow import Dataflow
from fluent_pipe.runners.dataflow_names import job_name
from tests.emulators import gcs

BUCKET = "emulated-jobs"
NAME = JobName("flights", "20260102-030405-abcd", ("from_csv", "validate"))
DENIED = {"error": {"code": 403, "message": "Dataflow API has not been used in this project."}}


class Service:
    """A double of Dataflow's service, for one job.

    Parameters
    ----------
    states
        What the job is in turn, each time somebody asks; the last one stays.
    messages
        Errors that the service tells.
    denied
        Whether jobs are refused.
    """

    def __init__(self, *states, messages=(), denied=False):
        self.states = list(states)
        self.messages = messages
        self.denied = denied
        self.created = None
        self.cancelled = False

    def answer(self, method, path, body):
        if method == "POST":
            self.created = body
            return (403, DENIED) if self.denied else (200, self._job("JOB_STATE_PENDING"))
        if path.endswith("/messages"):
            return 200, {"jobMessages": [{"id": "1", "messageText": text} for text in self.messages]}
        if method == "PUT":
            self.cancelled = body["requestedState"] == "JOB_STATE_CANCELLED"
            self.states = ["JOB_STATE_CANCELLED"]
        state = self.states[0] if len(self.states) == 1 else self.states.pop(0)
        return 200, self._job(state)

    def _job(self, state):
        return {"id": "job-1", "name": self.created["name"], "currentState": state}

    @contextmanager
    def served(self):
        service = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self):
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                status, answer = service.answer(self.command, re.sub(r"\?.*", "", self.path), body)
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = _answer

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://localhost:{server.server_port}"  # the one name that Beam takes a port with
        finally:
            server.shutdown()
            server.server_close()


@pytest.fixture(scope="module", autouse=True)
def storage():
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    with gcs() as found, pytest.MonkeyPatch.context() as environment:
        for key, value in found.items():
            environment.setenv(key, value)
        client = storage.Client(project="emulated-project", credentials=AnonymousCredentials())
        client.create_bucket(BUCKET)
        yield client


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    from fluent_pipe.runners import dataflow_job

    monkeypatch.setattr(dataflow_job, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(dataflow_job, "LAST_WORDS_SECONDS", 0.2)
    said = []
    progress.reset(lambda step, words: said.append((step, words)))
    yield said
    progress.reset()


def build(pipeline):
    import apache_beam as beam

    pipeline | "from_csv" >> beam.Create([1])


def run(service, tmp_path):
    with service.served() as endpoint:
        runner = Dataflow("emulated-project", "europe-west1", options={"no_auth": True, "dataflow_endpoint": endpoint})
        with runner.session(Place(f"gs://{BUCKET}/root", tmp_path)) as jobs:
            return jobs.run(build, NAME)


def test_emulated_a_job_is_sent_watched_and_ends_well(tmp_path, storage, quick):
    service = Service("JOB_STATE_QUEUED", "JOB_STATE_RUNNING", "JOB_STATE_DONE")
    assert run(service, tmp_path) == JobResult()
    assert service.created["name"] == job_name(NAME) == "flights-from-csv-to-validate-20260102-030405-abcd"
    assert service.created["labels"]["fluent-pipe-steps"] == "from_csv--validate"
    assert quick == [
        ("from_csv", "https://console.cloud.google.com/dataflow/jobs/europe-west1/job-1?project=emulated-project")
    ]
    assert progress.snapshot()["validate"].detail == "done"
    assert any(b.name.startswith("root/.dataflow/staging/") for b in storage.list_blobs(BUCKET))


def test_emulated_what_a_failed_job_tells_is_told_the_traceback_first(tmp_path):
    told = ("Traceback (most recent call last): ... ValueError: no such day", "The job failed: 4 work items failed.")
    with pytest.raises(RuntimeError, match="ValueError: no such day"):
        run(Service("JOB_STATE_RUNNING", "JOB_STATE_FAILED", messages=told), tmp_path)


def test_emulated_a_failed_job_without_a_word_is_an_error_too(tmp_path):
    with pytest.raises(RuntimeError, match="ended as failed, and Dataflow gave no reason"):
        run(Service("JOB_STATE_FAILED"), tmp_path)


class StoppedWhenAsked(Service):
    """The user presses Ctrl-C while the job runs."""

    def answer(self, method, path, body):
        if method == "GET" and not self.cancelled:
            progress.request_stop()
        return super().answer(method, path, body)


def test_emulated_a_run_that_is_stopped_cancels_its_job(tmp_path):
    service = StoppedWhenAsked("JOB_STATE_RUNNING")
    with pytest.raises(Interrupted):
        run(service, tmp_path)
    assert service.cancelled


def test_emulated_a_refusal_names_what_google_says_and_how_to_log_in(tmp_path):
    with pytest.raises(RunnerError, match=r"refused \(403\): Dataflow API has not.*gcloud auth application-default"):
        run(Service(denied=True), tmp_path)


def test_without_credentials_a_run_is_refused_before_it_starts(monkeypatch, tmp_path):
    monkeypatch.setenv("NO_GCE_CHECK", "true")  # no machine of Google's to ask
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with pytest.raises(RunnerError, match=r"no credentials.*gcloud auth application-default login"):
        Dataflow("my-project", "europe-west1").check()


def test_a_root_on_this_machine_needs_a_location_for_temporary_files(tmp_path):
    with (
        pytest.raises(RunnerError, match="temp_location="),
        Dataflow("my-project", "europe-west1").session(Place(str(tmp_path), tmp_path)),
    ):
        pass


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"project": "My Project"}, "no project id: 'My Project'"),
        ({"project": "123456"}, "not its name or number"),
        ({"region": "europe-west1-b"}, "a region, not a zone"),
        ({"temp_location": "/tmp"}, "not on Cloud Storage"),
        ({"max_workers": 0}, "integer of 1 or more"),
        ({"labels": {"Team": "ops"}}, "lower case"),
        ({"requirements": ["pandera=1"]}, "'pandera=1' is not a requirement"),
        ({"requirements": "missing.txt"}, "no file 'missing.txt'"),
    ],
)
def test_a_value_that_google_does_not_take_is_refused_when_given(arguments, said):
    with pytest.raises(ArgumentError, match=said):
        fp.runners.Dataflow(**{"project": "my-project", "region": "europe-west1", **arguments})


def test_an_unknown_option_of_beams_is_refused_with_the_nearest():
    with pytest.raises(ArgumentError, match="disk_size_gb"):
        Dataflow("my-project", "europe-west1", options={"disk_size": 5, "no_auth": True}).check()


def test_the_wheel_holds_what_runs_here_and_is_made_once(tmp_path):
    made = packages.wheel(tmp_path)
    assert packages.wheel(tmp_path) == made
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [made.name]


def test_a_requirement_that_cannot_be_had_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # an index that holds nothing
    with pytest.raises(RunnerError, match=r"pandera==0\.22\.1|needs pip"):
        packages.download(["pandera==0.22.1"], tmp_path)
