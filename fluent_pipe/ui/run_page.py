"""The pages of one run: its verdict, its results and the end of its log; its report, its lineage, another beside it."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fluent_pipe import live
from fluent_pipe.artifacts import ModelBlessing, PushedModel
from fluent_pipe.display.charts import inline
from fluent_pipe.live import Live
from fluent_pipe.mirror import Root
from fluent_pipe.report.changes import Changes
from fluent_pipe.report.lineage import lineage
from fluent_pipe.report.page import REPORT, page
from fluent_pipe.report.past import PastRun
from fluent_pipe.report.sections import Section, drawn_or_said, sections
from fluent_pipe.report.verdict import Verdict, verdict
from fluent_pipe.results import BlessingResult
from fluent_pipe.store import approvals
from fluent_pipe.store.metadata import StoredRun
from fluent_pipe.ui.history import History, Runs, run_folder
from fluent_pipe.ui.outcomes import outcome_of

log = logging.getLogger(__name__)

LOG_BYTES = 16_000
"""Of the end of a log that the page shows."""
CHANGES = "What changed since the last run"
"""A section that says nothing of a run before its end."""


def run_page(history: History, runs: Runs, run: StoredRun) -> dict[str, Any]:
    """What the page of a run shows."""
    past = history.past(run)
    before = runs.before(run)
    folder = run_folder(history.root, run)
    return {
        "outcome": outcome_of(run, history.root),
        "verdict": _verdict(past),
        "command": _command(run, history.root),
        "sections": _sections(history, run, past, before),
        "before": before,
        "log": _log(folder),
        "log_place": (history.root.url_of(folder / "log.txt") or str(folder / "log.txt")) if folder else "",
        "ended": run.state != "running",
        "has_lineage": bool(past.artifacts),
        **live_page(history, run),
    }


def live_page(history: History, run: StoredRun) -> dict[str, Any]:
    """How far a run is: what it says of itself, else the steps that the store knows of."""
    folder = run_folder(history.root, run)
    said = live.read(folder) if folder and run.state == "running" else None
    return {"run": run, "live": said, "left": _left(said)}


def report(history: History, runs: Runs, run: StoredRun) -> str:
    """The report as the run left it; made for this once where it is missing, since these pages write nothing."""
    folder = run_folder(history.root, run)
    try:
        return (folder / REPORT).read_text(encoding="utf-8") if folder else ""
    except OSError:
        before = runs.before(run)
        return page(history.store, history.past(run), history.past(before) if before else None)


def lineage_page(history: History, run: StoredRun) -> dict[str, Any]:
    """What the last result of a run was made from: the pushed model, where there is one."""
    artifacts = history.past(run).artifacts
    pushed = [a for a in artifacts if isinstance(a, PushedModel)]
    last = (pushed or artifacts)[-1:]
    body = lineage(history.store, last[0]).drawn(inline) if last else None
    return {"run": run, "pushed": bool(pushed), "body": body}


def compare_page(history: History, before: StoredRun, after: StoredRun) -> dict[str, Any]:
    """Two runs, and what differs between them."""
    body = Changes.between(history.past(before), history.past(after)).drawn(inline)
    return {"before": outcome_of(before, history.root), "after": outcome_of(after, history.root), "body": body}


def _left(said: Live | None) -> float | None:
    """Seconds left in what runs now, where every part of it knows."""
    running = [step.left for step in said.steps if step.state == "running"] if said else []
    known = [left for left in running if left is not None]
    return max(known) if known and len(known) == len(running) else None


def _verdict(past: PastRun) -> Verdict:
    try:
        return verdict(past)
    except Exception:  # it reads files that may be damaged
        log.exception("There is no verdict on run %s", past.stored.id)
        words = f"It ended as {past.stored.state}. Files that it has left are damaged: the terminal says which."
        return Verdict(words, "warn")


def _command(run: StoredRun, root: Root) -> str:
    """What a person types to decide, where the run waits for it."""
    may = run.state in ("waiting", "running")
    request = approvals.waiting_for(root.home / run.pipeline, run.id) if may else None
    return request.command(run.id) if request is not None else ""


def _sections(history: History, run: StoredRun, past: PastRun, before: StoredRun | None) -> Sequence[Section]:
    """What the report shows too. A run that has ended does not change, and drawing takes a while: some are kept."""
    if run.state == "running":
        return [section for section in _drawn(history, past, None) if section.title != CHANGES]
    return _kept_sections(history, run.id, before.id if before else "", len(past.artifacts))


@lru_cache(maxsize=64)
def _kept_sections(history: History, run_id: str, before_id: str, artifacts: int) -> Sequence[Section]:  # noqa: ARG001
    """Those of runs by their ids; drawn anew where folders of the run have been removed since."""
    runs = history.look()
    run, before = (history.past(r) if (r := runs.run(name)) else None for name in (run_id, before_id))
    return _drawn(history, run, before) if run else []


def _drawn(history: History, run: PastRun, before: PastRun | None) -> Sequence[Section]:
    required = run.artifact(ModelBlessing)
    body = drawn_or_said("What was required", run, lambda: _required(required))
    first = [Section("required", "What was required", body)] if body else []
    return [*first, *sections(history.store, run, before)]


def _required(blessing: ModelBlessing | None) -> Markup:
    asked = blessing is not None and blessing.facts()["reasons"]
    return BlessingResult(blessing).drawn(inline) if blessing is not None and asked else Markup("")


def _log(folder: Path | None) -> str | None:
    """The end of the log, from the beginning of a line; None where it is not on this machine."""
    if folder is None:
        return None
    try:
        with (folder / "log.txt").open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    return text if size <= LOG_BYTES else text.partition("\n")[2]
