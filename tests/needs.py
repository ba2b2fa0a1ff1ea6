"""What some tests need and not every machine has: they skip with the reason, or fail where nothing may be missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fluent_pipe.errors import RunnerError
from fluent_pipe.runners import jars, java
from tests.clusters import flink_jars

NO_SKIPS = "FLUENT_PIPE_NO_SKIPS"
"""Set where all that is needed was installed: what is missing then is a failure."""


def job_server(kind: jars.Kind) -> Path:
    """The jar of a job server, and a Java that runs it."""
    try:
        java.find()
    except RunnerError as error:
        missing(str(error))
    found = jars.look(kind)
    if found.jar is None and os.environ.get(NO_SKIPS):
        return jars.resolve(kind)  # it waits for the process that is at it
    if found.jar is None:
        missing(f"{found.found}: {found.fix}")
    return found.jar


def flink_distribution() -> Path:
    """A whole Flink beside its job server."""
    job_server("flink")
    folder = flink_jars()
    if folder is None:
        missing("apache-flink-libraries is not installed: uv sync --group clusters")
    return folder


def missing(reason: str) -> None:
    """Skip the test that is running; fail it where nothing may be missing."""
    if os.environ.get(NO_SKIPS):
        pytest.fail(f"{reason} ({NO_SKIPS} is set)", pytrace=False)
    pytest.skip(reason)
