"""What each runner needs and what of it is here; nothing is started, fetched or built to find out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from fluent_pipe.errors import RunnerError
from fluent_pipe.runners import jars, java


@dataclass(frozen=True)
class Availability:
    """Whether a runner can be used.

    Parameters
    ----------
    runner
        Its name in lower case.
    found
        What it needs, as far as it is here.
    fixes
        Commands that bring the rest; none where nothing is missing.
    """

    runner: str
    found: tuple[str, ...]
    fixes: tuple[str, ...] = ()

    def row(self) -> Mapping[str, str]:
        """For a table.

        Examples
        --------
        >>> Availability("flink", ("Java 17",), ("fluent-pipe runners --prepare flink",)).row()["state"]
        'missing'
        """
        return {
            "runner": self.runner,
            "state": "missing" if self.fixes else "available",
            "found": "; ".join(self.found),
            "get it by": " && ".join(self.fixes),
        }


def everything() -> list[Availability]:
    """Each runner that there is."""
    beam = f"Beam {jars.beam_version()}"
    return [
        Availability("direct", (beam,)),
        *(_with_job_server(kind) for kind in jars.KINDS),
        _dataflow(beam),
        Availability("portable", (f"{beam}; its job service runs elsewhere",)),
    ]


def _with_job_server(kind: jars.Kind) -> Availability:
    jar = jars.look(kind)
    try:
        return Availability(kind, (str(java.find()), jar.found), (jar.fix,) if jar.fix else ())
    except RunnerError as error:
        fixes = (java.INSTALL, *([jar.fix] if jar.fix else []))
        return Availability(kind, (error.fact.rstrip("."), jar.found), fixes)


def _dataflow(beam: str) -> Availability:
    # What Beam's translation for Dataflow imports, and its extra brings. Credentials are the first job's to try.
    if find_spec("apitools") is None:
        return Availability(
            "dataflow", (f"{beam} without its parts for Google Cloud",), ("pip install 'apache-beam[gcp]'",)
        )
    return Availability("dataflow", (f"{beam} with its parts for Google Cloud",))
