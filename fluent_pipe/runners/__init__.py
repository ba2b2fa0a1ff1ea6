"""Where Beam jobs run."""

from fluent_pipe.runners.base import Capabilities, JobName, JobResult, Runner, Session
from fluent_pipe.runners.direct import Direct

__all__ = ["Capabilities", "Direct", "JobName", "JobResult", "Runner", "Session"]
