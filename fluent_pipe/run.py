"""Run and its results, as the user meets them."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluent_pipe import progress, results
from fluent_pipe.artifacts import (
    Anomalies,
    Artifact,
    Evaluation,
    Examples,
    InfraBlessing,
    Model,
    ModelBlessing,
    PushedModel,
    Schema,
    Statistics,
    TransformGraph,
)
from fluent_pipe.errors import FluentPipeError, Interrupted, StepFailed, StoreError
from fluent_pipe.execution import Execution, Observer, RunState
from fluent_pipe.logs import logged
from fluent_pipe.plan import Plan, make_plan
from fluent_pipe.runners.base import Runner
from fluent_pipe.runners.direct import Direct
from fluent_pipe.store.content import FileHashes
from fluent_pipe.store.files import new_execution_name, writing
from fluent_pipe.store.metadata import MetadataStore, StoredExecution

if TYPE_CHECKING:
    from fluent_pipe.pipeline import Pipeline

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
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
        ``"succeeded"`` or ``"not pushed"``.
    timings
        Seconds of each step; none for one taken from the cache.
    folder
        Where the run's log lies.
    """

    id: str
    pipeline: str
    state: RunState
    timings: results.Timings
    folder: Path
    _artifacts: dict[type[Artifact], Artifact] = field(repr=False)

    @property
    def made(self) -> frozenset[str]:
        """Names of the artifact types that the run left."""
        return frozenset(t.__name__ for t in self._artifacts)

    @property
    def examples(self) -> results.ExamplesResult:
        """Typed rows by split."""
        return results.ExamplesResult(self._get(Examples))

    @property
    def statistics(self) -> results.StatisticsResult:
        """TFDV statistics by split."""
        return results.StatisticsResult(self._get(Statistics))

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
    def infra(self) -> results.InfraResult:
        """What a prediction server made of the model: the verdict, latency, memory."""
        return results.InfraResult(self._get(InfraBlessing))

    @property
    def pushed(self) -> results.PushedResult:
        """Where the model was pushed, or why not."""
        return results.PushedResult(self._get(PushedModel))

    def __repr__(self) -> str:
        return f"Run {self.id} of {self.pipeline}: {self.state}\n{self.timings!r}"

    def _get(self, kind: type[Artifact]) -> Any:
        if kind not in self._artifacts:
            there = [t.__name__ for t in self._artifacts]
            raise StepFailed(f"This run of {self.pipeline!r} left no {kind.__name__}.", got=kind.__name__, valid=there)
        return self._artifacts[kind]


def plan(pipeline: Pipeline) -> Plan:
    """The pipeline's plan against what its store holds. Publishes and records nothing."""
    there = pipeline.metadata is not None or (pipeline.root / "metadata.sqlite").is_file()
    store = MetadataStore.open(pipeline.root, pipeline.metadata, create=False) if there else None
    hashes = FileHashes(pipeline.root / "file_hashes.sqlite") if there else None
    return make_plan(pipeline.name, pipeline.steps, store, hashes)


def run(
    pipeline: Pipeline,
    *,
    runner: Runner | None = None,
    refresh: frozenset[str] = frozenset(),
    show_progress: bool = True,
) -> Run:
    """Run a pipeline; see :meth:`fluent_pipe.pipeline.Pipeline.run`."""
    from fluent_pipe.display.terminal import observer

    if not pipeline.steps:
        raise FluentPipeError("This pipeline has no steps.", fix="Begin with from_csv() or another source.")
    run_id = new_execution_name()
    folder = pipeline.root / pipeline.name / "runs" / run_id
    store = MetadataStore.open(pipeline.root, pipeline.metadata)
    with writing(folder):
        folder.mkdir(parents=True)
    store.begin_run(pipeline.name, run_id, {"expression": repr(pipeline)})
    with logged(folder / "log.txt") as terminal:
        watching = observer(terminal, folder / "log.txt") if show_progress else Observer()
        execution = Execution(
            pipeline.name, pipeline.steps, pipeline.root, store, run_id, runner or Direct(), refresh, watching
        )
        state = _execute(execution, watching)
    return Run(run_id, pipeline.name, state, _timings(execution), folder, _newest(execution.done))


def _execute(execution: Execution, watching: Observer) -> RunState:
    begun = time.monotonic()
    state: RunState = "failed"
    reason = ""
    try:
        with progress.interruptible():
            state = execution.execute()
        return state
    except KeyboardInterrupt:
        state = "interrupted"  # raised anew: on its way through Beam it may have been annotated
        raise Interrupted("The run was stopped.", fix="Finished steps stay cached; run again to go on.") from None
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
    return results.Timings(steps, execution.loading)


def _newest(done: dict[str, StoredExecution]) -> dict[type[Artifact], Artifact]:
    return {type(a): a for stored in done.values() for a in stored.artifacts}
