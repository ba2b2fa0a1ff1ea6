"""Where Beam jobs run."""

from fluent_pipe.runners.base import Capabilities, JobName, JobResult, Place, Runner, Session
from fluent_pipe.runners.direct import Direct

__all__ = ["Capabilities", "Direct", "JobName", "JobResult", "Place", "Runner", "Session"]
