"""What the execution knows of staging: where steps write, and what they have left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from fluent_pipe.artifacts import Artifact
from fluent_pipe.store.manifest import Manifest

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Staged:
    """What a step has left, before it is published.

    Parameters
    ----------
    step
        Id of the step.
    execution
        Its name from now on.
    folder
        Where it lies on this machine: all of it, or all but the rows if workers wrote elsewhere.
    files
        Size and hash by relative name; of the rows too.
    fingerprint
        Hash of it all.
    """

    step: str
    execution: str
    folder: Path
    files: Mapping[str, tuple[int, str]]
    fingerprint: str


class Stage(Protocol):
    """Where the steps of one job write, and how it is published. A context manager, which removes what was not."""

    @property
    def where(self) -> str:
        """For messages."""

    def folder(self, step_id: str) -> Path | str:
        """A new empty folder for one step: a path, or a URL where workers do not see this disk."""

    def staged(self, step_id: str, produces: tuple[type[Artifact], ...]) -> Staged:
        """What a step has left there, without hidden files."""

    def publish(self, staged: Staged, manifest: Manifest) -> None:
        """Have it exist, whole and durable, for everybody at once."""

    def discard(self) -> None:
        """Remove what was not published."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
