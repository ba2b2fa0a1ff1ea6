"""Object stores on loopback: S3 by moto, Google Cloud Storage by fake-gcs-server. They are not the clouds."""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from fluent_pipe.store.files import Lock
from tests.needs import missing

GCS_MODULE = "github.com/fsouza/fake-gcs-server"
GCS_VERSION = "v1.56.1"
BUCKET = "fluent-pipe-tests"


@contextmanager
def s3() -> Iterator[dict[str, str]]:
    """An emulator of S3; yields the environment that clients find it by. Ended with the block."""
    if find_spec("moto") is None:
        missing("moto, which emulates S3, is not installed: uv sync --group stores")
    server = importlib.import_module("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    try:
        yield {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "emulated",
            "AWS_SECRET_ACCESS_KEY": "emulated",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        running.stop()


@contextmanager
def gcs() -> Iterator[dict[str, str]]:
    """An emulator of Google Cloud Storage; yields the environment that clients find it by. Ended with the block."""
    server = fake_gcs_server()
    port = _free_port()
    where = f"127.0.0.1:{port}"
    at = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-public-host", where, "-backend", "memory"]
    running = subprocess.Popen([server, *at], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://{where}/_internal/healthcheck", running)
        yield {"STORAGE_EMULATOR_HOST": f"http://{where}"}
    finally:
        running.kill()
        running.wait()


def fake_gcs_server() -> str:
    """The emulator's program: the environment's ``FAKE_GCS_SERVER``, that in PATH, or one that is built once."""
    found = os.environ.get("FAKE_GCS_SERVER") or shutil.which("fake-gcs-server")
    if found:
        return found
    go = shutil.which("go")
    if go is None:
        missing("fake-gcs-server is neither in FAKE_GCS_SERVER nor in PATH, and there is no Go to build it with")
    folder = Path.home() / ".cache" / "fluent_pipe_tests" / f"fake-gcs-server-{GCS_VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "fake-gcs-server"
    with Lock(folder / ".lock"):  # test processes share it
        if not program.exists():
            built = subprocess.run(
                [go, "install", f"{GCS_MODULE}@{GCS_VERSION}"],
                env={**os.environ, "GOBIN": str(folder)},
                capture_output=True,
                text=True,
                check=False,
            )
            if built.returncode:
                missing(f"fake-gcs-server cannot be built: {built.stderr.strip().splitlines()[-1:]}")
    return str(program)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait(url: str, running: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and running.poll() is None:
        try:
            with urlopen(url):
                return
        except (URLError, ConnectionError):
            time.sleep(0.05)
    pytest.fail(f"fake-gcs-server did not start at {url}")
