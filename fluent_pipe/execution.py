"""Walk a plan: look up, run, publish, record, and go on until nothing is left to do.

A Beam job writes into staging. When it has ended well, each step's folder is published, by one rename or by a manifest
that is written last, and recorded in one transaction; only what the store names exists. So a run that is killed at any
moment goes on, next time, after the last published step.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fluent_pipe import progress
from fluent_pipe.artifacts import Anomalies, Artifact, ModelBlessing, Predictions, PushedModel
from fluent_pipe.errors import (
    AnomaliesFound,
    ApprovalPending,
    FluentPipeError,
    ResourceError,
    RunnerError,
    StoreError,
    TemplateWritten,
)
from fluent_pipe.job import Job
from fluent_pipe.mirror import Root
from fluent_pipe.plan import Plan, artifact, cache_key, make_plan
from fluent_pipe.remote import is_remote
from fluent_pipe.runners.base import Place, Runner, Session
from fluent_pipe.steps.base import Step
from fluent_pipe.steps.gates import Condition
from fluent_pipe.steps.paths import read
from fluent_pipe.store.content import FileHashes
from fluent_pipe.store.files import clean_abandoned, sweep_unrecorded, writing
from fluent_pipe.store.manifest import Manifest, row_names
from fluent_pipe.store.metadata import MetadataStore, StoredExecution
from fluent_pipe.store.publishing import stage
from fluent_pipe.store.resumable import Resumable, sweep_resumable
from fluent_pipe.store.stage import Stage

log = logging.getLogger(__name__)

StepState = Literal["waiting", "running", "ran", "cached", "failed", "not pushed", "not scored", "skipped"]
RunState = Literal[
    "running", "succeeded", "not pushed", "not scored", "waiting", "template written", "failed", "interrupted"
]

_MOST_PATTERNS = 100
"""Patterns of files that are recorded with an execution."""

Holds = Callable[[Condition, Mapping[str, StoredExecution]], bool]
"""Asks a condition, given the results that it may look at."""


class Observer:
    """Told what happens while a run is under way. This one looks on silently."""

    def started(self, steps: Collection[str]) -> None:
        """The run begins; ids of its steps in order."""

    def job(self, steps: Collection[str]) -> None:
        """These steps begin to run, as one Beam job."""

    def changed(self, step: str, state: StepState, *, seconds: float | None = None, note: str = "") -> None:
        """A step is in a new state; ``seconds`` it took and a few words where known."""

    def said(self, step: str, words: str) -> None:
        """A step has something to say that a person must not miss."""

    def ended(self, state: RunState) -> None:
        """The run has ended."""


@dataclass
class Execution:
    """One run under way.

    Parameters
    ----------
    name, steps
        Of the pipeline.
    root
        Where all results lie.
    runner
        Where jobs run.
    refresh
        Ids of steps to run although they are cached.
    observer
        Told what happens.
    holds
        Asks a condition.
    done
        Results made or taken from the cache so far, by step.
    skipped
        Why steps were skipped, by step.
    keys
        Cache keys by step, as far as they are known at the present job.
    ran
        Seconds of the steps that ran.
    jobs
        Ids of the steps of each Beam job that ended well.
    loading
        Seconds spent importing the libraries that the steps stand on.
    """

    name: str
    steps: tuple[Step, ...]
    root: Root
    store: MetadataStore
    run_id: str
    runner: Runner
    refresh: frozenset[str]
    observer: Observer
    holds: Holds
    done: dict[str, StoredExecution] = field(default_factory=dict)
    ran: dict[str, float] = field(default_factory=dict)
    loading: float = 0.0
    skipped: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str | None] = field(default_factory=dict)
    jobs: list[tuple[str, ...]] = field(default_factory=list)
    _answers: dict[int, bool] = field(default_factory=dict)

    def execute(self) -> RunState:
        """Run what is not cached.

        Returns
        -------
        RunState
            ``"succeeded"``, ``"not pushed"`` if a push was refused, ``"not scored"`` if only scoring was, or
            ``"waiting"`` if nobody has approved yet and the run was not to wait for it.

        Raises
        ------
        FluentPipeError
            What went wrong. Whatever was published stays.
        """
        progress.reset(self.observer.said)
        self.observer.started([s.id for s in self.steps])
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            clean_abandoned(self.folder)
            sweep_unrecorded(self.folder, self.store.recorded_paths(self.name))
            sweep_resumable(self.folder)
            self.store.sweep(self.name)
        place = Place(str(self.root), self.folder / "runs" / self.run_id)
        with self.runner.session(place) as session:
            return self._run_jobs(session, FileHashes(self.root.home / "file_hashes.sqlite"))

    def _run_jobs(self, session: Session, hashes: FileHashes) -> RunState:
        while True:
            steps = [s for s in self.steps if s.id not in self.skipped]
            plan = make_plan(self.name, steps, self.store, hashes, refresh=self.refresh - set(self.ran), done=self.done)
            self._take_cached(plan)
            if self._ask_conditions():
                continue
            if not plan.jobs:
                found = {refused(e.artifacts) for e in self.done.values()} - {None}
                return "not pushed" if "not pushed" in found else "not scored" if found else "succeeded"
            job = [s for s in self.steps if s.id in plan.jobs[0]]
            self._foresee()
            self._check_resources()
            self._check_reach()
            # A key that is known is that of what is about to be read, even if a file changes while it is read.
            self.keys = {p.step.id: p.key for p in plan.steps}
            try:
                self._run_job(job, self.keys, hashes, session)
            except ApprovalPending:
                return "waiting"

    @property
    def folder(self) -> Path:
        """The pipeline's folder on this machine."""
        return self.root.home / self.name

    def _take_cached(self, plan: Plan) -> None:
        new = [p for p in plan.steps if p.step.id not in self.done and self._is_free(p.step)]
        found = [(p.step, p.stored) for p in new if p.stored is not None]
        self.store.record_cached(self.run_id, *(stored for _, stored in found))
        for step, stored in found:
            self.done[step.id] = stored
            self.observer.changed(step.id, "cached", note=_note(stored))
            self._judge(step, stored)

    def _is_free(self, step: Step) -> bool:
        """Whether every condition of a step was asked, and holds."""
        return all(self._answers.get(id(c), False) for c in step.conditions)

    def _ask_conditions(self) -> bool:
        """Ask the conditions whose results are there; whether there were any. Skip the steps of one that fails."""
        asked = False
        for step in self.steps:
            if step.id in self.done or step.id in self.skipped:
                continue
            for condition in step.conditions:
                if id(condition) not in self._answers:
                    if set(condition.after) - set(self.done) - set(self.skipped):
                        break
                    self._answers[id(condition)] = self._ask(condition, step)
                    asked = True
                if not self._answers[id(condition)]:
                    self._skip(step, condition)
                    break
        return asked

    def _ask(self, condition: Condition, step: Step) -> bool:
        try:
            return self.holds(condition, {s: e for s, e in self.done.items() if s in condition.after})
        except FluentPipeError as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self._failed(step, error)
            raise

    def _skip(self, step: Step, condition: Condition) -> None:
        self.skipped[step.id] = why = f"{condition.function.where} does not hold"
        self.store.record_skipped(self.run_id, step.id, why)
        self.observer.changed(step.id, "skipped", note=f"{condition.name} does not hold")

    def _check_resources(self) -> None:
        """End the run before its first job if this machine has less than a step asks for."""
        for step in self.steps:
            asked = getattr(step, "resources", None)
            if asked is None or step.id in self.done or not self._is_free(step):
                continue
            machine = self.runner.capabilities().machine
            lacking = machine.lacks(asked) if machine is not None else None
            if lacking is not None:
                fix = "Run it on a cluster, or ask for less."
                raise self._failed(step, ResourceError(f"{step.id} {lacking}.", fix=fix))

    def _check_reach(self) -> None:
        """End the run before its first job if a step names a place that workers do not see."""
        if self.runner.capabilities().shared_disk:
            return
        for step in self.steps:
            if step.id in self.done or not self._is_free(step):
                continue
            place = next((place for place in step.outside() if not is_remote(place)), None)
            if place is not None:
                error = RunnerError(
                    f"{step.call}() names {place}, on this machine; the workers do not see its disk.",
                    where=self.runner.name,
                    fix="Name a place on an object store (gs://, s3://), or run it here.",
                )
                raise self._failed(step, error)

    def _failed(self, step: Step, error: FluentPipeError) -> FluentPipeError:
        """``error``, recorded as that of a step before or after its work."""
        error.step = step.id
        self.observer.changed(step.id, "failed")
        self._record_failed(step, 0.0, error)
        return error

    def _foresee(self) -> None:
        """End the run now where a later step cannot go well, before the work that lies between."""
        for step in self.steps:
            if step.id in self.done or not self._is_free(step):
                continue
            inputs = {f: artifact(self.done, r) for f, r in step.inputs().items() if r.step in self.done}
            error = step.foreseen({f: a.facts() for f, a in inputs.items() if a.facts_file})
            if error is not None:
                raise self._failed(step, error)

    def _judge(self, step: Step, stored: StoredExecution) -> None:
        refusal = step.refused(stored.artifacts[0].facts())
        if refusal is not None:
            self.observer.changed(step.id, "failed")
            if isinstance(refusal, AnomaliesFound):
                refusal.left = stored.artifacts[0]
            raise refusal

    def _run_job(self, job: list[Step], keys: Mapping[str, str | None], hashes: FileHashes, session: Session) -> None:
        ids = [s.id for s in job]
        self.observer.job(ids)
        shared_disk = self.runner.capabilities().shared_disk
        with stage(self.root, self.name, shared_disk=shared_disk) as staging, ExitStack() as held:
            begun = time.monotonic()
            kept = self._kept(job, keys, held)
            progress.tell_job(ids, "loading libraries")
            running = Job(self, job, staging, kept)
            progress.tell_job(ids, "")
            self.loading += time.monotonic() - begun
            begun = time.monotonic()
            try:
                with writing(self.folder):
                    seconds = running.run(session)
            except (ApprovalPending, TemplateWritten, KeyboardInterrupt) as pending:
                note = "for approval" if isinstance(pending, ApprovalPending) else ""
                self.observer.changed(job[0].id, "waiting", note=note)
                raise
            except FluentPipeError as error:
                failed = error.step if error.step in ids else job[0].id
                for step in job:
                    self.observer.changed(step.id, "failed" if step.id == failed else "waiting")
                staging.discard()  # first, since the record needs room
                self._record_failed(next(s for s in job if s.id == failed), time.monotonic() - begun, error)
                raise
            self.jobs.append(tuple(s.id for s in job))
            shares = _shares(job, seconds, time.monotonic() - begun)
            for step in job:
                inputs = {f: artifact(self.done, ref) for f, ref in step.inputs().items()}
                key = keys[step.id] or cache_key(step, inputs, running.earlier[step.id], hashes)
                try:
                    self._publish(step, staging, key, inputs, shares[step.id])
                except FluentPipeError as error:
                    if not isinstance(error, KeyboardInterrupt):
                        self._failed(step, error)
                    raise
                if step.id in kept:
                    kept[step.id].remove()
        for step in job:
            self._judge(step, self.done[step.id])

    def _kept(self, job: list[Step], keys: Mapping[str, str | None], held: ExitStack) -> dict[str, Resumable]:
        """Where steps that resume find what an earlier process finished; another run at work there keeps it."""
        opened = {s.id: Resumable.open(self.folder, key) for s in job if s.resumes and (key := keys[s.id])}
        return {step: held.enter_context(folder) for step, folder in opened.items() if folder is not None}

    def _record_failed(self, step: Step, seconds: float, error: FluentPipeError) -> None:
        try:
            self.store.record_failed(
                pipeline=self.name,
                run=self.run_id,
                step_id=step.id,
                step_type=step.call,
                seconds=seconds,
                reason=str(error),
            )
        except StoreError:
            log.exception("The failure could not be recorded")  # it is the error to tell, not this one

    def _publish(self, step: Step, staging: Stage, key: str, inputs: Mapping[str, Artifact], seconds: float) -> None:
        staged = staging.staged(step.id, step.produces)
        manifest = Manifest(
            pipeline=self.name,
            run=self.run_id,
            step=step.id,
            step_type=step.call,
            execution=staged.execution,
            key=key,
            fingerprint=staged.fingerprint,
            seconds=seconds,
            produces=tuple(kind.__name__ for kind in step.produces),
            inputs=self.store.read_by(inputs),
            properties={"job": len(self.jobs), **_properties(step, staged.folder, staged.fingerprint)},
            files=staged.files,
            rows=row_names(staged.files, step.produces),
        )
        staging.publish(staged, manifest)
        stored = self.store.record(manifest, step.produces)
        self.done[step.id] = stored
        self.ran[step.id] = seconds
        self.observer.changed(step.id, refused(stored.artifacts) or "ran", seconds=seconds, note=_note(stored))


def _shares(job: list[Step], seconds: Mapping[str, float], wall: float) -> dict[str, float]:
    """The job's wall seconds shared out by what Beam measured in each step."""
    total = sum(seconds.values())
    return {s.id: wall * (seconds[s.id] / total if total else 1 / len(job)) for s in job}


def _note(stored: StoredExecution) -> str:
    try:
        return stored.artifacts[0].summary()
    except Exception:  # a type of the user's own may have changed since
        log.exception("There is no summary of %s", stored.path)
        return ""


def _properties(step: Step, path: Path, fingerprint: str) -> dict[str, str | int | float]:
    """What later look-ups ask for, and which files from outside were read."""
    found = read(step.source_files()[:_MOST_PATTERNS])
    files = {"sources": json.dumps(found)} if found else {}
    return {**files, **_verdict(step, path, fingerprint)}


def _verdict(step: Step, path: Path, fingerprint: str) -> dict[str, int]:
    if ModelBlessing in step.produces:
        return {"approved": int(ModelBlessing(path, fingerprint, step.id).facts()["blessed"])}
    if Anomalies in step.produces:
        return {"approved": int(step.refused(Anomalies(path, fingerprint, step.id).facts()) is None)}
    return {}


def refused(artifacts: Collection[Artifact]) -> Literal["not pushed", "not scored"] | None:
    """What a step has not done since the model was refused, if anything; by what it left."""
    for left in artifacts:
        if isinstance(left, PushedModel) and not left.facts()["pushed"]:
            return "not pushed"
        if isinstance(left, Predictions) and not left.facts()["scored"]:
            return "not scored"
    return None
