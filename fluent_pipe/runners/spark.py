"""Apache Spark, embedded or a cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from fluent_pipe.runners.jars import Kind
from fluent_pipe.runners.served import Served

_EMBEDDED = re.compile(r"local(\[(\d+|\*)\])?")


@dataclass(frozen=True, kw_only=True)
class Spark(Served):
    """Run Beam jobs on Apache Spark.

    Parameters
    ----------
    master
        ``"local[*]"`` or ``"local[2]"``: a Spark of its own inside the job server, on all or so many processors, which
        ends with the run. Else ``spark://host:port`` of a cluster; then ``worker_pool`` or ``container`` says where
        its Python workers are.
    jar
        Beam's job server for Spark. Default: found, or built once; ``fluent-pipe runners`` tells.
    settings
        Spark's own, such as ``{"spark.executor.memory": "4g"}``.
    memory
        Heap of the job server, in Java's words; embedded, all work is done in it.

    Examples
    --------
    >>> Spark("local[2]").name
    'Spark local[2]'
    """

    master: str = field(default="local[*]", kw_only=False)

    kind: ClassVar[Kind] = "spark"
    machine_name: ClassVar[str] = "Spark worker"
    ours: ClassVar[Mapping[str, str]] = {**Served.ours, "spark_master_url": "master", "spark_job_server_jar": "jar"}

    @property
    def embedded(self) -> bool:
        """Whether the engine is inside the job server."""
        return _EMBEDDED.fullmatch(self.master) is not None
