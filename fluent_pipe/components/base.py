"""What every component is: a Beam PTransform with typed inputs, a folder to write into, and failures that explain."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.metrics import Metrics

from fluent_pipe import progress
from fluent_pipe.components.staged import Staged, deliver, delivering, fetched, scratch, staged
from fluent_pipe.errors import FluentPipeError, StepFailed, StoreError
from fluent_pipe.remote import is_remote, joined, read_bytes, write_bytes
from fluent_pipe.runners.measured import COUNTERS
from fluent_pipe.steps.resources import Resources
from fluent_pipe.store.files import disk_is_full

FAILURE_FILE = ".failure.pickle"

T = TypeVar("T", bound=beam.PTransform)

Live = Mapping[str, beam.PCollection]
"""Outputs that flow in the same job: by split for examples and statistics, under ``""`` for a single value."""


@dataclass(frozen=True)
class Context:
    """What a component is told about its execution. Pickles, so it travels with DoFns.

    Parameters
    ----------
    step
        Id of the step, for progress and messages.
    staging
        Folder that the component writes its artifact into; it exists. Or a URL, where workers do not share the
        driver's disk.
    key
        Cache key of the step; empty where an input flows in the same job.
    run
        Id of the run.
    home
        The pipeline's folder, ``root/<pipeline>``.
    resume
        Folder of the driver that outlives a killed process, with what an earlier one finished in part; None where
        nothing is kept.
    """

    step: str
    staging: str
    key: str = ""
    run: str = ""
    home: str = ""
    resume: str | None = None

    @property
    def is_remote(self) -> bool:
        """Whether what workers write is delivered to an object store."""
        return is_remote(self.staging)

    @property
    def folder(self) -> Path:
        """Where to write: ``staging``; or a scratch folder of this machine, whose files count once delivered."""
        return scratch(self.staging) if self.is_remote else Path(self.staging)

    @property
    def staged(self) -> Staged:
        """What all workers have written so far."""
        return staged(self.staging)

    @contextmanager
    def delivering(self) -> Iterator[None]:
        """Deliver what is written into :attr:`folder` inside, at a good end. Nothing happens on a shared disk."""
        with delivering(self.staging) if self.is_remote else nullcontext():
            yield

    def deliver(self, file: Path, known: str | None = None) -> str:
        """Deliver a finished file of :attr:`folder`; nothing happens on a shared disk.

        Parameters
        ----------
        known
            Its content's hash. Without it the file cannot be part of what is published.

        Returns
        -------
        str
            Where other workers find it: a path or a URL.
        """
        if not self.is_remote:
            return str(file)
        name = file.relative_to(self.folder).as_posix()
        deliver(self.staging, file, name, known=known)
        return joined(self.staging, name)

    def gather(self, *names: str) -> None:
        """Have folders that other workers wrote, all if none is named, in :attr:`folder` too."""
        if self.is_remote:
            for name in names:
                fetched(joined(self.staging, name), self.folder / name)
            if not names:
                fetched(self.staging, self.folder)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Keep an error that is raised inside, with its parts, for the driver to read.

        Beam hands errors of workers to the driver as text. So the error itself is left in the staging folder,
        which is thrown away with the job.
        """
        try:
            yield
        except Exception as error:
            self.keep_failure(error)
            raise

    def keep_failure(self, error: Exception) -> None:
        """Leave ``error`` for the driver; the first one stays."""
        if self._failure() is not None:
            return
        if not isinstance(error, FluentPipeError):
            frame = traceback.extract_tb(error.__traceback__)[-1:]
            where = f"{frame[0].filename}:{frame[0].lineno}" if frame else None
            text = f"{type(error).__name__}: {error}"
            full = disk_is_full(text, where=str(self.folder))
            disk = isinstance(error, OSError) and error.filename
            error = full or StepFailed(
                text, where=str(error.filename) if disk and isinstance(error, OSError) else where
            )
        error.step = error.step or self.step
        with suppress(OSError, StoreError):  # on a full disk the driver has the text of the error alone
            if self.is_remote:
                write_bytes(joined(self.staging, FAILURE_FILE), pickle.dumps(error))
            else:
                self.folder.mkdir(parents=True, exist_ok=True)
                (self.folder / FAILURE_FILE).write_bytes(pickle.dumps(error))

    def kept_failure(self) -> FluentPipeError | None:
        """The error that a worker left, if any."""
        content = self._failure()
        if not content:
            return None
        try:
            error: FluentPipeError = pickle.loads(content)
        except (EOFError, pickle.UnpicklingError):  # cut short by a full disk
            return None
        return error

    def _failure(self) -> bytes | None:
        try:
            if self.is_remote:
                return read_bytes(joined(self.staging, FAILURE_FILE))
            return (self.folder / FAILURE_FILE).read_bytes()
        except (FileNotFoundError, StoreError):
            return None


def _count(step: str, rows: int, detail: str | None, part: float) -> None:  # noqa: ARG001 - a carrier takes all
    """Count what a step reports in Beam's words too, which reach the driver from any worker, at the end of the job."""
    if rows:
        Metrics.counter(COUNTERS, step).inc(rows)  # nothing, on a thread that no bundle is on


progress.carried_by(_count)  # here, as no component runs anywhere without this module


class Component(beam.PTransform):  # type: ignore[misc]
    """How a step is done.

    A subclass is made with its step, its context and its inputs (see :mod:`fluent_pipe.components.inputs`), and
    builds its part of the Beam graph in :meth:`build`.
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context

    def prepare(self) -> None:
        """Look, on the driver and before any graph is built, at what the graph depends on."""

    def finish(self) -> bool:
        """Look, on the driver and when the job has ended well, at what lies in the folder; raise to have it refused.

        Returns
        -------
        bool
            Whether another job is wanted, for a step that runs several in turn.
        """
        return False

    def try_again(self) -> bool:
        """Whether a job that failed is worth another try; the component has then changed what it will build."""
        return False

    def explain(self, error: Exception) -> FluentPipeError | None:
        """What a failure of the job means, where a library of this component raised it on a worker; else None."""
        return None

    def build(self, pipeline: beam.Pipeline) -> Live:
        """Add this component's transforms to ``pipeline``; what flows on to steps of the same job is returned."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it is built")

    def expand(self, inputs: Any) -> dict[str, beam.PCollection]:
        """Beam's entry; live inputs are passed so that the graph knows them, and are used through ``self``."""
        pipeline = next(iter(inputs.values())).pipeline if isinstance(inputs, dict) else inputs.pipeline
        with self.context.explained():
            return dict(self.build(pipeline))


def once(
    pipeline: beam.Pipeline,
    label: str,
    context: Context,
    function: Callable[..., Any],
    *sides: Any,
    resources: Resources | None = None,
) -> beam.PCollection:
    """Call ``function(*sides)`` one time on a worker; its result is the one element of the PCollection returned.

    Parameters
    ----------
    sides
        Side inputs (``beam.pvalue.AsSingleton(...)``, ``AsList``) or plain small values.
    resources
        What the call asks of its worker.
    """
    begin = pipeline | f"{label}/Impulse" >> beam.Create([None], reshuffle=False)
    return begin | label >> hinted(beam.ParDo(_Once(context, function), *sides), resources)


def hinted(transform: T, resources: Resources | None) -> T:
    """``transform`` with what it asks of its workers as Beam's resource hints."""
    hints = {} if resources is None else resources.hints
    return transform.with_resource_hints(**hints) if hints else transform  # type: ignore[no-any-return]


class _Once(beam.DoFn):  # type: ignore[misc]
    def __init__(self, context: Context, function: Callable[..., Any]) -> None:
        self._context = context
        self._function = function

    def process(self, _: None, *sides: Any) -> Iterator[Any]:
        with self._context.explained():
            with self._context.delivering():
                result = self._function(*sides)
            yield result
