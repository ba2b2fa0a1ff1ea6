"""A pipeline as a picture: its steps, how each went or will go, what flows between them, and their Beam jobs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fluent_pipe.display.cards import Card, Group, draw_cards, wrapped
from fluent_pipe.display.charts import Chart, Embed
from fluent_pipe.display.colours import BAD, GOOD, INK, WARN
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.text import counted
from fluent_pipe.plan import group
from fluent_pipe.steps.base import Step

MARKS: Mapping[str, tuple[str, str]] = {
    "ran": ("✓", GOOD),
    "cached": ("=", INK),
    "to run": ("○", INK),
    "running": ("▸", GOOD),
    "waiting": ("…", WARN),
    "skipped": ("–", WARN),
    "not pushed": ("!", WARN),
    "not scored": ("!", WARN),
    "failed": ("✗", BAD),
}
"""Sign and colour of a step's state."""


@dataclass(frozen=True, kw_only=True)
class DrawnStep:
    """One step as it is drawn.

    Parameters
    ----------
    id
        Of the step.
    reads
        Ids of the steps whose artifacts it reads, and the types of these.
    leaves
        Types of the artifacts that it leaves.
    state
        One of :data:`MARKS`; empty where nothing is known.
    seconds
        How long it took.
    words
        A few on what it made, or why it is to run.
    condition
        What must hold for it to run.
    hint
        More, shown when one points at it.
    """

    id: str
    reads: tuple[tuple[str, str], ...] = ()
    leaves: tuple[str, ...] = ()
    state: str = ""
    seconds: float | None = None
    words: str = ""
    condition: str = ""
    hint: str = ""

    @classmethod
    def of(
        cls, step: Step, *, state: str = "", seconds: float | None = None, words: str = "", hint: str = ""
    ) -> DrawnStep:
        """What a step reads and leaves, with what is known of how it went."""
        return cls(
            id=step.id,
            reads=tuple(dict.fromkeys((r.step, r.type.__name__) for r in step.inputs().values())),
            leaves=tuple(kind.__name__ for kind in step.produces),
            state=state,
            seconds=seconds,
            words=words,
            condition=" and ".join(c.name for c in step.conditions),
            hint=hint,
        )


def draw_steps(steps: Sequence[DrawnStep], jobs: Sequence[Collection[str]], *, name: str, width: float = 900) -> Chart:
    """Steps in order as boxes, with dashed lines around those of one Beam job.

    Parameters
    ----------
    jobs
        Ids of the steps of each job.
    name
        What it shows, in words.
    width
        Of the chart, at most.
    """
    seconds = {s.id: s.seconds or 0.0 for s in steps}
    groups = []
    for number, job in enumerate(jobs, 1):
        took = sum(seconds.get(step, 0.0) for step in job)
        groups.append(Group(frozenset(job), f"Beam job {number}", in_seconds(took) if took else ""))
    # What one card has a line for, all have one for: what flows straight on is drawn straight.
    said, told = any(s.state for s in steps), any(s.words for s in steps)
    cards = [_card(s, said=said, told=told) for s in steps]
    return draw_cards(cards, [[s.id] for s in steps], groups=groups, width=width, name=name)


def _card(step: DrawnStep, *, said: bool, told: bool) -> Card:
    mark, colour = MARKS.get(step.state, ("", INK))
    took = "" if step.seconds is None or step.state == "to run" else in_seconds(step.seconds)
    lines = [*([(step.state, took)] if said else []), *(wrapped(step.words) if told else [])]
    if step.condition:
        lines.append((f"if {step.condition}", ""))
    hint = [
        f"{step.id}: {step.state}" if step.state else step.id,
        step.words,
        step.condition and f"if {step.condition}",
        step.hint,
    ]
    return Card(
        id=step.id,
        title=step.id,
        mark=mark,
        colour=colour,
        lines=tuple(lines),
        leaves=step.leaves,
        reads=step.reads,
        border=colour if step.state in ("failed", "waiting", "not pushed", "not scored") else INK,
        faint=step.state == "skipped",
        hint="\n".join(filter(None, hint)),
    )


def in_seconds(seconds: float) -> str:
    """How long something took, in few characters.

    Examples
    --------
    >>> [in_seconds(s) for s in (0.057, 11.27, 754.2, 7380)]
    ['0.06 s', '11.3 s', '12 min 34 s', '2 h 3 min']
    """
    if seconds < 99.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def draw_pipeline(name: str, steps: Sequence[Step], embed: Embed) -> Markup:
    """A pipeline that was written and not looked up: its steps, and the Beam jobs that they form."""
    jobs = group(steps)
    headline = tag("p", tag("b", name), f": {counted(len(steps), 'step')}, {counted(len(jobs), 'Beam job')}")
    if not steps:
        return tag("div", tag("p", tag("b", name), ": no steps yet"))
    chart = draw_steps([DrawnStep.of(s) for s in steps], jobs, name=f"Steps and Beam jobs of {name}")
    return tag("div", joined(headline, embed(chart)))
