"""Destinations on object stores. There is no rename there: the file that readers look for goes last."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from fluent_pipe import remote
from fluent_pipe.remote import is_remote, joined
from fluent_pipe.steps.destinations import MARKER, names_at, refusal, versions_at
from fluent_pipe.store.content import visible_files

MODEL = "saved_model.pb"
"""The file without which a server sees no model."""


def publish(model: Path, destination: str, *, keep: int | None = None) -> int:
    """Make ``model`` the newest version under the URL ``destination``.

    Its files go first, ``saved_model.pb`` last: a server that polls sees a model once all of it is there. Two pushes
    at the same moment are not kept apart, as they are on a disk.

    Parameters
    ----------
    model
        A SavedModel folder.
    destination
        Holds one folder a version, named by integers.
    keep
        Newest versions to keep, the new one among them; None for all.

    Returns
    -------
    int
        The version: 1, or one more than the highest that exists.

    Raises
    ------
    StoreError
        If ``destination`` cannot be read or written.
    """
    version = 1 + max(versions_at(destination), default=0)
    where = joined(destination, str(version))
    files = {joined(where, path.relative_to(model).as_posix()): path for path in visible_files(model)}
    last = {url: path for url, path in files.items() if path == model / MODEL}
    try:
        remote.put({url: path for url, path in files.items() if url not in last})
        remote.put(last)
    except BaseException:
        remote.remove(where)
        raise
    if keep is not None:
        for old in [v for v in versions_at(destination)[: -max(keep, 1)] if v != version]:
            remote.remove(joined(destination, str(old), MODEL))  # first, so that no server reads half of it
            remote.remove(joined(destination, str(old)))
    return version


def appear(staged: str, names: Mapping[str, str], marker: bytes, destination: str) -> None:
    """Make files the predictions at the URL ``destination``, in place of earlier ones.

    What says what is there is taken away first and written last: in between there are no predictions.

    Parameters
    ----------
    staged
        Folder or URL that the files lie in.
    names
        Of files, from the staged name to that in ``destination``.
    marker
        Content of the file that says what is there.
    destination
        Is empty, or holds earlier predictions and nothing else.

    Raises
    ------
    StoreError
        If ``destination`` holds other things, or cannot be read or written.
    """
    refused = refusal(destination)  # looked at again: it may have been filled meanwhile
    if refused is not None:
        raise refused
    before = set(names_at(destination))
    if MARKER in before:
        remote.remove(joined(destination, MARKER))
    for old in before - {MARKER} - set(names.values()):
        remote.remove(joined(destination, old))
    _transfer({joined(staged, old): joined(destination, new) for old, new in names.items()})
    remote.write_bytes(joined(destination, MARKER), marker)


def _transfer(files: Mapping[str, str]) -> None:
    """Copy files, within a store where they stay in it."""
    if not files:
        return
    sources, targets = list(files), list(files.values())
    if not is_remote(sources[0]):
        remote.put({target: Path(source) for source, target in files.items()})
        return
    if sources[0].partition("://")[0] == targets[0].partition("://")[0]:
        with remote.reaching(targets[0], "written"):
            system, _ = remote.file_system(targets[0])
            system.copy(sources, targets)
        return
    for source, target in files.items():  # one after another: a scratch disk may be small
        with TemporaryDirectory(prefix="fluent_pipe-") as folder:
            remote.get({source: Path(folder, "file")})
            remote.put({target: Path(folder, "file")})
