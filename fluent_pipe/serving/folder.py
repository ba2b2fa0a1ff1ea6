"""The versions that lie in a folder. Loads nothing heavy."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fluent_pipe.errors import ServingError

MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")
_TOLD_BY = (".", *MODEL_FILES, "variables/variables.index", "variables/variables.data-00000-of-00001")


@dataclass(frozen=True)
class Version:
    """A version of a model.

    Parameters
    ----------
    number
        Its folder's name.
    path
        A SavedModel.
    state
        Changes when the SavedModel is written anew or grows, so that what failed is tried again.
    """

    number: int
    path: Path
    state: tuple[tuple[int, int, int], ...]


def versions(folder: Path) -> list[Version]:
    """The versions under ``folder``, newest first.

    Parameters
    ----------
    folder
        Holds a folder for each version, named by its number; or is a SavedModel itself, which is version 1.

    Raises
    ------
    ServingError
        If there is no such folder, or it cannot be read.
    """
    try:
        if any((folder / name).is_file() for name in MODEL_FILES):
            return [Version(1, folder, _state(folder))]
        found = [p for p in folder.iterdir() if p.name.isascii() and p.name.isdigit() and p.is_dir()]
    except OSError as error:
        raise ServingError(f"The folder cannot be read: {error.strerror}.", where=str(folder)) from error
    return [Version(int(p.name), p, _state(p)) for p in sorted(found, key=lambda p: int(p.name), reverse=True)]


def some_versions(folder: Path) -> list[Version]:
    """As :func:`versions`.

    Raises
    ------
    ServingError
        Also if there is none.
    """
    found = versions(folder)
    if not found:
        raise ServingError(
            "The folder holds no model.",
            where=str(folder),
            fix="Give a SavedModel, or a folder that holds one for each version, in folders named 1, 2, and so on.",
        )
    return found


def _state(path: Path) -> tuple[tuple[int, int, int], ...]:
    state = []
    for name in _TOLD_BY:
        with suppress(OSError):
            stat = (path / name).stat()
            # Not the folder's time: a warm-up file or a note put beside the model does not change it.
            state.append((stat.st_ino, 0, 0) if name == "." else (stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(state)
