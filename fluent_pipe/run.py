"""Run and its results, as the user meets them."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from fluent_pipe import hooks, results
from fluent_pipe.artifacts import (
    A,
    Anomalies,
    Approval,
    Artifact,
    Evaluation,
    Examples,
    HyperParameters,
    InfraBlessing,
    Model,
    ModelBlessing,
    Predictions,
    PushedModel,
    Schema,
    Statistics,
    TransformGraph,
)
from fluent_pipe.errors import (
    AnomaliesFound,
    ArgumentError,
    FluentPipeError,
    Interrupted,
    RunnerError,
    StepFailed,
    StoreError,
    TemplateWritten,
)
from fluent_pipe.execution import Execution, Observer, RunState
from fluent_pipe.interrupts import interruptible
from fluent_pipe.live import Board, Observers, Writer
from fluent_pipe.logs import logged
from fluent_pipe.mirror import Root
from fluent_pipe.plan import make_plan
from fluent_pipe.report.page import REPORT, write_report
from fluent_pipe.report.reproduce import Commit, recorded
from fluent_pipe.runners.base import Runner
from fluent_pipe.runners.named import chosen, is_named
from fluent_pipe.steps.gates import Condition
from fluent_pipe.store.connection import DATABASE_FILE
from fluent_pipe.store.content import FileHashes
from fluent_pipe.store.files import new_execution_name, writing
from fluent_pipe.store.manifests import Manifests
from fluent_pipe.store.metadata import MetadataStore, StoredExecution

if TYPE_CHECKING:
    from markupsafe import Markup

    from fluent_pipe.display.charts import Embed
    from fluent_pipe.display.plan import DrawnStep
    from fluent_pipe.display.terminal import Telling
    from fluent_pipe.pipeline import Pipeline
    from fluent_pipe.report.lineage import Lineage

log = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class Run(results.Drawn):
    """What one execution of a pipeline left.

    Each result is read from disk when it is asked for; one that the pipeline does not make is an error that says
    which call makes it.

    Parameters
    ----------
    id
        Names the run: ``fluent-pipe show ID``.
    pipeline
        Name of the pipeline.
    state
        ``"succeeded"``, also where steps were skipped; ``"not pushed"`` if a push was refused, ``"not scored"`` if only
        ``bulk_infer`` was; ``"waiting"`` after ``approve(wait=False)`` while nobody has decided; ``"running"`` for the
        run that a condition of ``when`` gets.
    timings
        Seconds of each step; none for one taken from the cache.
    folder
        Where the run's log and its report lie.
    skipped
        Why steps were skipped, by step: the condition of ``when`` that did not hold, with its file and line.
    """

    id: str
    pipeline: str
    state: RunState
    timings: results.Timings
    folder: Path
    _artifacts: tuple[Artifact, ...] = field(repr=False)
    skipped: Mapping[str, str] = field(default_factory=dict)
    _skipped_by_type: Mapping[type[Artifact], str] = field(default_factory=dict, repr=False)
    _steps: tuple[DrawnStep, ...] = field(default=(), repr=False)
    _jobs: tuple[tuple[str, ...], ...] = field(default=(), repr=False)
    _store: tuple[Root, str | None] | None = field(default=None, repr=False)

    @property
    def made(self) -> frozenset[str]:
        """Names of the artifact types that the run left."""
        return frozenset(type(a).__name__ for a in self._artifacts)

    @property
    def examples(self) -> results.ExamplesResult:
        """Typed rows by split."""
        return results.ExamplesResult(self._get(Examples))

    @property
    def statistics(self) -> results.StatisticsResult:
        """TFDV statistics by split, with the anomalies that were found in them."""
        statistics = self._get(Statistics)
        later = dropwhile(lambda a: a.path != statistics.path, self._artifacts)
        anomalies = [results.AnomaliesResult(a) for a in later if isinstance(a, Anomalies)]
        return results.StatisticsResult(statistics, anomalies[-1] if anomalies else None)

    @property
    def schema(self) -> results.SchemaResult:
        """The TFDV schema."""
        return results.SchemaResult(self._get(Schema))

    @property
    def anomalies(self) -> results.AnomaliesResult:
        """What ``validate`` found."""
        return results.AnomaliesResult(self._get(Anomalies))

    @property
    def transform(self) -> results.TransformResult:
        """The transform graph and its features."""
        return results.TransformResult(self._get(TransformGraph))

    @property
    def trials(self) -> results.TrialsResult:
        """What ``tune`` tried, and the best of it."""
        return results.TrialsResult(self._get(HyperParameters))

    @property
    def model(self) -> results.ModelResult:
        """The trained model."""
        return results.ModelResult(self._get(Model))

    @property
    def evaluation(self) -> results.EvaluationResult:
        """Metrics, overall and by slice."""
        return results.EvaluationResult(self._get(Evaluation))

    @property
    def blessing(self) -> results.BlessingResult:
        """The verdict and its reasons."""
        return results.BlessingResult(self._get(ModelBlessing))

    @property
    def approval(self) -> results.ApprovalResult:
        """What a person decided."""
        return results.ApprovalResult(self._get(Approval))

    @property
    def infra(self) -> results.InfraResult:
        """What a prediction server made of the model: the verdict, latency, memory."""
        return results.InfraResult(self._get(InfraBlessing))

    @property
    def pushed(self) -> results.PushedResult:
        """Where the model was pushed, or why not."""
        return results.PushedResult(self._get(PushedModel))

    @property
    def predictions(self) -> results.PredictionsResult:
        """Predictions of ``bulk_infer``, or why there are none."""
        return results.PredictionsResult(self._get(Predictions))

    @property
    def lineage(self) -> Lineage:
        """What the run's last artifact was made from, back to the files; of the pushed model, if there is one."""
        from fluent_pipe.report.lineage import lineage

        if not self._artifacts or self._store is None:
            raise StepFailed(f"This run of {self.pipeline!r} left nothing.")
        root, metadata = self._store
        pushed = [a for a in self._artifacts if isinstance(a, PushedModel)]
        with MetadataStore.open(root, metadata, create=False) as store:
            return lineage(store, (pushed or self._artifacts)[-1])

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.results.pipeline import draw_run

        heading = f"Run {self.id} of {self.pipeline}: {self.state}"
        return draw_run(heading, self._steps, self._jobs, self.timings, self._artifacts, self.skipped, embed)

    def __repr__(self) -> str:
        came = "".join(f"\n{words}" for words in results.came_of(self._artifacts))
        return f"Run {self.id} of {self.pipeline}: {self.state}{came}\n{self.timings!r}"

    def report(self, path: str | os.PathLike[str] | None = None) -> Path:
        """The run's report: one HTML file that needs nothing but itself.

        Parameters
        ----------
        path
            File to copy it to; folders above it are made. Default: where the run has left it, in :attr:`folder`.

        Raises
        ------
        StoreError
            If the run has left none, or ``path`` cannot be written.
        """
        left = self.folder / REPORT
        if not left.is_file():
            fact = "It is written when the run has ended" if self.state == "running" else "This run has left no report"
            raise StoreError(f"{fact}.", where=str(left), fix=f"{self.folder / 'log.txt'} says why if it failed.")
        if path is None:
            return left
        target = Path(path)
        if target.is_dir():
            raise StoreError("This is a folder.", where=str(target), fix=f"Give a file: {target / REPORT}.")
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(left, target)
        return target

    def artifact(self, kind: type[A], *, step: str | None = None) -> A:
        """The artifact of a type: of one of your own, or of the library's.

        Parameters
        ----------
        kind
            The type.
        step
            Id of the step that left it. Default: the last one that left such an artifact.

        Raises
        ------
        StepFailed
            If the run left none; the error lists those that it left.
        """
        # By name, since a notebook's cell that is run again makes another class of the same.
        found = [a for a in self._artifacts if type(a).__name__ == kind.__name__ and step in (None, a.step)]
        skipped = self._skipped_by_type.get(kind) if step is None else step
        if not found and skipped is not None and skipped in self.skipped:
            raise StepFailed(f"{skipped} was skipped in this run: {self.skipped[skipped]}.", step=skipped)
        if not found:
            there = [f"{type(a).__name__} of {a.step}" for a in self._artifacts]
            what = kind.__name__ + (f" of {step}" if step else "")
            raise StepFailed(f"This run of {self.pipeline!r} left no {what}.", got=what, valid=there)
        last = found[-1]
        return kind(last.path, last.fingerprint, last.step, last.execution, last.url)

    def result(self, step: str | None = None) -> results.Result[Any]:
        """What a step left first, as a thing that draws itself.

        Parameters
        ----------
        step
            Its id. Default: the last one.

        Raises
        ------
        StepFailed
            If there is no such step, or it left nothing in this run.
        """
        ids = [name for name, *_ in self.timings.steps]
        asked = ids[-1] if step is None else step
        found = next((a for a in self._artifacts if a.step == asked), None)
        if found is None:
            why = f"{self.skipped[asked]}." if asked in self.skipped else f"It is {self.timings.undone.get(asked)}."
            there = list(dict.fromkeys(a.step for a in self._artifacts))
            fact = f"{asked} left nothing in this run. {why}" if asked in ids else f"This run had no step {asked!r}."
            raise StepFailed(fact, got=asked, valid=there)
        return results.result_of(found)

    def _get(self, kind: type[Artifact]) -> Any:
        return self.artifact(kind)


def plan(pipeline: Pipeline, runner: Runner | str | None = None) -> results.PlanResult:
    """The pipeline's plan against what its store holds; of a runner that is named it says what this can do."""
    runs_on = chosen(runner) if runner is not None or is_named() else None
    root = Root.of(pipeline.root)
    if root.url:
        Manifests(root.url).reach()
    there = root.url or pipeline.metadata is not None or (root.home / DATABASE_FILE).is_file()
    store = MetadataStore.open(root, pipeline.metadata, create=bool(root.url)) if there else None
    if store is not None:
        store.sync(pipeline.name)
    hashes = FileHashes(root.home / "file_hashes.sqlite") if there else None
    made = make_plan(pipeline.name, pipeline.steps, store, hashes)
    told = f"{runs_on.name}, {runs_on.capabilities()}" if runs_on is not None else ""
    return results.PlanResult(made.name, made.steps, made.jobs, told)


def run(
    pipeline: Pipeline,
    *,
    runner: Runner | str | None = None,
    refresh: frozenset[str] = frozenset(),
    telling: Telling = "everything",
) -> Run:
    """Run a pipeline; see :meth:`fluent_pipe.pipeline.Pipeline.run`.

    Parameters
    ----------
    telling
        How much is told while it runs.
    """
    from fluent_pipe.display.terminal import observer

    if not pipeline.steps:
        raise FluentPipeError("This pipeline has no steps.", fix="Begin with from_csv() or another source.")
    runner = chosen(runner)
    root = Root.of(pipeline.root)
    _check_reach(root, runner)
    runner.check()
    commit = Commit.of(pipeline)
    run_id = new_execution_name()
    folder = root.home / pipeline.name / "runs" / run_id
    if root.url:
        Manifests(root.url).check(pipeline.name, run_id)
    store = MetadataStore.open(root, pipeline.metadata)
    store.sync(pipeline.name)
    with writing(folder):
        folder.mkdir(parents=True)
    store.begin_run(pipeline.name, run_id, recorded(pipeline, runner, commit))
    with _uploaded(root, folder), logged(folder / "log.txt") as terminal:
        board = Board(run_id, pipeline.name)
        shown = observer(board, terminal, folder / "log.txt", telling)
        watching = Observers(board, Writer(board, folder), shown)

        def holds(condition: Condition, seen: Mapping[str, StoredExecution]) -> bool:
            return hooks.holds(condition, _made(execution, "running", folder, seen))

        execution = Execution(pipeline.name, pipeline.steps, root, store, run_id, runner, refresh, watching, holds)
        try:
            state = _execute(execution, watching)
        except Exception as error:
            with suppress(KeyboardInterrupt):  # the run's own error is the one to tell
                _report(store, run_id, terminal if telling == "everything" else None)
            if not isinstance(error, KeyboardInterrupt | TemplateWritten):
                failure = hooks.Failure(run_id, pipeline.name, getattr(error, "step", None), error, folder / "log.txt")
                with suppress(KeyboardInterrupt):  # of a hook that hangs
                    hooks.tell([h for h in pipeline.hooks if h.on == "failure"], failure, terminal)
            raise
        made = _made(execution, state, folder, execution.done)
        try:
            _report(store, run_id, terminal if telling == "everything" else None)
            hooks.tell([h for h in pipeline.hooks if h.on == "success"], made, terminal)
        except KeyboardInterrupt:
            raise Interrupted(f"Its report or on_success was stopped. The run itself has ended: {state}.") from None
    return made


def show(
    pipeline: Pipeline,
    *,
    runner: Runner | str | None,
    refresh: frozenset[str],
    telling: Telling,
    options: Mapping[str, Any],
) -> None:
    """Run a pipeline and draw what its last step left; see :meth:`fluent_pipe.pipeline.Pipeline.show`."""
    last = pipeline.steps[-1] if pipeline.steps else None
    valid = results.shows_with(last.produces[0]) if last is not None else []
    for name in options:
        if last is not None and name not in valid:
            known = [*valid, "runner", "refresh", "progress"]
            raise ArgumentError(f"What {last.id} leaves is not shown by {name}=.", got=name, valid=known)
    try:
        made = run(pipeline, runner=runner, refresh=refresh, telling=telling)
    except AnomaliesFound as error:
        if error.left is not None:
            ours = last is not None and error.step == last.id
            results.result_of(error.left).show(**(options if ours else {}))
        raise
    if made.timings.undone:
        from fluent_pipe.report.terminal import terminal_report

        print(terminal_report(made))
    else:
        made.result().show(**options)


def _check_reach(root: Root, runner: Runner) -> None:
    """Refuse a root that the workers of a runner do not see."""
    if not root.url and not runner.capabilities().shared_disk:
        raise RunnerError(
            f"Workers that run {runner.name} do not see this folder, where results are to lie.",
            where=str(root),
            fix='Give a root that they reach, such as root="gs://bucket/results" or "s3://bucket/results"; or '
            "shared_disk=True to the runner, where the folder is mounted under the same path on every machine.",
        )


def _report(store: MetadataStore, run_id: str, terminal: TextIO | None) -> None:
    """Write the report of a run that has ended, and name it; that it cannot be written is no reason to fail."""
    try:
        path = write_report(store, run_id)
    except Exception:
        log.exception("The report could not be written")
        return
    if terminal is not None:
        terminal.write(f"Report: {path}\n")


@contextmanager
def _uploaded(root: Root, folder: Path) -> Iterator[None]:
    """Leave log and report of the run in ``folder`` on an object store too; that it cannot be is no reason to fail."""
    try:
        yield
    finally:
        if root.url:
            with suppress(StoreError):
                for file in (folder / "log.txt", folder / REPORT):
                    if file.is_file():
                        Manifests(root.url).put_of_run(folder.parent.parent.name, folder.name, file)


def _execute(execution: Execution, watching: Observer) -> RunState:
    begun = time.monotonic()
    state: RunState = "failed"
    reason = ""
    try:
        with interruptible():
            state = execution.execute()
        return state
    except KeyboardInterrupt:
        state = "interrupted"  # raised anew: on its way through Beam it may have been annotated
        raise Interrupted("The run was stopped.", fix="Finished steps stay cached; run again to go on.") from None
    except TemplateWritten as written:
        state, reason = "template written", str(written)
        raise
    except FluentPipeError as error:
        reason = str(error)
        log.exception("The run failed")
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        log.exception("The run failed")
        raise
    finally:
        watching.ended(state)
        seconds = time.monotonic() - begun
        try:
            execution.store.end_run(execution.run_id, state, {"seconds": seconds, "reason": reason})
        except StoreError:
            log.exception("The end of the run could not be recorded")


def _timings(execution: Execution) -> results.Timings:
    steps = tuple((s.id, execution.ran.get(s.id), s.id in execution.ran) for s in execution.steps)
    undone = {s.id: "skipped" if s.id in execution.skipped else "waiting" for s in execution.steps}
    return results.Timings(
        steps, execution.loading, {s: state for s, state in undone.items() if s not in execution.done}
    )


def _made(execution: Execution, state: RunState, folder: Path, done: Mapping[str, StoredExecution]) -> Run:
    """The run as it is now, with those results."""
    from fluent_pipe.display.plan import DrawnStep

    skipped = {kind: s.id for s in execution.steps if s.id in execution.skipped for kind in s.produces}
    artifacts = tuple(a for step in execution.steps if step.id in done for a in done[step.id].artifacts)
    timings = _timings(execution)
    return Run(
        execution.run_id,
        execution.name,
        state,
        timings,
        folder,
        artifacts,
        dict(execution.skipped),
        skipped,
        tuple(DrawnStep.of(step) for step in execution.steps),
        tuple(execution.jobs),
        (execution.root, execution.store.url),
    )
