"""``push_to``: a blessed model becomes a new version folder, whole or not at all."""

from __future__ import annotations

import errno
import json
import secrets
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam

from fluent_pipe.artifacts import Approval, InfraBlessing, Model, ModelBlessing
from fluent_pipe.components import remote_destination
from fluent_pipe.components.base import Component, Context, Live, once
from fluent_pipe.components.inputs import Input
from fluent_pipe.components.verdicts import refusals
from fluent_pipe.remote import is_remote, joined
from fluent_pipe.steps.delivery import PushTo as PushToStep
from fluent_pipe.steps.destinations import versions_at
from fluent_pipe.store.flushing import flush, flush_folder
from fluent_pipe.store.outside import explained, remove_leftovers

INCOMING = ".incoming-"
OUTGOING = ".outgoing-"


class PushTo(Component):
    """Copies the SavedModel to ``<destination>/<version>``, if no verdict is against it.

    A model that is refused is not an error: ``pushed.json`` then says why nothing was pushed.

    Parameters
    ----------
    step, context
        What was asked for, and where to write.
    model
        What is pushed, where it was not served before.
    blessing
        The verdict of an evaluation; None to push unjudged.
    infra
        The verdict of a server. With it, what is pushed is what was served, with its warm-up requests.
    approval
        A person's verdict.
    """

    def __init__(
        self,
        step: PushToStep,
        context: Context,
        model: Input[Model],
        blessing: Input[ModelBlessing] | None = None,
        infra: Input[InfraBlessing] | None = None,
        approval: Input[Approval] | None = None,
    ) -> None:
        super().__init__(context)
        self._step = step
        self._model = model
        self._blessing = blessing
        self._infra = infra
        self._approval = approval

    def build(self, pipeline: beam.Pipeline) -> Live:
        """One element: the content of ``pushed.json``."""
        model = self._infra.value if self._infra is not None else self._model.value
        verdicts = [v.value for v in (self._blessing, self._infra, self._approval) if v is not None]
        why = refusals(verdicts)
        work = partial(_push, self.context, model, self._step.destination, self._step.keep, why)
        return {"": once(pipeline, "Push", self.context, work)}


def _push(
    context: Context, model: Model | InfraBlessing, destination: str, keep: int | None, why: list[str]
) -> dict[str, Any]:
    if why:
        facts: dict[str, Any] = {"pushed": False, "version": None, "destination": None, "reasons": why}
    else:
        if is_remote(destination):
            version = remote_destination.publish(model.serving, destination, keep=keep)
        else:
            version = publish(model.serving, Path(destination), keep=keep)
        facts = {"pushed": True, "version": version, "destination": joined(destination, str(version)), "reasons": []}
    (context.folder / "pushed.json").write_text(json.dumps(facts, indent=1))
    return facts


def publish(model: Path, destination: Path, *, keep: int | None = None) -> int:
    """Make ``model`` the newest version under ``destination``.

    The folder is copied beside the versions, flushed to disk, and appears under its number by one rename. Several
    processes may publish at the same time; each gets its own number.

    Parameters
    ----------
    model
        A SavedModel folder.
    destination
        Holds one folder a version, named by integers; made if it does not exist.
    keep
        Newest versions to keep, the new one among them; None for all.

    Returns
    -------
    int
        The version: 1, or one more than the highest that exists.

    Raises
    ------
    StoreError
        If ``destination`` cannot be written: a file, no permission, a full disk.
    """
    with explained(destination, "The model cannot be pushed", _FIXES):
        destination.mkdir(parents=True, exist_ok=True)
        remove_leftovers(p for p in destination.iterdir() if p.name.startswith((INCOMING, OUTGOING)))
        incoming = destination / f"{INCOMING}{secrets.token_hex(8)}"
        try:
            shutil.copytree(model, incoming)
            flush(incoming)
            version = _appear(incoming, destination)
        except BaseException:
            shutil.rmtree(incoming, ignore_errors=True)
            raise
        if keep is not None:
            _retire(destination, newest=version, keep=keep)
        return version


def _appear(incoming: Path, destination: Path) -> int:
    version = 1 + max(versions_at(str(destination)), default=0)
    while True:
        try:
            # A rename onto a folder fails where that folder holds something, and every version does.
            incoming.rename(destination / str(version))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            version = 1 + max(version, *versions_at(str(destination)))
        else:
            flush_folder(destination)
            return version


def _retire(destination: Path, *, newest: int, keep: int) -> None:
    """Delete the oldest versions. A version is hidden by a rename first, so that no server reads half of one."""
    # A version above ``newest`` is of someone who pushed since; it counts, and is theirs to keep.
    surplus = [v for v in versions_at(str(destination))[: -max(keep, 1)] if v != newest]
    for version in surplus:
        hidden = destination / f"{OUTGOING}{version}-{secrets.token_hex(4)}"
        try:
            (destination / str(version)).rename(hidden)
        except FileNotFoundError:  # another push retired it
            continue
        if hidden.is_dir() and not hidden.is_symlink():
            shutil.rmtree(hidden, ignore_errors=True)
        else:
            hidden.unlink(missing_ok=True)


_FIXES = {
    errno.ENOSPC: "Make room, then run again: only the push is repeated.",
    errno.EDQUOT: "Make room, then run again: only the push is repeated.",
    errno.EACCES: "Give push_to() a folder that can be written, or change its permissions.",
    errno.EPERM: "Give push_to() a folder that can be written, or change its permissions.",
    errno.EROFS: "Give push_to() a folder that can be written.",
    errno.ENOTDIR: "Give push_to() another folder, or move that file away.",
    errno.EEXIST: "Give push_to() another folder, or move that file away.",
}
