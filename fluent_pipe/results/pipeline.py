"""A pipeline that was looked up, and a run of it, as they draw themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fluent_pipe.artifacts import Artifact, Evaluation, ModelBlessing, Predictions, PushedModel
from fluent_pipe.execution import refused
from fluent_pipe.plan import Plan, PlannedStep
from fluent_pipe.results.tables import Drawn, Timings

if TYPE_CHECKING:
    from markupsafe import Markup

    from fluent_pipe.display.charts import Embed
    from fluent_pipe.display.plan import DrawnStep


@dataclass(frozen=True, repr=False)
class PlanResult(Plan, Drawn):
    """What :meth:`~fluent_pipe.pipeline.Pipeline.plan` gives: a plan that prints and draws itself."""

    def __repr__(self) -> str:
        return str(self)

    def rows(self) -> list[dict[str, object]]:
        """Step, state, Beam job, why it is to run, cache key, and seconds it took when it ran."""
        job_of = {s: n for n, job in enumerate(self.jobs, 1) for s in job}
        return [
            {
                "step": p.step.id,
                "state": _planned(p),
                "job": job_of.get(p.step.id),
                "why": p.reason or None,
                "key": p.key,
                "seconds": p.stored.seconds if p.stored else None,
            }
            for p in self.steps
        ]

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.markup import joined, tag
        from fluent_pipe.display.plan import DrawnStep, draw_steps
        from fluent_pipe.display.tables import html_table
        from fluent_pipe.display.text import counted

        jobs = f"{counted(len(self.steps), 'step')}, {counted(len(self.jobs), 'Beam job')} to run"
        headline = tag("p", tag("b", self.name), f": {jobs}")
        if not self.steps:
            return tag("div", headline)
        steps = [
            DrawnStep.of(
                p.step,
                state=_planned(p),
                seconds=p.stored.seconds if p.stored else None,
                words=words_of(p.stored.artifacts) if p.stored else p.reason,
                hint=f"key {p.key}" if p.key else "",
            )
            for p in self.steps
        ]
        chart = draw_steps(steps, self.jobs, name=f"Plan of {self.name}: {jobs}")
        runner = tag("p", f"Runner: {self.runner}") if self.runner else None
        details = tag("details", tag("summary", "Keys and reasons"), html_table(self.rows(), embed))
        return tag("div", joined(headline, embed(chart), runner, details))


def draw_run(
    heading: str,
    steps: Sequence[DrawnStep],
    jobs: Sequence[Collection[str]],
    timings: Timings,
    made: Sequence[Artifact],
    why: Mapping[str, str],
    embed: Embed,
) -> Markup:
    """A run: what came of it, and its steps with their times and Beam jobs.

    Parameters
    ----------
    heading
        Which run, and how it ended.
    steps
        What each reads and leaves.
    jobs
        Ids of the steps of each Beam job that it ran.
    made
        Its artifacts.
    why
        Reasons of the steps that were skipped.
    """
    from fluent_pipe.display.markup import joined, tag
    from fluent_pipe.display.plan import draw_steps, in_seconds
    from fluent_pipe.display.text import counted

    rows = {row["step"]: row for row in timings.rows()}
    of_step = {s.id: [a for a in made if a.step == s.id] for s in steps}
    drawn = [
        replace(
            s,
            state=refused(of_step[s.id]) or rows[s.id]["state"],
            seconds=rows[s.id]["seconds"],
            words=words_of(of_step[s.id]) or why.get(s.id, ""),
        )
        for s in steps
    ]
    count = Counter(row["state"] for row in rows.values())
    ran = f"{counted(count.pop('ran', 0), 'step')} ran in {in_seconds(timings.total)}"
    took = ", ".join([ran, *(f"{n} {state}" for state, n in count.items())])
    lines = [tag("p", words) for words in came_of(made)]
    chart = draw_steps(drawn, jobs, name=f"{heading}: {took}") if drawn else None
    return tag("div", joined(tag("p", tag("b", heading), f". {took}."), lines, embed(chart) if chart else None))


def came_of(made: Sequence[Artifact]) -> list[str]:
    """What a person asks first of a run: how good, was it pushed, and why not.

    Parameters
    ----------
    made
        The run's artifacts; the last of a type counts.
    """
    facts = {type(a): a.facts() for a in made if type(a) in (Evaluation, ModelBlessing, PushedModel, Predictions)}
    lines = []
    if Evaluation in facts:
        primary = facts[Evaluation]["primary_metric"]
        value = next((s["metrics"].get(primary) for s in facts[Evaluation]["slices"] if not s["slice"]), None)
        lines.append(f"{primary} {'n/a' if value is None else f'{value:.4f}'}")
    if ModelBlessing in facts:
        lines.append("blessed" if facts[ModelBlessing]["blessed"] else "not blessed")
    if PushedModel in facts:
        pushed = facts[PushedModel]
        why = "; ".join(pushed["reasons"])
        lines.append(
            f"pushed as version {pushed['version']} to {pushed['destination']}"
            if pushed["pushed"]
            else f"not pushed: {why}"
        )
    if Predictions in facts and not facts[Predictions]["scored"]:
        lines.append(f"not scored: {'; '.join(facts[Predictions]['reasons'])}")
    return [" · ".join(lines)] if lines else []


def words_of(artifacts: Sequence[Artifact]) -> str:
    """The summary of what a step left; empty where there is none, or it can no longer be read."""
    try:
        return next(filter(None, (a.summary() for a in artifacts)), "")
    except Exception:  # a type of the user's own may have changed since, or its folder is gone
        return ""


def _planned(step: PlannedStep) -> str:
    return "cached" if step.state == "cached" else "to run"
