"""The pipeline as a picture in a notebook: its steps and the Beam jobs they form. Runs and reads nothing."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from fluent_pipe.plan import group

if TYPE_CHECKING:
    from fluent_pipe.pipeline import Pipeline

BOX = "display:inline-block;border:1px solid #888;border-radius:6px;padding:2px 8px;margin:2px"
JOB = "display:inline-block;border:1px dashed #888;border-radius:8px;padding:4px;margin:4px;vertical-align:top"


def pipeline_html(pipeline: Pipeline) -> str:
    """Steps as boxes, Beam jobs as dashed boxes round them.

    A guarded step names its conditions. Styles are inline: notebooks that do not trust the page strip ``<style>`` and
    ``<svg>``.
    """
    jobs = []
    words = {s.id: " ".join([s.id, *(f"if {c.name}" for c in s.conditions)]) for s in pipeline.steps}
    for number, job in enumerate(group(pipeline.steps), 1):
        steps = "".join(f'<span style="{BOX}">{escape(words[step])}</span>' for step in job)
        jobs.append(f'<span style="{JOB}"><small>job {number}</small><br>{steps}</span>')
    return f"<div><b>{escape(pipeline.name)}</b><br>{' &rarr; '.join(jobs) or 'no steps yet'}</div>"
