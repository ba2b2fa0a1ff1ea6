"""A runner for tests whose workers do not share the driver's disk: while a job runs, the driver's home is not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fluent_pipe.runners.base import Capabilities, JobName, JobResult, Place
from fluent_pipe.runners.direct import Direct


@dataclass(frozen=True)
class Elsewhere:
    """Beam on this machine, by workers with a home of their own.

    Parameters
    ----------
    home
        The driver's cache, hidden while a job runs.
    workers
        The workers' cache.
    direct
        What runs the jobs.
    """

    home: Path
    workers: Path
    direct: Direct = field(default_factory=Direct)

    @property
    def name(self) -> str:
        return "elsewhere"

    def capabilities(self) -> Capabilities:
        return replace(self.direct.capabilities(), shared_disk=False)

    def check(self) -> None:
        """Nothing can be missing."""

    @contextmanager
    def session(self, _: Place) -> Iterator[Elsewhere]:
        yield self

    def run(self, build: Callable[[Any], None], name: JobName) -> JobResult:
        hidden = self.home.with_name(f"{self.home.name}-{secrets.token_hex(4)}")
        before = os.environ["FLUENT_PIPE_CACHE"]

        def built(pipeline: Any) -> None:
            build(pipeline)
            self.home.rename(hidden)
            os.environ["FLUENT_PIPE_CACHE"] = str(self.workers)

        try:
            return self.direct.run(built, name)
        finally:
            if hidden.exists():
                assert not self.home.exists(), "a worker wrote where the driver's home had been"
                hidden.rename(self.home)
            os.environ["FLUENT_PIPE_CACHE"] = before
