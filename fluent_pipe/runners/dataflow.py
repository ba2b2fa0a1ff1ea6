"""Google Cloud Dataflow."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from fluent_pipe.errors import ArgumentError, RunnerError
from fluent_pipe.remote import joined
from fluent_pipe.runners.base import Capabilities, Place, Session
from fluent_pipe.runners.dataflow_names import check_labels
from fluent_pipe.runners.packages import requirement_lines
from fluent_pipe.steps import carrying

LOGIN = "gcloud auth application-default login"
NEEDED = ("apitools", "google.cloud.storage")  # of apache-beam[gcp]
OURS: Mapping[str, str] = {
    "runner": "",
    "project": "project",
    "region": "region",
    "temp_location": "temp_location",
    "staging_location": "staging_location",
    "template_location": "template_location",
    "job_name": "",
    "labels": "labels",
    "sdk_container_image": "container",
    "requirements_file": "requirements",
    "extra_packages": "requirements",
    "requirements_cache": "requirements_cache",
    "machine_type": "machine_type",
    "max_num_workers": "max_workers",
    "service_account_email": "service_account",
    "network": "network",
    "subnetwork": "subnetwork",
    "pickle_library": "",
    "save_main_session": "",
}


@dataclass(frozen=True)
class Dataflow:
    """Run Beam jobs on Google Cloud Dataflow.

    Workers see only object stores: the pipeline's root and its inputs lie there, ``fp.Pipeline(root="gs://...")``. User
    functions travel with the job. This package is staged as a wheel unless ``container`` names an image that holds it,
    which spares every worker minutes of installing TensorFlow.

    Parameters
    ----------
    project
        Id of the Google Cloud project.
    region
        Such as ``"europe-west1"``.
    temp_location, staging_location
        Folders of Cloud Storage for what Beam writes beside results, and for what workers fetch. Default:
        ``.dataflow/`` under the root.
    container
        Image of the workers, with Beam, this package and all that it needs, for the same version of Python.
    requirements
        What workers install besides: the path of a requirements file, or a list such as ``["pandera==0.22.1"]``.
    requirements_cache
        Folder of this machine that the requirements are downloaded into, and staged from, for workers that reach no
        package index. One that cannot be had is then an error before the first job. Default: workers download them.
    labels
        Labels of every job beside those of the pipeline, the run and its steps.
    machine_type
        Of Compute Engine, such as ``"n2-standard-8"``. Steps with ``resources=`` ask for theirs by themselves.
    max_workers
        Most machines of a job.
    service_account
        Email of the account that workers act as.
    network, subnetwork
        Where workers are.
    template_location
        A folder of Cloud Storage. If given, nothing runs: the first job that is not cached is written there as a job
        template named after its steps, and ``run`` raises :class:`~fluent_pipe.errors.TemplateWritten`. It shows what
        would be sent: graph, labels, resource hints, image and packages. The job after it needs this one's results,
        and a template that is launched by hand publishes none: a run publishes what a job has left when it sees its
        end.
    options
        Further Beam options by name, such as ``{"disk_size_gb": 100}``.

    Raises
    ------
    ArgumentError
        If a value is not as Google takes it.

    Examples
    --------
    >>> Dataflow("my-project", "europe-west1", max_workers=20).capabilities().shared_disk
    False
    """

    project: str
    region: str
    temp_location: str | None = field(default=None, kw_only=True)
    staging_location: str | None = field(default=None, kw_only=True)
    container: str | None = field(default=None, kw_only=True)
    requirements: str | Sequence[str] | None = field(default=None, kw_only=True)
    requirements_cache: str | None = field(default=None, kw_only=True)
    labels: Mapping[str, str] = field(default_factory=dict, hash=False, kw_only=True)
    machine_type: str | None = field(default=None, kw_only=True)
    max_workers: int | None = field(default=None, kw_only=True)
    service_account: str | None = field(default=None, kw_only=True)
    network: str | None = field(default=None, kw_only=True)
    subnetwork: str | None = field(default=None, kw_only=True)
    template_location: str | None = field(default=None, kw_only=True)
    options: Mapping[str, object] = field(default_factory=dict, hash=False, kw_only=True)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"([a-z0-9.-]+:)?[a-z][-a-z0-9]*[a-z0-9]", str(self.project)):
            fix = "Give the project's id, as `gcloud config get project` prints it; not its name or number."
            raise ArgumentError(f"Dataflow(project=) is no project id: {self.project!r}.", fix=fix)
        if not re.fullmatch(r"[a-z]+-[a-z]+\d+", str(self.region)):
            fix = 'Give a region, not a zone: for example "europe-west1".'
            raise ArgumentError(f"Dataflow(region=) is no region: {self.region!r}.", fix=fix)
        for name in ("temp_location", "staging_location", "template_location"):
            location = getattr(self, name)
            if location is not None and not re.match(r"gs://[^/]+", location):
                fix = f"For example {name}='gs://my-bucket/dataflow'."
                raise ArgumentError(f"Dataflow({name}=) is not on Cloud Storage: {location!r}.", fix=fix)
        most = self.max_workers
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            raise ArgumentError(f"Dataflow(max_workers=) takes an integer of 1 or more, got {most!r}.")
        check_labels(self.labels, "Dataflow")
        requirement_lines(self.requirements)

    @property
    def name(self) -> str:
        """For people."""
        return f"Dataflow, {self.project} in {self.region}"

    def capabilities(self) -> Capabilities:
        """What it can do."""
        return Capabilities(shared_disk=False)

    def check(self) -> None:
        """Google's libraries, Beam's options and credentials.

        Raises
        ------
        RunnerError
            If the libraries are not installed, or there are no credentials.
        ArgumentError
            If ``options`` holds what Beam does not know.
        """
        missing = [name for name in NEEDED if not _is_installed(name)]
        if missing:
            raise RunnerError(
                f"Dataflow needs Google's libraries, and {missing[0]} is not installed.",
                fix="pip install 'apache-beam[gcp]'.",
            )
        if not self.further_options().get("no_auth"):
            _check_credentials()

    def further_options(self) -> dict[str, object]:
        """``options``, each known to the installed Beam."""
        from fluent_pipe.runners.options import beam_options

        return beam_options(self.options, where="Dataflow(options=)", ours=OURS)

    @contextmanager
    def session(self, place: Place) -> Iterator[Session]:
        """Begin to run jobs, each a job of Dataflow's."""
        from fluent_pipe.runners.dataflow_job import DataflowJobs

        with carrying.elsewhere():
            yield DataflowJobs(self, self._location("temp", place), self._location("staging", place), place.logs)

    def _location(self, what: str, place: Place) -> str:
        given: str | None = getattr(self, f"{what}_location")
        if given is None and not place.root.startswith("gs://"):
            raise RunnerError(
                f"Dataflow needs a folder of Cloud Storage for {what} files, and the root is {place.root}.",
                fix=f'Give the pipeline a root there, or the runner {what}_location="gs://...".',
            )
        return given or joined(place.root, ".dataflow", what)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # of the package around it
        return False


def _check_credentials() -> None:
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    try:
        google.auth.default()
    except DefaultCredentialsError as error:
        file = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        raise RunnerError(
            "There are no credentials for Google Cloud."
            if file is None
            else f"GOOGLE_APPLICATION_CREDENTIALS is no credentials file: {error}",
            where=file,
            fix=f"Run `{LOGIN}`.",
        ) from error
