"""``tune``: KerasTuner's search, whose trials are elements of Beam jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import apache_beam as beam

from fluent_pipe import progress
from fluent_pipe.artifacts import BaseModel, Schema, TransformGraph
from fluent_pipe.components.base import Component, Context, Live, hinted, once
from fluent_pipe.components.hyperparameters import write
from fluent_pipe.components.inputs import SchemaInput, TransformGraphInput
from fluent_pipe.components.staged import fetched
from fluent_pipe.components.train import check_splits, training_data
from fluent_pipe.remote import get, joined, put
from fluent_pipe.steps.tuning import Tune as TuneStep
from fluent_pipe.training.search import Search
from fluent_pipe.training.trial import WEIGHTS, Asked, run_trial
from fluent_pipe.training.tuner_fn import search_with_tuner_fn

TRIALS = "trials"
"""Folder of what trials leave: a result each, and hyperband's weights."""
DELIVERED = ".trials"
"""Where workers that do not share that folder leave it, beside what will be published."""


class Tune(Component):
    """Asks KerasTuner's oracle on the driver for some trials, has a Beam job run them, tells the oracle, and so on.

    Leaves what :class:`fluent_pipe.artifacts.HyperParameters` says. The results of trials lie in the folder that
    outlives a killed process, so that the next run goes on after them. A ``tuner_fn`` brings its own search, which one
    worker runs, with that folder as ``fn_args.working_dir``.

    Parameters
    ----------
    step, context
        What was asked for, and where to write.
    graph
        Gives the transformed rows.
    schema
        For ``tuner_fn``.
    base_model
        For the user's function.
    """

    def __init__(
        self,
        step: TuneStep,
        context: Context,
        graph: TransformGraphInput,
        schema: SchemaInput,
        base_model: BaseModel | None = None,
    ) -> None:
        super().__init__(context)
        self._base_model = base_model
        self._step = step
        self._graph = graph.value
        self._schema = schema.value
        self._search: Search | None = None
        self._asked: list[Asked] = []
        self._trials = Path()

    def prepare(self) -> None:
        """Learn the space and ask for the first trials, before the first job."""
        if self._search is not None or self._step.tuner_fn is not None:
            return
        progress.report(self.context.step, detail="looking at build_model")
        check_splits(self._step, self._graph)
        self._trials = trials = _kept(self.context) / TRIALS
        trials.mkdir(parents=True, exist_ok=True)
        self._hand_out(trials)
        own = self.context.folder / ".oracle"
        self._search = Search(
            self._step, training_data(self._step, self._graph, self._base_model), trials=trials, own=own
        )
        self._asked = self._search.ask()
        self._tell_how_far(self._search)

    def build(self, pipeline: beam.Pipeline) -> Live:
        """One element a trial; one in all for a ``tuner_fn``."""
        if self._step.tuner_fn is not None:
            search = partial(_search_with_tuner_fn, self._step, self.context, self._base_model)
            resources = self._step.resources
            once(pipeline, "Tune", self.context, search, self._graph, self._schema, resources=resources)
            return {}
        trials = beam.Create([asked.to_json() for asked in self._asked], reshuffle=False)
        spread = pipeline | "Trials" >> trials | "Spread" >> beam.Reshuffle()
        trial = _Trial(self._step, self.context, self._graph, self._base_model)
        _ = spread | "Trial" >> hinted(beam.ParDo(trial), self._step.resources)
        return {}

    def finish(self) -> bool:
        """Tell the oracle what came of the trials; at the end of the search write what was found."""
        if self._search is None:
            return False
        if self.context.is_remote:
            fetched(joined(self.context.staging, DELIVERED), self._trials)
        self._search.tell()
        self._tell_how_far(self._search)
        progress.report(self.context.step, detail="choosing what to try next")
        self._asked = self._search.ask()
        if self._asked:
            return True
        facts = self._search.facts()
        assert self._search.best is not None  # else facts() had raised
        write(self.context.folder, self._search.best.config, facts)
        if self.context.is_remote:
            self.context.staged.remove_folder(DELIVERED)
        return False

    def _tell_how_far(self, search: Search) -> None:
        if self._step.algorithm != "hyperband":  # whose later trials take longer
            progress.reached(self.context.step, search.tried / self._step.trials)

    def _hand_out(self, trials: Path) -> None:
        """Have the weights that an earlier process' trials left where workers find them."""
        if self.context.is_remote:
            put({joined(self.context.staging, DELIVERED, path.name): path for path in trials.glob(f"*{WEIGHTS}")})


class _Trial(beam.DoFn):  # type: ignore[misc]
    """Runs trials and leaves their results as files."""

    def __init__(self, step: TuneStep, context: Context, graph: TransformGraph, base_model: BaseModel | None) -> None:
        self._base_model = base_model
        self._step = step
        self._context = context
        self._graph = graph

    def process(self, asked: str) -> Iterator[None]:
        with self._context.explained():
            asked_for = Asked(**json.loads(asked))
            with _trials(self._context, asked_for) as folder:
                run_trial(self._step, self._graph, folder, asked_for, self._base_model).write(folder)
        yield from ()


@contextmanager
def _trials(context: Context, asked: Asked) -> Iterator[Path]:
    """The folder of what trials leave. Where it is not shared, what a trial leaves is delivered, its result last."""
    if not context.is_remote:
        yield _kept(context) / TRIALS
        return
    with TemporaryDirectory(prefix="fluent_pipe-") as folder:
        where = joined(context.staging, DELIVERED)
        if asked.begins_with is not None:
            name = f"{asked.begins_with}{WEIGHTS}"
            get({joined(where, name): Path(folder, name)})
        yield Path(folder)
        left = [f"{asked.id}{ending}" for ending in (WEIGHTS, ".json") if Path(folder, f"{asked.id}{ending}").exists()]
        for name in left:
            put({joined(where, name): Path(folder, name)})


def _kept(context: Context) -> Path:
    return Path(context.resume or context.folder / ".resume")


def _search_with_tuner_fn(
    step: TuneStep, context: Context, base_model: BaseModel | None, graph: TransformGraph, schema: Schema
) -> None:
    check_splits(step, graph)
    # The driver's folder that outlives a killed process is out of reach of a worker with a disk of its own.
    working = context.folder / ".tuner" if context.is_remote else _kept(context) / "tuner"
    config, facts = search_with_tuner_fn(step, graph, schema.path / "schema.pbtxt", working, base_model)
    write(context.folder, config, facts)
