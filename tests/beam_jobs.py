"""Beam jobs in this process, for tests of components."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from fluent_pipe.artifacts import Examples
from fluent_pipe.components.base import Component, Context
from fluent_pipe.components.inputs import ExamplesInput


@contextmanager
def job(*contexts: Context) -> Iterator[beam.Pipeline]:
    """A pipeline that runs at the end of the block; an error that a component explained is raised in Beam's place."""
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(flags=[]))
    try:
        yield pipeline
        pipeline.run().wait_until_finish()
    except Exception:
        for context in contexts:
            failure = context.kept_failure()
            if failure is not None:
                raise failure from None
        raise


def run(component: Component) -> Path:
    """Run one component whose inputs are artifacts; its folder."""
    with job(component.context) as pipeline:
        component.build(pipeline)
    return component.context.folder


def run_in_turn(component: Component) -> Path:
    """Run the jobs of a component that runs several, one after another; its folder."""
    again = True
    while again:
        component.prepare()
        run(component)
        again = component.finish()
    return component.context.folder


def context(folder: Path, step: str) -> Context:
    """A context that writes into ``folder/step``, which is made."""
    (folder / step).mkdir(parents=True, exist_ok=True)
    return Context(step=step, staging=str(folder / step))


def examples(folder: Path, **splits: pa.Table) -> ExamplesInput:
    """An Examples artifact with the rows of each split in files of up to 300 rows."""
    for split, table in splits.items():
        (folder / f"Split-{split}").mkdir(parents=True, exist_ok=True)
        for start in range(0, max(len(table), 1), 300):
            pq.write_table(table.slice(start, 300), folder / f"Split-{split}" / f"part-{start:06}.parquet")
    return ExamplesInput("examples", artifact=Examples(folder, fingerprint="", step="from_arrow"))
