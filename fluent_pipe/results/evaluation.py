"""What steps that judge a model leave: metrics by slice, curves, the verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fluent_pipe.artifacts import Evaluation, ModelBlessing
from fluent_pipe.display.slices import Asked, chosen, metric_named, slice_name
from fluent_pipe.errors import StoreError
from fluent_pipe.results.tables import Drawn, Tabular
from fluent_pipe.steps.metrics import lower_is_better

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

    from fluent_pipe.display.charts import Embed


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
        name = metric_named(facts, metric)
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

    def by(self, slice: Asked = None, *, metric: str | None = None) -> SlicesResult:  # noqa: A002 - the word for it
        """Some slices by one metric, worst first; it draws itself, and has ``rows()`` and ``to_frame()``.

        Parameters
        ----------
        slice
            Which: those over exactly these columns, ``"carrier"``, ``"origin, month"`` or ``["origin", "month"]``; with
            a value, ``"origin=JFK, month"`` or ``{"origin": "JFK"}``, those alone that have it. Default: all.
        metric
            Sort by it and draw it. Default: the main metric of the task.

        Raises
        ------
        ArgumentError
            If no such slice or metric was evaluated; the error lists those that were.
        """
        facts = self.artifact.facts()
        return SlicesResult(facts, tuple(chosen(facts, slice)), metric_named(facts, metric))

    def show(self, slice: Asked = None, *, metric: str | None = None) -> None:  # noqa: A002
        """Draw it in the notebook's cell that runs, or print it; with arguments, what :meth:`by` gives."""
        if slice is None and metric is None:
            super().show()
        else:
            self.by(slice, metric=metric).show()

    @property
    def curves(self) -> CurvesResult:
        """ROC, precision and recall, calibration, confusion matrix: of all rows together.

        Raises
        ------
        StoreError
            If the model was evaluated by a version that kept none.
        """
        found = CurvesResult.of(self.artifact)
        if found is None:
            raise StoreError(
                "This evaluation kept no curves: it is of an earlier version.",
                where=str(self.path),
                fix='Evaluate again: run(refresh="evaluate").',
            )
        return found

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.evaluation import draw_evaluation

        return draw_evaluation(self.artifact.facts(), embed)

    def __repr__(self) -> str:
        from fluent_pipe.display.evaluation import evaluation_text

        return evaluation_text(self.artifact.facts())


@dataclass(frozen=True, repr=False)
class SlicesResult(Drawn):
    """Some slices by one metric, worst first; made by :meth:`EvaluationResult.by`.

    Parameters
    ----------
    facts
        Of the whole evaluation.
    slices
        Those that were chosen, as they stand in the facts.
    metric
        By which they are sorted and drawn.
    """

    facts: Mapping[str, Any]
    slices: tuple[Mapping[str, Any], ...]
    metric: str

    def rows(self) -> list[dict[str, Any]]:
        """Slice, its examples, the metric with the ends of its interval and the baseline's, where there are."""
        from fluent_pipe.display.slices import of_metric, worst_first

        return [
            {
                "slice": s.name,
                "example_count": s.rows,
                **_with_intervals({self.metric: s.value}, {self.metric: s.interval} if s.interval else {}),
                **({"baseline": s.baseline} if s.baseline is not None else {}),
            }
            for s in worst_first((of_metric(one, self.metric) for one in self.slices), self.metric)
        ]

    def to_frame(self) -> pd.DataFrame:
        """The rows as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.evaluation import draw_slices

        return draw_slices(self.slices, self.facts, self.metric, embed)

    def __repr__(self) -> str:
        from fluent_pipe.display.evaluation import slices_text

        return slices_text(self.slices, self.facts, self.metric)


@dataclass(frozen=True, repr=False)
class CurvesResult(Drawn):
    """Curves of an evaluation, of all rows together.

    Parameters
    ----------
    facts
        As in ``curves.json``.
    metrics
        The overall metrics, for areas under curves.
    """

    facts: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @classmethod
    def of(cls, evaluation: Evaluation) -> CurvesResult | None:
        """Those of an evaluation; None if it kept none."""
        file = evaluation.path / "curves.json"
        if not file.is_file():
            return None
        return cls(json.loads(file.read_text()), evaluation.facts()["slices"][0]["metrics"])

    def rows(self) -> list[dict[str, Any]]:
        """By threshold: weighted counts of true and false positives and negatives, and rates; none of other labels."""
        from fluent_pipe.display.thresholds import thresholds

        return [one.row() for one in thresholds(self.facts["binary"])] if self.facts.get("binary") else []

    def to_frame(self) -> pd.DataFrame:
        """The rows as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.curves import draw_curves

        return draw_curves(self.facts, self.metrics, embed)

    def __repr__(self) -> str:
        from fluent_pipe.display.curves import curves_text

        return curves_text(self.facts, self.metrics)


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

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.verdicts import draw_blessing

        return draw_blessing(self.artifact.facts(), embed)

    def __repr__(self) -> str:
        from fluent_pipe.display.verdicts import blessing_text

        return blessing_text(self.artifact.facts())


def _with_intervals(metrics: Mapping[str, Any], intervals: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for name, value in metrics.items():
        named[name] = value
        if name in intervals:
            named[f"{name}_low"], named[f"{name}_high"] = intervals[name]
    return named
