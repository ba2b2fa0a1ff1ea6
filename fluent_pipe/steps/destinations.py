"""Folders outside the store that a step fills: whether it may, and whether they still hold what it left."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fluent_pipe.artifacts import Predictions
from fluent_pipe.errors import StoreError

MARKER = Predictions.facts_file
REJECTED = "rejected"


def refusal(folder: Path) -> StoreError | None:
    """Why ``folder`` cannot be filled, or its earlier predictions replaced; None if it can."""
    above = next(p for p in (folder, *folder.parents) if p.exists())
    if not above.is_dir():
        return StoreError(
            "A file stands where a folder is needed.", where=str(above), fix="Give to= another folder, or move it away."
        )
    if folder.is_mount():
        return StoreError(
            "This folder is a mount point, which cannot be replaced whole.",
            where=str(folder),
            fix="Give to= a folder inside it.",
        )
    parent = above if above != folder else folder.resolve().parent  # a whole folder is moved into its parent
    if not os.access(parent, os.W_OK | os.X_OK):
        return StoreError("Permission denied.", where=str(parent), fix="Give to= a folder that can be written.")
    others = _others(folder) if above == folder else []
    if not others:
        return None
    shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
    return StoreError(
        f"This folder holds other things than predictions: {shown}.",
        where=str(folder),
        fix="Give to= a folder of its own; what bulk_infer() wrote there before is replaced.",
    )


def holds(facts: Mapping[str, Any]) -> bool:
    """Whether the destination still holds the predictions that ``facts`` tell of."""
    folder = Path(facts["destination"])
    return marker(folder).get("id") == facts["id"] and all((folder / name).is_file() for name in facts["files"])


def marker(folder: Path) -> dict[str, Any]:
    """What predictions in a folder say of themselves; empty if there are none."""
    try:
        found = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and "id" in found and "files" in found else {}


def _others(folder: Path) -> list[str]:
    """Names in a folder that are no part of predictions; all where it holds none."""
    found = marker(folder)
    own = {MARKER, REJECTED, *found["files"]} if found else set()
    return sorted(path.name for path in folder.iterdir() if path.name not in own)
