"""A runner whose workers are other processes, of Beam's own worker pool, as they are on a cluster."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fluent_pipe.runners.base import Capabilities, JobName, JobResult
from fluent_pipe.runners.measured import seconds_by_step
from fluent_pipe.steps import carrying

STARTED_WITHIN = 60


@dataclass(frozen=True)
class WorkerPool:
    """Beam's in-process job service with its workers in a pool that was started for the session.

    The workers begin in a folder of their own, with the installed packages and ``environment``, so that what lies
    beside the script that runs the pipeline is not theirs to import.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    name = "on a worker pool"

    def capabilities(self) -> Capabilities:
        return Capabilities(shared_disk=True)

    def check(self) -> None:
        pass

    @contextmanager
    def session(self, place: object) -> Iterator[_Session]:
        with carrying.elsewhere(), tempfile.TemporaryDirectory() as folder, _started(folder, self.environment) as at:
            yield _Session(at)


@dataclass
class _Session:
    address: str

    def run(self, build: Callable[[Any], None], name: JobName) -> JobResult:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner
        from apache_beam.transforms.environments import ExternalEnvironment

        options = PipelineOptions(flags=[], pipeline_type_check=False, pickle_library="cloudpickle")
        pipeline = beam.Pipeline(runner=FnApiRunner(ExternalEnvironment(self.address)), options=options)
        build(pipeline)
        result = pipeline.run()
        result.wait_until_finish()
        return JobResult(seconds_by_step(result.monitoring_infos()))


@contextmanager
def _started(folder: str, environment: Mapping[str, str]) -> Iterator[str]:
    port = _free_port()
    binaries = str(Path(sys.executable).parent)  # the pool starts workers as "python"
    project = str(Path(__file__).parents[2])
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    path = os.pathsep.join(filter(None, [environment.get("PYTHONPATH"), project]))
    settings = {**inherited, **environment, "PATH": f"{binaries}:{os.environ['PATH']}", "PYTHONPATH": path}
    command = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
    with Path(folder, "pool.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=settings, stdout=log, stderr=log)
    try:
        _wait_for(port, process)
        yield f"localhost:{port}"
    finally:
        process.terminate()  # it takes its workers along
        process.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return int(found.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as tried:
            if tried.connect_ex(("localhost", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError("the worker pool did not start")
