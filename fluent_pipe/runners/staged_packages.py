"""What a job brought along for its workers, installed into a folder that a worker process imports from first."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from apache_beam.portability.api import (
    beam_artifact_api_pb2,
    beam_artifact_api_pb2_grpc,
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    beam_runner_api_pb2,
)
from apache_beam.runners.worker.worker_id_interceptor import WorkerIdInterceptor

from fluent_pipe.errors import RunnerError

REQUIREMENTS = "requirements.txt"
"""Beam's name of the file of what workers install by pip."""
_ANSWER_SECONDS = 60
_INSTALL_SECONDS = 1800


def install(request: Any, folder: Path) -> Path | None:
    """Fetch what a job has staged and install it.

    Parameters
    ----------
    request
        Beam's ``StartWorkerRequest``; its provision endpoint says what there is.
    folder
        Of one job or worker; packages go into ``site`` in it.

    Returns
    -------
    Path
        The folder to import from; None where the job brings nothing.

    Raises
    ------
    RunnerError
        If something cannot be installed.
    """
    fetched = list(_fetched(request, folder))
    wheels = [file for file in fetched if file.suffix == ".whl"]
    asked = [file for file in fetched if file.name == REQUIREMENTS]
    if not wheels and not asked:
        return None
    site = folder / "site"
    for file in asked:
        _pip(["--requirement", str(file)], site)
    for wheel in wheels:
        if "-none-any" in wheel.name:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)
        else:
            _pip(["--no-deps", str(wheel)], site)
    return site


def _fetched(request: Any, folder: Path) -> Iterator[Path]:
    if not request.provision_endpoint.url:
        return
    interceptor = WorkerIdInterceptor(request.worker_id)
    with grpc.insecure_channel(request.provision_endpoint.url) as opened:
        provision = beam_provision_api_pb2_grpc.ProvisionServiceStub(grpc.intercept_channel(opened, interceptor))
        asked = beam_provision_api_pb2.GetProvisionInfoRequest()
        info = provision.GetProvisionInfo(asked, timeout=_ANSWER_SECONDS).info
    if not info.dependencies:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with grpc.insecure_channel(info.artifact_endpoint.url or request.artifact_endpoint.url) as opened:
        files = beam_artifact_api_pb2_grpc.ArtifactRetrievalServiceStub(grpc.intercept_channel(opened, interceptor))
        wanted = beam_artifact_api_pb2.ResolveArtifactsRequest(artifacts=info.dependencies)
        for artifact in files.ResolveArtifacts(wanted, timeout=_ANSWER_SECONDS).replacements:
            role = beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(artifact.role_payload)
            file = folder / Path(role.staged_name).name
            with file.open("wb") as out:
                for part in files.GetArtifact(beam_artifact_api_pb2.GetArtifactRequest(artifact=artifact)):
                    out.write(part.data)
            yield file


def _pip(arguments: list[str], site: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(site)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise RunnerError(
            f"What the job requires cannot be installed on a worker: {said[-1] if said else 'pip gave no reason'}.",
            where=" ".join(arguments),
            fix="Install it beside the worker pool, or give the runner wheels.",
        )
