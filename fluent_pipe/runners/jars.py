"""The job servers' jars: one that is given, from the cache, from upstream, or built from Beam's plain artifacts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["flink", "spark"]


@dataclass(frozen=True)
class Look:
    """What is there of a jar.

    Parameters
    ----------
    jar
        Where it lies; None where it must be fetched or built first.
    origin
        Where it is from, for people.
    fix
        The command that brings what is missing; None where nothing is.
    """

    jar: Path | None
    origin: str
    fix: str | None


def resolve(kind: Kind, given: Path | str | None = None, *, say: Callable[[str], None] = lambda _: None) -> Path:
    """The jar of a job server for the installed Beam; fetched or built when it is not there."""
    raise NotImplementedError


def look(kind: Kind) -> Look:
    """What is there and what is missing; nothing is fetched or built."""
    raise NotImplementedError
