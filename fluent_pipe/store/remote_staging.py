"""Staging on an object store, for workers that do not see this machine's disk: they write where it will be published.

There is no rename there. A step's files lie at once where they are published, ``<url>/<pipeline>/<step>/<execution>``,
under an execution name that nobody knows; they exist when a manifest names them.
"""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from fluent_pipe.errors import StoreError
from fluent_pipe.remote import joined, remove
from fluent_pipe.store.files import new_execution_name

if TYPE_CHECKING:
    from typing_extensions import Self


class RemoteStaging:
    """Where the steps of one job write, under the URL of a pipeline. Use it as a context manager.

    Parameters
    ----------
    url
        Of the pipeline: ``<root>/<pipeline>``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._folders: dict[str, str] = {}
        self._published: set[str] = set()

    def folder(self, step_id: str) -> str:
        """The URL that one step writes under; what an earlier attempt left there is removed.

        Raises
        ------
        StoreError
            If it cannot be removed.
        """
        if step_id in self._folders:
            remove(self._folders[step_id])
        else:
            self._folders[step_id] = joined(self.url, step_id, new_execution_name())
        return self._folders[step_id]

    def discard(self) -> None:
        """Remove what was not published. May be called twice."""
        for step in set(self._folders) - self._published:
            with suppress(StoreError):  # swept later
                remove(self._folders[step])
        self._folders.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()
