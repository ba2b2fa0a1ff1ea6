"""What a person asks first after a run, in a few lines for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluent_pipe.results import text_table
from fluent_pipe.store.approvals import waiting_for

if TYPE_CHECKING:
    from fluent_pipe.run import Run

WORST = 5


def terminal_report(run: Run) -> str:
    """Was it pushed, and why or why not; how good; worst slices; time of each step.

    Parameters
    ----------
    run
        A finished run; parts of steps that it does not have are left out.
    """
    made = run.made
    parts = []
    if "Evaluation" in made:
        evaluation = run.evaluation
        primary = evaluation.artifact.facts()["primary_metric"]
        value = evaluation.metrics.get(primary)
        parts.append(f"{primary} overall: {'n/a' if value is None else f'{value:.4f}'}")
        worst = evaluation.worst(WORST)
        if evaluation.searched:
            parts.append(
                f"Slices where the model is significantly worse than elsewhere:\n{text_table(worst)}"
                if worst
                else "No slice was found where the model is significantly worse than elsewhere."
            )
        elif worst:
            parts.append(f"Worst slices by {primary} (of 100 examples or more):\n{text_table(worst)}")
    if "ModelBlessing" in made and run.blessing.note:
        parts.append(run.blessing.note)
    request = waiting_for(run.folder.parents[1], run.id) if run.state == "waiting" else None
    if request is not None:
        parts.append(f"Waiting for approval: {request.command(run.id)}; then run again.")
    parts += [f"{step} was skipped: {why}." for step, why in run.skipped.items()]
    parts.append(f"Seconds by step:\n{run.timings!r}")
    if "PushedModel" in made:
        parts.append(repr(run.pushed))
    if "Predictions" in made:
        parts.append(repr(run.predictions))
    return "\n\n".join(parts)
