"""One Beam job of a run: steps become components and one graph; a failure becomes an error that explains."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fluent_pipe import progress
from fluent_pipe.artifacts import Artifact
from fluent_pipe.errors import FluentPipeError, RunnerError, StepFailed
from fluent_pipe.imports import quick_imports, without_notebook
from fluent_pipe.plan import artifact, resolve_earlier
from fluent_pipe.runners.base import JobName, JobResult, Session
from fluent_pipe.runners.failures import missing_on_workers, of_runner
from fluent_pipe.steps.base import Ref, Step
from fluent_pipe.store.files import disk_is_full
from fluent_pipe.store.resumable import Resumable
from fluent_pipe.store.stage import Stage

if TYPE_CHECKING:
    from fluent_pipe.components.base import Component, Live
    from fluent_pipe.execution import Execution

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3


class Job:
    """One Beam job of a run, or several in turn of one step: lowers its steps, runs them, and explains a failure.

    Parameters
    ----------
    execution
        The run it belongs to.
    steps
        In order.
    staging
        Where its components write.
    kept
        What outlives a killed process, by step.
    """

    def __init__(self, execution: Execution, steps: list[Step], staging: Stage, kept: Mapping[str, Resumable]) -> None:
        self._execution = execution
        self._steps = steps
        self._staging = staging
        self._kept = kept
        self._live: dict[str, Live] = {}
        self._building: dict[str, float] = {}
        self.earlier = {s.id: self._earlier(s) for s in steps}
        self._components = self._lower()
        self._name = JobName(execution.name, execution.run_id, tuple(s.id for s in steps))

    def run(self, session: Session) -> dict[str, float]:
        """Run the job, again as long as a component asks for it; seconds by step, as far as they can be told apart."""
        seconds = {s.id: 0.0 for s in self._steps}
        again = True
        while again:
            progress.check()
            ran, again = self._run_once(session)
            seconds = {step: seconds[step] + ran[step] for step in seconds}
        return seconds

    def _run_once(self, session: Session) -> tuple[dict[str, float], bool]:
        components = self._components
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                progress.tell_job(list(components), "looking at the input")
                for component in components.values():
                    with component.context.explained():
                        component.prepare()
                result = session.run(lambda pipeline: self._build(pipeline, components), self._name)
                again = [_finish(c) for c in components.values()]
                return self._seconds(result), any(again)
            except KeyboardInterrupt:
                raise
            except Exception as error:
                progress.check()
                log.exception("Job %s failed, attempt %d", list(components), attempt)
                if attempt < MAX_ATTEMPTS and any(c.try_again() for c in list(components.values())):
                    self._clear()
                    continue
                raise self._explain(error, components) from None
        raise AssertionError("unreachable")

    def _earlier(self, step: Step) -> dict[str, Artifact | None]:
        done = self._execution.done
        inputs = {f: artifact(done, r) for f, r in step.inputs().items() if r.step in done}
        return resolve_earlier(self._execution.name, step, inputs, self._execution.store)

    def _lower(self) -> dict[str, Component]:
        with quick_imports():
            from fluent_pipe.components.base import Context
            from fluent_pipe.lowering import lower

            components = {}
            for step in self._steps:
                context = Context(
                    step.id,
                    str(self._staging.folder(step.id)),
                    key=self._execution.keys.get(step.id) or "",
                    run=self._execution.run_id,
                    home=str(self._execution.folder),
                    resume=str(self._kept[step.id].path) if step.id in self._kept else None,
                )
                plain = replace(step, conditions=())  # the user's conditions stay here: a step travels to workers
                components[step.id] = lower(plain, context, self._resolve, self.earlier[step.id])
            return components

    def _resolve(self, _: str, ref: Ref[Any]) -> tuple[Artifact | None, Live | None]:
        if ref.step in self._execution.done:
            return artifact(self._execution.done, ref), None
        return None, _Late(self._live, ref.step)

    def _build(self, pipeline: Any, components: Mapping[str, Component]) -> None:
        self._live.clear()
        for step in self._steps:
            begun = time.monotonic()
            flowing = {
                f"{field}[{split}]": collection
                for field, ref in step.inputs().items()
                if ref.step in self._live
                for split, collection in self._live[ref.step].items()
            }
            component = components[step.id]
            component.pipeline = None  # Beam keeps that of an earlier job, and refuses another
            with without_notebook():
                self._live[step.id] = (flowing or pipeline) | step.id >> component
            self._building[step.id] = time.monotonic() - begun

    def _seconds(self, result: JobResult) -> dict[str, float]:
        return {s.id: result.seconds_by_step.get(s.id, 0.0) + self._building.get(s.id, 0.0) for s in self._steps}

    def _clear(self) -> None:
        for step in self._steps:
            self._staging.folder(step.id)
            progress.forget(step.id)

    def _explain(self, error: Exception, components: Mapping[str, Component]) -> FluentPipeError:
        explained = self._meant(error, components)
        missing = missing_on_workers(f"{explained}\n{error}")
        if missing is None:
            return explained
        missing.step = explained.step
        return missing

    def _meant(self, error: Exception, components: Mapping[str, Component]) -> FluentPipeError:
        if isinstance(error, RunnerError):  # whatever workers met when their runner was gone
            error.step = error.step or self._steps[0].id
            return error
        kept = [c.context.kept_failure() for c in components.values()]
        known = next((k for k in kept if k is not None), None)
        if known is not None:
            return known
        if isinstance(error, FluentPipeError):
            return error
        meant = [c.explain(error) for c in components.values()]
        known = disk_is_full(str(error), where=self._staging.where) or next((m for m in meant if m), None)
        if known is not None:
            known.step = known.step or self._step_of(error)
            return known
        known = of_runner(str(error))
        if known is not None:
            known.step = self._step_of(error)
            return known
        lines = [line for line in str(error).strip().splitlines() if line.strip()]
        said = lines[-1].strip() if lines else ""
        return StepFailed(
            f"{type(error).__name__}: {said}", fix="The log has the full traceback.", step=self._step_of(error)
        )

    def _step_of(self, error: Exception) -> str:
        """The step whose transform failed, as Beam's text names it; else the job's first."""
        named = re.search(r"while running '([^/'\[]+)", str(error))
        ids = [s.id for s in self._steps]
        return named[1] if named and named[1] in ids else ids[0]


def _finish(component: Component) -> bool:
    with component.context.explained(), component.context.delivering():
        return component.finish()


class _Late(Mapping[str, Any]):
    """Live outputs of a step of the same job, looked up when the graph is built."""

    def __init__(self, live: Mapping[str, Live], step: str) -> None:
        self._all = live
        self._step = step

    def __getitem__(self, split: str) -> Any:
        return self._all[self._step][split]

    def __iter__(self) -> Any:
        return iter(self._all[self._step])

    def __len__(self) -> int:
        return len(self._all[self._step])
