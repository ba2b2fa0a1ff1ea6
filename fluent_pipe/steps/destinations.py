"""Folders outside the store that a step fills: whether it may, and whether they still hold what it left."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fluent_pipe.artifacts import Predictions
from fluent_pipe.errors import StoreError
from fluent_pipe.remote import file_system, is_remote, joined, reaching, read_bytes

MARKER = Predictions.facts_file
REJECTED = "rejected"


def refusal(destination: str) -> StoreError | None:
    """Why a folder or URL cannot be filled, or its earlier predictions replaced; None if it can."""
    if is_remote(destination):
        return _holds_others(destination, _others(destination))
    folder = Path(destination)
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
    return _holds_others(destination, _others(destination)) if above == folder else None


def _holds_others(destination: str, others: list[str]) -> StoreError | None:
    if not others:
        return None
    shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
    return StoreError(
        f"This folder holds other things than predictions: {shown}.",
        where=destination,
        fix="Give to= a folder of its own; what bulk_infer() wrote there before is replaced.",
    )


def holds(facts: Mapping[str, Any]) -> bool:
    """Whether the destination still holds the predictions that ``facts`` tell of."""
    destination = facts["destination"]
    return marker(destination).get("id") == facts["id"] and set(facts["files"]) <= set(names_at(destination))


def marker(destination: str) -> dict[str, Any]:
    """What predictions in a folder or at a URL say of themselves; empty if there are none."""
    where = joined(destination, MARKER)
    try:
        found = json.loads(read_bytes(where) if is_remote(where) else Path(where).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and "id" in found and "files" in found else {}


def names_at(destination: str) -> list[str]:
    """Names in a folder or at a URL, in order; none where there is none."""
    if not is_remote(destination):
        folder = Path(destination)
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    with reaching(destination):
        system, path = file_system(destination)
        try:
            there = {name.rstrip("/").rpartition("/")[2] for name in system.ls(path, detail=False)}
        except FileNotFoundError:
            return []
    return sorted(there - {"", path.rpartition("/")[2]})


def versions_at(destination: str) -> list[int]:
    """Version numbers in a folder or at a URL, in order. Other names are left alone.

    Anything of a number's name counts, even a file, so that no number is ever given twice.
    """
    return sorted(int(n) for n in names_at(destination) if n.isascii() and n.isdigit() and str(int(n)) == n)


def _others(destination: str) -> list[str]:
    """Names that are no part of predictions; all where there are none."""
    found = marker(destination)
    own = {MARKER, REJECTED, *found["files"]} if found else set()
    return [name for name in names_at(destination) if name not in own]
