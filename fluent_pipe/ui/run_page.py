"""The page of one run: its verdict, its steps, its results, the end of its log."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fluent_pipe import live
from fluent_pipe.artifacts import PushedModel
from fluent_pipe.display.charts import inline
from fluent_pipe.live import Live
from fluent_pipe.mirror import Root
from fluent_pipe.report.past import PastRun
from fluent_pipe.store import approvals
from fluent_pipe.store.metadata import StoredRun
from fluent_pipe.ui.history import History, Runs, run_folder
from fluent_pipe.ui.outcomes import Outcome, outcome_of
from fluent_pipe.ui.sections import sections_of

LOG_BYTES = 16_000
"""Of the end of a log that the page shows."""
REPORT = "report.html"


@dataclass(frozen=True)
class StepRow:
    """One step in the table of steps."""

    step: str
    state: str
    seconds: float | None
    summary: str
    folder: str


@dataclass(frozen=True)
class Verdict:
    """What a person asks first: ``tone`` is ``"good"``, ``"warn"``, ``"bad"`` or ``"busy"``."""

    tone: str
    words: str
    reasons: Sequence[str] = ()
    command: str = ""


def run_page(history: History, runs: Runs, run: StoredRun) -> dict[str, Any]:
    """What the page of a run shows."""
    past = history.past(run)
    outcome = outcome_of(run, history.root)
    folder = run_folder(history.root, run)
    before = runs.before(run)
    return {
        "run": run,
        "outcome": outcome,
        "verdict": verdict(outcome, past, history.root),
        "steps": _steps(past, history.root),
        "sections": sections_of(past),
        "before": before,
        "log": _log(folder),
        "log_place": str(folder / "log.txt") if folder else "",
        "facts": _facts(run),
        "expression": str(run.properties.get("expression", "")),
        "has_report": run.finished is not None or _has_report(folder),
        "has_lineage": bool(past.artifacts),
        **live_page(history, run),
    }


def live_page(history: History, run: StoredRun) -> dict[str, Any]:
    """How far a run is: what it says of itself, else the steps that the store knows of."""
    folder = run_folder(history.root, run)
    said = live.read(folder) if folder and run.state == "running" else None
    return {"run": run, "live": said, "left": _left(said)}


def _left(said: Live | None) -> float | None:
    """Seconds left in what runs now, where every part of it knows."""
    running = [step.left for step in said.steps if step.state == "running"] if said else []
    known = [left for left in running if left is not None]
    return max(known) if known and len(known) == len(running) else None


def verdict(outcome: Outcome, past: PastRun, root: Root) -> Verdict:
    """How a run went, in words."""
    run, why = outcome.run, _sentences(outcome, past)
    request = approvals.waiting_for(root.home / run.pipeline, run.id) if run.state in ("waiting", "running") else None
    if request is not None:
        return Verdict("warn", "Waits for approval", why, request.command(run.id))
    match run.state:
        case "running":
            return Verdict("busy", "Under way")
        case "succeeded":
            place = next((str(f["destination"]) for f in _pushes(past) if f.get("pushed")), "")
            return Verdict("good", f"Pushed {outcome.version} to {place}" if place else "Succeeded", why)
        case "failed":
            step = next((s.step for s in run.steps if s.state == "failed"), "")
            return Verdict("bad", f"Failed in {step}" if step else "Failed", why)
        case "interrupted":
            return Verdict("bad", "Interrupted", ["Finished steps stay cached: run the pipeline again to go on."])
        case state:
            return Verdict("warn" if why or state == "waiting" else "good", state.capitalize(), why)


def _pushes(past: PastRun) -> list[Any]:
    found = past.artifact(PushedModel)
    return [found.facts()] if found is not None else []


def _sentences(outcome: Outcome, past: PastRun) -> list[str]:
    reasons = [str(outcome.run.properties.get("reason", ""))]
    reasons += [str(reason) for facts in _pushes(past) for reason in facts.get("reasons", ())]
    return [reason for reason in dict.fromkeys(reasons) if reason]


def _steps(past: PastRun, root: Root) -> list[StepRow]:
    rows = []
    for step in past.stored.steps:
        made = [a for a in past.artifacts if a.path == step.path]
        folder = "" if step.path is None else root.url_of(step.path) or str(step.path)
        gone = step.path is not None and not made
        words = "its folder is gone" if gone else ", ".join(filter(None, map(_summary, made))) or step.note
        rows.append(StepRow(step.step, step.state, step.seconds if step.state != "skipped" else None, words, folder))
    return rows


def _summary(artifact: Any) -> str:
    try:
        return str(artifact.summary())
    except (OSError, ValueError, KeyError, TypeError):  # damaged, or of a component of the user's own
        return "cannot be read"


def _log(folder: Path | None) -> str | None:
    """The end of the log, from the beginning of a line; None where it is not on this machine."""
    try:
        with ((folder or Path("/")) / "log.txt").open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    return text if size <= LOG_BYTES else text.partition("\n")[2]


def _facts(run: StoredRun) -> list[tuple[str, str]]:
    """How the run was started, as far as it was recorded."""
    told = {name: str(run.properties.get(name, "")) for name in ("commit", "command", "runner", "host", "folder")}
    try:
        versions = json.loads(str(run.properties.get("versions", "{}")))
        told["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    except (ValueError, AttributeError):
        told["versions"] = str(run.properties["versions"])
    return [(name, text) for name, text in told.items() if text]


def _has_report(folder: Path | None) -> bool:
    return folder is not None and (folder / REPORT).is_file()


def lineage_page(history: History, run: StoredRun) -> dict[str, Any]:
    """What the last result of a run was made from: the pushed model, where there is one."""
    from fluent_pipe.report.lineage import lineage

    artifacts = history.past(run).artifacts
    pushed = [a for a in artifacts if isinstance(a, PushedModel)]
    last = (pushed or artifacts)[-1:]
    body = lineage(history.store, last[0]).drawn(inline) if last else None
    return {"run": run, "pushed": bool(pushed), "body": body}


def compare_page(history: History, before: StoredRun, after: StoredRun) -> dict[str, Any]:
    """Two runs, and what differs between them."""
    from fluent_pipe.report.changes import Changes

    body = Changes.between(history.past(before), history.past(after)).drawn(inline)
    return {"before": outcome_of(before, history.root), "after": outcome_of(after, history.root), "body": body}
