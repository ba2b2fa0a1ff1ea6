"""What a person asks first: was it pushed, and why or why not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fluent_pipe.artifacts import (
    Anomalies,
    Approval,
    Artifact,
    InfraBlessing,
    Model,
    ModelBlessing,
    Predictions,
    PushedModel,
)
from fluent_pipe.evaluation.reasons import failures, sentence
from fluent_pipe.report.past import PastRun

Tone = Literal["good", "bad", "warn", "plain"]

MARKS: dict[Tone, str] = {"good": "✓", "bad": "✗", "warn": "!", "plain": "·"}
"""Beside the colour, for those who do not tell them apart."""


FEW = 3
"""Requirements that hold and are told one by one."""
MOST = 20
"""Reasons against a model that are told one by one."""


@dataclass(frozen=True)
class Reason:
    """A sentence that says why, what to do, or what else came of the run."""

    tone: Tone
    text: str

    def __str__(self) -> str:
        return self.text if self.tone == "plain" else f"{MARKS[self.tone]} {self.text}"


@dataclass(frozen=True)
class Verdict:
    """How a run ended, for a person.

    Parameters
    ----------
    sentence
        In one sentence.
    tone
        Whether that is good.
    reasons
        Why, and what to do: first what speaks against the model.
    error
        What the failed step said, lines kept; empty if none failed.
    """

    sentence: str
    tone: Tone
    reasons: tuple[Reason, ...] = ()
    error: str = ""


def verdict(run: PastRun) -> Verdict:
    """The verdict on a past run."""
    sentence, tone = _sentence(run)
    failed = run.stored.state == "failed"
    error = str(run.stored.properties.get("reason") or "") if failed else ""
    return Verdict(sentence, tone, tuple(_reasons(run)), error)


def failed_step(run: PastRun) -> str | None:
    """The step that ended the run; None if none did, or it is not known."""
    found = next((s.step for s in run.stored.steps if s.state == "failed"), None)
    if found is not None or run.stored.state != "failed":
        return found
    anomalies = run.artifact(Anomalies)  # recorded like any result, and then the run is ended for what it says
    return anomalies.step if anomalies is not None and not anomalies.facts()["passed"] else None


def _sentence(run: PastRun) -> tuple[str, Tone]:
    state = run.stored.state
    if state == "failed":
        step, pushed = failed_step(run), run.artifact(PushedModel)
        where = f" in {step}" if step else ""
        if pushed is not None and pushed.facts()["pushed"]:
            return f"Failed{where}, after version {pushed.facts()['version']} was pushed.", "bad"
        return f"Failed{where}: nothing was pushed.", "bad"
    if state == "waiting":
        return "Waiting for a person to approve the model.", "warn"
    if state == "interrupted":
        return "Stopped before its end. Finished steps stay cached: run it again to go on.", "warn"
    if state == "running":
        return "Under way.", "plain"
    if state == "template written":
        return "A template was written; nothing has run.", "plain"
    return _ended(run)


def _ended(run: PastRun) -> tuple[str, Tone]:
    pushed, blessing = run.artifact(PushedModel), run.artifact(ModelBlessing)
    skipped = {s.step: s.note for s in run.stored.steps if s.state == "skipped"}
    if pushed is not None:
        facts = pushed.facts()
        if not facts["pushed"]:
            return f"Not pushed{_for(run)}.", "warn"
        again = _state(run, pushed) == "cached"
        stays = f"Version {facts['version']} stays in {facts['destination']}: nothing that it is made from has changed."
        return (stays if again else f"Pushed as version {facts['version']} to {facts['destination']}."), "good"
    refused = blessing is not None and not blessing.facts()["blessed"]
    guarded = next((step for step in skipped if step.startswith("push_to")), None)
    if guarded is not None:
        return f"Not pushed: {skipped[guarded]}.", "warn"
    if run.stored.state == "not scored" or refused:
        return f"The model was refused{_for(run)}.", "warn"
    if blessing is not None:
        return "The model is blessed. This pipeline pushes nothing.", "good"
    done = "A model is trained. This pipeline does not judge it." if run.artifact(Model) else "Done."
    return done, "good"


def _for(run: PastRun) -> str:
    """In words how many verdicts are against the model, or the one that is."""
    found = [*_failing(run), *_others(run)]
    if not found:
        return ""
    return f": {found[0].rstrip('.')}" if len(found) == 1 else f", for {len(found)} reasons"


def _reasons(run: PastRun) -> Iterator[Reason]:
    against = [*_failing(run), *_others(run)]
    yield from (Reason("bad", text) for text in against[:MOST])
    if len(against) > MOST:
        yield Reason("bad", f"... and {len(against) - MOST} more.")
    yield from _in_favour(run)
    pushed, scored = run.artifact(PushedModel), run.artifact(Predictions)
    if not against:
        said = dict.fromkeys(r for a in (pushed, scored) if a is not None for r in a.facts()["reasons"])
        yield from (Reason("warn", text) for text in said)
    blessing = run.artifact(ModelBlessing)
    if blessing is not None and blessing.facts()["note"] and not blessing.facts()["reasons"]:
        yield Reason("plain", str(blessing.facts()["note"]))
    if run.stored.state == "waiting":
        yield Reason("warn", f"Approve it with `fluent-pipe approve {run.stored.id}`, then run again.")
    skipped = (s for s in run.stored.steps if s.state == "skipped")
    yield from (Reason("warn", f"{s.step} was skipped: {s.note}.") for s in skipped)
    if scored is not None and scored.facts()["scored"]:
        facts = scored.facts()
        yield Reason("good", f"{facts['rows']:,} rows were scored, into {facts['destination']}.")


def _failing(run: PastRun) -> list[str]:
    """Requirements that do not hold, in words."""
    blessing = run.artifact(ModelBlessing)
    return [] if blessing is None else [f"{reason}." for reason in failures(blessing.facts()["reasons"])]


def _others(run: PastRun) -> Iterator[str]:
    """What the prediction server and people have against the model."""
    infra, approval = run.artifact(InfraBlessing), run.artifact(Approval)
    if infra is not None and not infra.facts()["blessed"]:
        yield from infra.facts()["reasons"] or ["The model was not infra-blessed."]
    if approval is not None and not approval.facts()["approved"] and approval.facts()["by"]:
        facts = approval.facts()
        yield f"Rejected by {facts['by']}" + (f": {facts['note']}" if facts["note"] else ".")


def _in_favour(run: PastRun) -> Iterator[Reason]:
    """What speaks for the model, and what was found in the data."""
    blessing, infra, approval = run.artifact(ModelBlessing), run.artifact(InfraBlessing), run.artifact(Approval)
    held = [r for r in blessing.facts()["reasons"] if r["ok"]] if blessing is not None else []
    if len(held) <= FEW:
        yield from (Reason("good", f"{sentence(r)}.") for r in held)
    else:
        yield Reason("good", f"{len(held)} requirements hold.")
    if infra is not None and infra.facts()["blessed"]:
        yield Reason("good", f"A prediction server answers with it: {infra.summary()}.")
    if approval is not None and approval.facts()["approved"]:
        yield Reason("good", f"{approval.summary().capitalize()}.")
    anomalies = run.artifact(Anomalies)
    if anomalies is not None:
        yield Reason("warn" if anomalies.facts()["anomalies"] else "good", f"Data: {anomalies.summary()}.")


def _state(run: PastRun, artifact: Artifact) -> str:
    return next((s.state for s in reversed(run.stored.steps) if s.step == artifact.step), "")
