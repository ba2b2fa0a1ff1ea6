"""Steps to plan: their order, cache keys and state, and the Beam jobs that those to run form."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fluent_pipe.artifacts import Artifact
from fluent_pipe.errors import ArgumentError, FluentPipeError
from fluent_pipe.steps.base import Earlier, Ref, Step
from fluent_pipe.steps.functions import UserFunction
from fluent_pipe.steps.paths import matches
from fluent_pipe.steps.sources import InMemory

if TYPE_CHECKING:
    from fluent_pipe.store.content import FileHashes
    from fluent_pipe.store.metadata import MetadataStore, StoredExecution

State = Literal["cached", "run", "after"]


@dataclass(frozen=True)
class PlannedStep:
    """One step of a plan.

    Parameters
    ----------
    step
        What was asked for.
    state
        ``"cached"``: a published result has this key. ``"run"``: none has. ``"after"``: its inputs are yet to be
        made, so its key is not known; it may still turn out to be cached.
    key
        Cache key, where the inputs are known.
    stored
        The published result, where it is cached.
    reason
        Why it is to run; empty where it is cached.
    """

    step: Step
    state: State
    key: str | None = None
    stored: StoredExecution | None = None
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """Steps in order, and the Beam jobs that those to run form.

    Parameters
    ----------
    name
        Of the pipeline.
    steps
        In order.
    jobs
        Ids of the steps of each Beam job, in order.
    runner
        The runner that was asked about, and what it can do; empty where none was.
    """

    name: str
    steps: tuple[PlannedStep, ...]
    jobs: tuple[tuple[str, ...], ...]
    runner: str = ""

    def __str__(self) -> str:
        width = max((len(p.step.id) for p in self.steps), default=0)
        job_of = {s: n for n, job in enumerate(self.jobs, 1) for s in job}
        jobs = f"{len(self.jobs)} Beam {'job' if len(self.jobs) == 1 else 'jobs'} to run"
        lines = [f"Pipeline {self.name}: {len(self.steps)} steps, {jobs}"]
        for p in self.steps:
            what = "cached" if p.state == "cached" else f"job {job_of[p.step.id]}"
            guards = " and ".join(c.name for c in p.step.conditions)
            why = "; ".join(filter(None, (p.stored.name if p.stored else p.reason, guards and f"if {guards} holds")))
            lines.append(f"  {p.step.id:<{width}}  {what:<7} {why}".rstrip())
        if self.runner:
            lines.append(f"Runner: {self.runner}")
        return "\n".join(lines)


def group(steps: Collection[Step]) -> tuple[tuple[str, ...], ...]:
    """Cut steps, in order, into Beam jobs.

    A job ends only before a step that needs a value which the job is to make, and where a step asks for it: see
    :attr:`~fluent_pipe.steps.base.Step.gates` and :attr:`~fluent_pipe.steps.base.Step.alone`.
    """
    jobs: list[list[str]] = []
    cut = True
    for step in steps:
        if cut or step.alone or step.needed() & set(jobs[-1]):
            jobs.append([])
        jobs[-1].append(step.id)
        cut = step.gates or step.alone
    return tuple(tuple(job) for job in jobs)


def make_plan(
    name: str,
    steps: Collection[Step],
    store: MetadataStore | None,
    hashes: FileHashes | None,
    *,
    refresh: Collection[str] = (),
    done: Mapping[str, StoredExecution] | None = None,
) -> Plan:
    """Plan ``steps``.

    Parameters
    ----------
    store
        Where published results are looked up; None if there is no store yet.
    hashes
        Remembered content hashes of input files.
    refresh
        Ids of steps to run although they are cached.
    done
        Results that this run has already made or taken from the cache.
    """
    known: dict[str, StoredExecution] = dict(done or {})
    planned: list[PlannedStep] = []
    for step in steps:
        try:
            p = _plan_step(name, step, known, store, hashes, refresh)
        except FluentPipeError as error:
            error.step = error.step or step.id
            raise
        if p.stored is not None:
            known[step.id] = p.stored
        planned.append(p)
    return Plan(name, tuple(planned), group([p.step for p in planned if p.state != "cached"]))


def _plan_step(
    name: str,
    step: Step,
    known: Mapping[str, StoredExecution],
    store: MetadataStore | None,
    hashes: FileHashes | None,
    refresh: Collection[str],
) -> PlannedStep:
    if step.id in known:
        return PlannedStep(step, "cached", known[step.id].key, known[step.id])
    _runs_named(step, store)  # before any work is done for it
    unknown = [r.step for r in step.inputs().values() if r.step not in known]
    if unknown:
        return PlannedStep(step, "after", reason=f"after {', '.join(dict.fromkeys(unknown))}")
    inputs = {field: artifact(known, ref) for field, ref in step.inputs().items()}
    key = cache_key(step, inputs, resolve_earlier(name, step, inputs, store), hashes)
    if step.id in refresh:
        return PlannedStep(step, "run", key, reason="refresh was asked for")
    if not step.cached:
        return PlannedStep(step, "run", key, reason="cache(False)")
    stored = store.lookup(name, key, step.produces) if store is not None else None
    if stored is None:
        return PlannedStep(step, "run", key, reason="no published result has its key")
    facts = stored.artifacts[0].facts()
    if not step.still_holds(facts):
        return PlannedStep(step, "run", key, reason="what it left or found outside the store holds no more")
    return PlannedStep(step, "cached", key, stored)


def artifact(known: Mapping[str, StoredExecution], ref: Ref[Any]) -> Artifact:
    """The published artifact that a reference means."""
    return next(a for a in known[ref.step].artifacts if type(a) is ref.type)


def resolve_earlier(
    name: str, step: Step, inputs: Mapping[str, Artifact], store: MetadataStore | None
) -> dict[str, Artifact | None]:
    """The artifacts of earlier runs that ``step`` compares with; None where there is none.

    Parameters
    ----------
    inputs
        The step's inputs by field name, as far as they are published.
    """
    found: dict[str, Artifact | None] = {}
    for field, wanted in step.earlier().items():
        own = [a.fingerprint for f, a in inputs.items() if step.inputs().get(f) == wanted.other_than]
        found[field] = None if store is None else _latest(name, wanted, own, store)
    return found


def _runs_named(step: Step, store: MetadataStore | None) -> None:
    for wanted in step.earlier().values():
        if wanted.run is not None and store is None:
            raise ArgumentError(f"There is no run {wanted.run!r}: nothing has run yet in this root.")
        if wanted.run is not None and store is not None:
            store.of_run(wanted.run, wanted.type)


def _latest(name: str, wanted: Earlier[Any], own: list[str], store: MetadataStore) -> Artifact | None:
    if wanted.run is not None:
        found: Artifact = store.of_run(wanted.run, wanted.type)
        return found
    if wanted.judged_by is not None:
        return store.latest_approved(name, wanted.type, by=wanted.judged_by, excluding=own)
    return store.latest(name, wanted.type, excluding=own)


def cache_key(
    step: Step, inputs: Mapping[str, Artifact], earlier: Mapping[str, Artifact | None], hashes: FileHashes | None
) -> str:
    """Hash of what the step does and what it does it to.

    Parameters
    ----------
    inputs, earlier
        Artifacts by field name; their content counts, not where they lie.
    """
    from fluent_pipe.store.content import of_locations
    from fluent_pipe.store.fingerprint import of_value

    files = [sorted(of_locations(matches(p), hashes)) for p in step.source_files()]
    return of_value(
        {
            "step": step.call,
            "version": step.version,
            "arguments": {k: _content(v) for k, v in step.arguments().items()},
            "inputs": {k: a.fingerprint for k, a in inputs.items()},
            "earlier": {k: a.fingerprint if a else None for k, a in earlier.items()},
            "files": files,
        }
    )


def _content(value: Any) -> Any:
    from fluent_pipe.store import fingerprint, sources

    if isinstance(value, UserFunction):
        if callable(value.source):
            return fingerprint.of_code(value.source)
        by_file = value.is_file
        return (
            sources.of_module_file(Path(value.source), value.name) if by_file else sources.of_module_name(value.source)
        )
    if isinstance(value, InMemory):
        from fluent_pipe.arrow.memory import fingerprint as of_rows

        return of_rows(value.rows)
    if isinstance(value, Step):
        return {"step": value.call, "arguments": {k: _content(v) for k, v in value.arguments().items()}}
    return value
