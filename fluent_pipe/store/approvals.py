"""Requests for a person's approval, and the decisions: files that outlive the processes that wait.

One file for each thing to be approved, ``<pipeline>/approvals/<cache key>.json``. The key tells what is approved: the
model and the verdicts on it, by content. So whichever run asks for it, before or after a kill, meets the same request::

    {"step": str, "model": path, "asked": time, "runs": [ids of the runs that wait],
     "decision": null | {"approved": bool, "by": str, "at": time, "note": str}}
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fluent_pipe.errors import ArgumentError, StoreError
from fluent_pipe.mirror import Root
from fluent_pipe.steps.paths import default_root
from fluent_pipe.store.files import Lock, is_held, writing
from fluent_pipe.store.records import run_lock

FOLDER = "approvals"
_GUARD = ".lock"

Decision = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What is to be approved, as it lies on disk.

    Parameters
    ----------
    path
        Its file; ``<root>/<pipeline>/approvals/<cache key>.json``.
    """

    path: Path

    @classmethod
    def of(cls, home: Path, key: str) -> Request:
        """The request for a cache key of the pipeline whose folder is ``home``; its file may not exist yet."""
        return cls(home / FOLDER / f"{key}.json")

    def facts(self) -> dict[str, Any]:
        """What the file says; empty where there is none.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        try:
            facts: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            fix = "Move the file away; the next run asks anew."
            raise StoreError(f"The request cannot be read: {error}.", where=str(self.path), fix=fix) from error
        return facts

    @property
    def decision(self) -> Decision | None:
        """What was decided; None while nothing is."""
        return self.facts().get("decision")

    @property
    def runs(self) -> list[str]:
        """Ids of the runs that asked."""
        return list(self.facts().get("runs", ()))

    def command(self, run: str) -> str:
        """What a person types to decide, for a run that waits."""
        root = self.path.parent.parent.parent
        where = "" if root == Root.of(default_root()).home else f" --root {shlex.quote(str(root))}"
        return f"fluent-pipe approve {run}{where} [--reject] [--note TEXT]"

    @property
    def is_watched(self) -> bool:
        """Whether the process of one of these runs is there."""
        home = self.path.parent.parent
        return any(is_held(run_lock(home.parent, home.name, run)) for run in self.runs)

    def ask(self, run: str, *, step: str, model: Path, anew: bool = False) -> None:
        """Add a run to those that wait.

        Parameters
        ----------
        anew
            Forget an earlier decision.
        """
        with self._guarded():
            facts = self.facts()
            if anew or not facts:
                facts = {"step": step, "model": str(model), "asked": now(), "runs": [], "decision": None}
            if run not in facts["runs"]:
                facts["runs"].append(run)
            self._write(facts)

    def decide(self, *, approved: bool, by: str, note: str = "") -> None:
        """Decide, once.

        Raises
        ------
        ArgumentError
            If it was decided already.
        """
        with self._guarded():
            facts = self.facts()
            if facts["decision"] is not None:
                raise ArgumentError(f"This was decided already: {in_words(facts['decision'])}.")
            facts["decision"] = {"approved": approved, "by": by, "at": now(), "note": note}
            self._write(facts)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with Lock(self.path.parent / _GUARD):
                yield

    def _write(self, facts: dict[str, Any]) -> None:
        staged = self.path.with_suffix(".tmp")
        with staged.open("w", encoding="utf-8") as file:
            json.dump(facts, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(self.path)


def requests(home: Path) -> list[Request]:
    """All requests of the pipeline whose folder is ``home``."""
    return [Request(path) for path in sorted((home / FOLDER).glob("*.json"))]


def waiting_for(home: Path, run: str) -> Request | None:
    """The undecided request that a run asked for, if there is one."""
    open_ones = (r for r in requests(home) if run in r.runs and r.decision is None)
    return next(open_ones, None)


def find(root: Path, run: str) -> tuple[str, Request]:
    """The run with an id, or with the only id that starts so, and the request that it waits for.

    Parameters
    ----------
    root
        The folder that holds the pipelines.

    Raises
    ------
    ArgumentError
        If there is no such run or several, it waits for nothing, or what it waited for was decided.
    """
    folders = [p for p in root.glob("*/runs/*") if p.name.startswith(run) and p.is_dir()] if run else []
    exact = [p for p in folders if p.name == run] or folders
    if not exact:
        fix = "`fluent-pipe runs` lists them; --root names another folder of results."
        raise ArgumentError(f"There is no run {run!r} in {root}.", fix=fix)
    if len(exact) > 1:
        raise ArgumentError(f"Several runs start with {run!r}.", got=run, valid=[p.name for p in exact])
    home, name = exact[0].parent.parent, exact[0].name
    asked = [r for r in requests(home) if name in r.runs]
    if not asked:
        raise ArgumentError(f"The run {name} waits for no approval.", fix="`fluent-pipe runs` shows which do.")
    found = next((r for r in asked if r.decision is None), None)
    if found is None:
        raise ArgumentError(f"What {name} waited for was decided already: {in_words(asked[-1].decision or {})}.")
    return name, found


def in_words(decision: Decision) -> str:
    """A decision as a sentence without its end."""
    words = f"{'approved' if decision['approved'] else 'rejected'} by {decision['by']} at {decision['at']}"
    return f"{words} ({decision['note']})" if decision["note"] else words


def now() -> str:
    """The time, UTC, to the second: ``2026-01-02T03:04:05+00:00``."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
