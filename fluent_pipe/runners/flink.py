"""Apache Flink, embedded or a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from fluent_pipe.runners.base import JobName
from fluent_pipe.runners.jars import Kind
from fluent_pipe.runners.served import Served

EMBEDDED = ("[local]", "[auto]")


@dataclass(frozen=True, kw_only=True)
class Flink(Served):
    """Run Beam jobs on Apache Flink.

    Parameters
    ----------
    master
        ``"[local]"``: a Flink of its own inside the job server, which ends with the run. Else ``host:port`` of the job
        manager of a cluster; then ``worker_pool`` or ``container`` says where its Python workers are.
    jar
        Beam's job server for Flink. Default: found, or built once; ``fluent-pipe runners`` tells.
    settings
        Flink's own, such as ``{"taskmanager.memory.network.max": "512mb"}``.
    memory
        Heap of the job server, in Java's words.

    Examples
    --------
    >>> Flink(parallelism=2).name
    'Flink [local]'
    """

    master: str = field(default="[local]", kw_only=False)

    kind: ClassVar[Kind] = "flink"
    machine_name: ClassVar[str] = "task manager"
    ours: ClassVar[Mapping[str, str]] = {
        **Served.ours,
        "flink_master": "master",
        "flink_job_server_jar": "jar",
        "flink_conf_dir": "settings",
    }

    @property
    def embedded(self) -> bool:
        """Whether the engine is inside the job server."""
        return self.master in EMBEDDED

    def end_left(self, name: JobName) -> None:
        """Cancel the job on a cluster; one inside the job server ends with it."""
        if not self.embedded:
            from fluent_pipe.runners.flink_cluster import cancel

            cancel(self.master, str(name))
