"""The steps of a past run as a picture, from what the store knows of it."""

from __future__ import annotations

from collections import defaultdict

from fluent_pipe.display.charts import Chart
from fluent_pipe.display.plan import DrawnStep, draw_steps
from fluent_pipe.execution import refused
from fluent_pipe.report.past import PastRun
from fluent_pipe.results.pipeline import words_of
from fluent_pipe.store.metadata import MetadataStore


def draw_past_steps(store: MetadataStore, run: PastRun, *, width: float = 900) -> Chart:
    """Steps of a run with state, seconds and what flowed between them; dashed lines around those of one Beam job.

    Of a step whose folder is gone, only how it went is known.
    """
    found = {e.step: e for e in run.executions}
    steps = []
    jobs: dict[int, set[str]] = defaultdict(set)
    for went in run.stored.steps:
        stored = found.get(went.step)
        left = stored.artifacts if stored is not None else ()
        read = store.inputs(left[0]).values() if left else ()
        if stored is not None and went.state == "ran" and "job" in stored.properties:
            jobs[int(stored.properties["job"])].add(went.step)
        steps.append(
            DrawnStep(
                id=went.step,
                reads=tuple(dict.fromkeys((a.step, type(a).__name__) for a in read)),
                leaves=tuple(type(a).__name__ for a in left),
                state=refused(left) or went.state,
                seconds=went.seconds if went.state != "skipped" else None,
                words=words_of(left) or went.note,
                hint=f"key {stored.key}" if stored is not None else "",
            )
        )
    return draw_steps(steps, [jobs[n] for n in sorted(jobs)], name=f"Steps of run {run.stored.id}", width=width)
