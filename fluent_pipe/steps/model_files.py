"""Models on disk, as they are recognised without TensorFlow."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from fluent_pipe.errors import ArgumentError

Kind = Literal["keras", "saved_model"]

SAVE = "Save a model with model.save('model.keras') or model.export('folder')."


def find_model(path: Path) -> tuple[Kind, Path]:
    """The model that a path means.

    Parameters
    ----------
    path
        A ``.keras`` file, a SavedModel folder, or the folder of a Model artifact, whose ``model.keras`` goes before its
        SavedModel.

    Returns
    -------
    tuple
        Its format, and its file or folder.

    Raises
    ------
    ArgumentError
        If there is no model.
    """
    if path.is_file():
        return "keras", _keras_file(path)
    if (path / "model.keras").is_file():
        return "keras", _keras_file(path / "model.keras")
    for folder in (path, path / "Format-Serving"):
        if (folder / "saved_model.pb").is_file():
            return "saved_model", folder
    if not path.is_dir():
        raise ArgumentError(f"There is no {str(path)!r}.")
    within = sorted(p for p in path.iterdir() if (p / "saved_model.pb").is_file() or p.suffix == ".keras")
    if within:
        raise ArgumentError(
            f"The folder {str(path)!r} holds models, and is none itself.",
            fix=f"Name one of them, such as {str(within[-1])!r}.",
        )
    holds = ", ".join(sorted(p.name for p in path.iterdir())[:5]) or "nothing"
    raise ArgumentError(f"The folder {str(path)!r} holds no model: it holds {holds}.", fix=SAVE)


def _keras_file(path: Path) -> Path:
    try:
        with zipfile.ZipFile(path) as archive:
            missing = {"config.json", "model.weights.h5"} - set(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        missing = {"config.json"}
    if missing or path.suffix != ".keras":
        raise ArgumentError(f"The file {str(path)!r} is no .keras file.", fix=SAVE)
    return path
