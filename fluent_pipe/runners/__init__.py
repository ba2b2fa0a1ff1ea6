"""Where Beam jobs run."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fluent_pipe.runners.base import Capabilities, JobName, JobResult, Place, Runner, Session
from fluent_pipe.runners.named import HOMES

if TYPE_CHECKING:
    from fluent_pipe.runners.direct import Direct
    from fluent_pipe.runners.flink import Flink
    from fluent_pipe.runners.portable import Portable
    from fluent_pipe.runners.spark import Spark

__all__ = [
    "Capabilities",
    "Dataflow",
    "Direct",
    "Flink",
    "JobName",
    "JobResult",
    "Place",
    "Portable",
    "Runner",
    "Session",
    "Spark",
]


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(importlib.import_module(HOMES[name]), name)
    raise AttributeError(f"fluent_pipe.runners has no {name!r}. There are: {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return sorted(__all__)
