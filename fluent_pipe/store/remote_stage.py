"""Staging on an object store, for workers that do not see this machine's disk: they write where it will be published.

There is no rename there. A step's files lie at once where they are published, ``<url>/<pipeline>/<step>/<execution>``,
under an execution name that nobody knows; they exist when a manifest names them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from fluent_pipe import mirror
from fluent_pipe.artifacts import Artifact
from fluent_pipe.errors import StoreError
from fluent_pipe.mirror import Root
from fluent_pipe.remote import AT_ONCE, file_system, get, joined, reaching, remove, write_bytes
from fluent_pipe.store.content import files_of, of_files, of_stream
from fluent_pipe.store.files import new_execution_name, writing
from fluent_pipe.store.manifest import Manifest, row_names
from fluent_pipe.store.manifests import sizes
from fluent_pipe.store.stage import Staged

if TYPE_CHECKING:
    from typing_extensions import Self

Files = dict[str, tuple[int, str]]


class RemoteStage:
    """Where the steps of one job write, under the URL of a pipeline. Use it as a context manager.

    Parameters
    ----------
    root
        On an object store.
    pipeline
        Name of the pipeline.
    """

    def __init__(self, root: Root, pipeline: str) -> None:
        self._root = root
        self._pipeline = pipeline
        self._names: dict[str, str] = {}
        self._copies: list[Path] = []

    @property
    def where(self) -> str:
        """For messages."""
        return joined(self._root.url, self._pipeline)

    def folder(self, step_id: str) -> str:
        """The URL that one step writes under; what an earlier attempt left there is removed.

        Raises
        ------
        StoreError
            If it cannot be removed.
        """
        if step_id in self._names:
            remove(self._url(step_id))
        else:
            self._names[step_id] = new_execution_name()
        return self._url(step_id)

    def staged(self, step_id: str, produces: tuple[type[Artifact], ...]) -> Staged:
        """What workers have written, without hidden files; all but the rows is copied to this machine."""
        url, execution = self._url(step_id), self._names[step_id]
        found = sizes(url)
        hidden = [name for name in found if _hidden_part(name)]
        visible = {name: size for name, size in found.items() if name not in hidden}
        rows = row_names(visible, produces)
        copy = mirror.new_copy(self._home(step_id))
        self._copies.append(copy)
        with writing(copy):
            get({joined(url, name): copy / name for name in visible if name not in rows})
        files: Files = {**files_of(copy), **_row_hashes(url, {name: visible[name] for name in rows})}
        for name in {_hidden_part(name) for name in hidden}:
            remove(joined(url, name))
        fingerprint = of_files({n: value for n, (_, value) in files.items()}, leave_out=produces[0].copies)
        return Staged(step_id, execution, copy, files, fingerprint)

    def publish(self, staged: Staged, manifest: Manifest) -> None:
        """Have it exist: its manifest names it from now on."""
        content = manifest.encoded()
        write_bytes(mirror.manifest_url(self._url(staged.step)), content)
        destination = self._home(staged.step)
        del self._names[staged.step]
        with writing(destination):
            mirror.finish_copy(staged.folder, destination, content)

    def discard(self) -> None:
        """Remove what was not published. May be called twice."""
        for step in self._names:
            with suppress(StoreError):  # it is swept later
                remove(self._url(step))
        for copy in self._copies:
            shutil.rmtree(copy, ignore_errors=True)
        self._names.clear()
        self._copies.clear()

    def _url(self, step_id: str) -> str:
        return joined(self.where, step_id, self._names[step_id])

    def _home(self, step_id: str) -> Path:
        return self._root.home / self._pipeline / step_id / self._names[step_id]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


def _hidden_part(name: str) -> str:
    """A relative name up to its first part that starts with a dot; empty if none does."""
    parts = name.split("/")
    return next(("/".join(parts[: n + 1]) for n, part in enumerate(parts) if part.startswith(".")), "")


def _row_hashes(url: str, rows: Mapping[str, int]) -> Files:
    """Sizes and hashes of files that stay there: as workers said, else by reading them."""
    said = mirror.recorded(url)
    known = {name: said[name] for name, size in rows.items() if name in said and said[name][0] == size}

    def read(name: str) -> tuple[str, tuple[int, str]]:
        with reaching(joined(url, name)):
            system, path = file_system(joined(url, name))
            with system.open(path, "rb") as stream:
                return name, (rows[name], of_stream(stream))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return known | dict(pool.map(read, rows.keys() - known.keys()))
