"""What steps that make and judge a model leave: trials, history, metrics, the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fluent_pipe.artifacts import (
    Evaluation,
    HyperParameters,
    Model,
    ModelBlessing,
)
from fluent_pipe.display.text import text_table
from fluent_pipe.errors import ArgumentError
from fluent_pipe.results.tables import Tabular
from fluent_pipe.steps.metrics import lower_is_better


class TrialsResult(Tabular[HyperParameters]):
    """What ``tune`` tried; one row a trial."""

    @property
    def best(self) -> dict[str, Any]:
        """The best hyperparameters by name: of the best trial, or of the file that was given."""
        return dict(self.artifact.facts()["values"])

    @property
    def notes(self) -> list[str]:
        """What is worth knowing of the search as a whole, such as that nothing was improved."""
        return list(self.artifact.facts()["notes"])

    def rows(self) -> list[dict[str, Any]]:
        """Trial, state, score, seconds, hyperparameters, metrics of the best epoch, and why a trial failed."""
        trials = self.artifact.facts()["trials"]
        own = ("trial", "state", "score", "seconds", "reason")
        named = list(dict.fromkeys(n for t in trials for n in t["hyperparameters"]))
        metrics = list(dict.fromkeys(n for t in trials for n in t["metrics"]))
        return [
            {
                "trial": t["id"],
                "state": t["state"],
                "score": t["score"],
                "seconds": t["seconds"],
                **{f"hp/{n}" if n in (*own, *metrics) else n: t["hyperparameters"].get(n) for n in named},
                **{n: t["metrics"].get(n) for n in metrics},
                "reason": t["reason"],
            }
            for t in trials
        ]

    def __repr__(self) -> str:
        facts = self.artifact.facts()
        if not facts["trials"]:
            return text_table([{"hyperparameter": n, "value": v} for n, v in self.best.items()])
        rows = self.rows()
        metrics = {n for t in facts["trials"] for n in t["metrics"]}
        failed = any(t["reason"] for t in facts["trials"])
        hidden = {*metrics, "tuner/bracket", "tuner/round", "tuner/initial_epoch", *(() if failed else ("reason",))}
        shown = [n for n in rows[0] if n not in hidden]
        best = f"best: trial {facts['best']} by {facts['objective']} ({facts['direction']})"
        return "\n".join([text_table(rows, shown), best, *facts["notes"]])


class ModelResult(Tabular[Model]):
    """The trained model; one row an epoch."""

    @property
    def serving(self) -> Path:
        """The SavedModel."""
        return self.artifact.serving

    def rows(self) -> list[dict[str, Any]]:
        """Epoch and the metrics that Keras reported."""
        history = self.artifact.facts()["history"]
        epochs = len(next(iter(history.values()), []))
        return [{"epoch": e + 1, **{m: v[e] for m, v in history.items()}} for e in range(epochs)]

    @property
    def warm_start(self) -> dict[str, Any] | None:
        """The earlier model that its weights come from, and the words of vocabularies that changed; None if none."""
        began = self.artifact.facts().get("warm_start")
        return dict(began) if began and began["from"] else None

    def __repr__(self) -> str:
        began = self.artifact.facts().get("warm_start")
        if not began:
            return super().__repr__()
        lines = [f"Warm start from {began['from']}." if began["from"] else began["note"]]
        for feature, words in began["mapped"].items():
            lines.append(f"  {feature}: " + ", ".join(f"{count:,} words {what}" for what, count in words.items()))
        return "\n".join([*lines, super().__repr__()])


class EvaluationResult(Tabular[Evaluation]):
    """Metrics by slice; the overall slice first."""

    @property
    def metrics(self) -> dict[str, float | None]:
        """Overall metrics."""
        return dict(self.artifact.facts()["slices"][0]["metrics"])

    @property
    def searched(self) -> bool:
        """Whether slices were searched for, by ``evaluate(slices="auto")``."""
        return "found" in self.artifact.facts()

    def rows(self) -> list[dict[str, Any]]:
        """Slice and its metrics; beside a metric with a confidence interval its ends: ``auc_low``, ``auc_high``."""
        return [
            {"slice": slice_name(s["slice"]), **_with_intervals(s["metrics"], s.get("intervals", {}))}
            for s in self.artifact.facts()["slices"]
        ]

    def worst(self, count: int = 10, *, metric: str | None = None, at_least: int = 100) -> list[dict[str, Any]]:
        """The slices where the model is worst.

        Where slices were searched for, those that were found: significantly worse than all other rows, ordered by how
        much worse they are at least. Each has its mean loss, that of the other rows, the interval of the difference
        and its p-value, corrected for all slices that were looked at. See ``evaluate(slices="auto")``.

        Parameters
        ----------
        count
            How many.
        metric
            Order the evaluated slices by this metric instead: lowest first, or highest for an error. Default where
            slices were named: the main metric of the task.
        at_least
            Fewest examples of a slice to be counted in, when ordered by a metric.
        """
        facts = self.artifact.facts()
        if metric is None and self.searched:
            return self._found()[:count]
        name = metric or facts["primary_metric"]
        if name not in (there := facts["slices"][0]["metrics"]):
            raise ArgumentError(f"Metric {name!r} was not evaluated.", got=name, valid=there)
        large = [r for r in self.rows()[1:] if r["example_count"] >= at_least and r.get(name) is not None]
        ordered = sorted(large, key=lambda r: r[name], reverse=lower_is_better(name))[:count]
        return [{"slice": r["slice"], "example_count": r["example_count"], name: r[name]} for r in ordered]

    def _found(self) -> list[dict[str, Any]]:
        facts = self.artifact.facts()
        name = facts["primary_metric"]
        metrics = {slice_name(s["slice"]): s["metrics"] for s in facts["slices"]}
        return [
            {
                "slice": (found := slice_name(one["slice"])),
                "example_count": one["rows"],
                name: metrics.get(found, {}).get(name),
                "loss": one["loss"],
                "loss_elsewhere": one["loss_elsewhere"],
                "worse_by_low": one["interval"][0],
                "worse_by_high": one["interval"][1],
                "p_adjusted": one["p_adjusted"],
            }
            for one in facts["found"]
        ]

    def __repr__(self) -> str:
        rows = self.rows()
        more = f"\n... and {len(rows) - 30} more slices: to_frame() has them all" if len(rows) > 30 else ""
        return text_table(rows[:30]) + more


def _with_intervals(metrics: Mapping[str, Any], intervals: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for name, value in metrics.items():
        named[name] = value
        if name in intervals:
            named[f"{name}_low"], named[f"{name}_high"] = intervals[name]
    return named


def slice_name(columns: Mapping[str, Any]) -> str:
    """A slice in words.

    Examples
    --------
    >>> slice_name({"origin": "JFK", "month": 7})
    'origin=JFK, month=7'
    """
    return ", ".join(f"{k}={v}" for k, v in columns.items()) or "overall"


class BlessingResult(Tabular[ModelBlessing]):
    """The verdict; one row a requirement and slice."""

    @property
    def blessed(self) -> bool:
        """Whether every requirement holds."""
        return bool(self.artifact.facts()["blessed"])

    @property
    def note(self) -> str:
        """What there was to compare with."""
        return str(self.artifact.facts()["note"])

    def rows(self) -> list[dict[str, Any]]:
        """Metric, slice, value, what was needed, the baseline's value, and whether it holds."""
        return [{**r, "slice": slice_name(r["slice"])} for r in self.artifact.facts()["reasons"]]

    def __bool__(self) -> bool:
        return self.blessed

    def __repr__(self) -> str:
        head = "blessed" if self.blessed else "not blessed"
        return f"{head}. {self.note}\n{super().__repr__()}" if self.rows() else f"{head}. {self.note}"
