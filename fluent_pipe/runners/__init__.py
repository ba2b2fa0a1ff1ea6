"""Where Beam jobs run."""

from fluent_pipe.runners.base import JobResult, Runner
from fluent_pipe.runners.direct import Direct

__all__ = ["Direct", "JobResult", "Runner"]
