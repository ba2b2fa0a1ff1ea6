"""What a person asks first after a run, in a few lines for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluent_pipe.display.text import text_table
from fluent_pipe.store.approvals import waiting_for

if TYPE_CHECKING:
    from fluent_pipe.results import InfraResult
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
    if "HyperParameters" in made:
        found = ", ".join(f"{name}={_short(value)}" for name, value in run.trials.best.items())
        parts.append(f"Hyperparameters ({run.trials.artifact.summary()}): {found}")
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
    if "InfraBlessing" in made:
        parts.append(_served(run.infra))
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


def _served(infra: InfraResult) -> str:
    """What a prediction server made of the model, in a line; the whole table where it was refused."""
    if not infra:
        return repr(infra)
    figures = {"loaded in {:.2g} s": infra.load_seconds, "{:,.0f} MB": infra.memory_mb}
    figures |= {f"{name} {{:.3g}} ms": value for name, value in (infra.latency_ms or {}).items()}
    return "Served: " + ", ".join(words.format(value) for words, value in figures.items() if value is not None)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
