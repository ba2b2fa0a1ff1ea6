"""Results as the user meets them: each reads its artifact when asked, prints well, and is a frame where tabular."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from fluent_pipe.artifacts import (
    Anomalies,
    Approval,
    Evaluation,
    Examples,
    HyperParameters,
    InfraBlessing,
    Model,
    ModelBlessing,
    Predictions,
    PushedModel,
    Schema,
    Statistics,
    TransformGraph,
)
from fluent_pipe.errors import ArgumentError, StoreError
from fluent_pipe.steps.base import A
from fluent_pipe.steps.destinations import REJECTED, holds
from fluent_pipe.steps.metrics import lower_is_better

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2


def text_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Rows as aligned text; numbers to the right, with four significant digits."""
    if not rows:
        return "(nothing)"
    names = list(columns or rows[0])
    cells = [[_cell(row.get(n)) for n in names] for row in rows]
    right = [all(isinstance(row.get(n), (int, float, type(None))) for row in rows) for n in names]
    widths = [max(len(n), *(len(c[i]) for c in cells)) for i, n in enumerate(names)]
    lines = [names, *cells]
    return "\n".join(
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)).rstrip()
        for line in lines
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e6 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Timings:
    """Seconds of each step.

    Parameters
    ----------
    steps
        Id, seconds (None from the cache), and whether it ran.
    loading
        Seconds spent importing TensorFlow, Beam and the like; not counted in any step.
    undone
        State of the steps that neither ran nor came from the cache: ``"skipped"``, or ``"waiting"`` for an approval.
    """

    steps: tuple[tuple[str, float | None, bool], ...]
    loading: float = 0.0
    undone: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Seconds of all steps that ran, without loading."""
        return sum(seconds or 0.0 for _, seconds, _ in self.steps)

    @property
    def steps_run(self) -> tuple[str, ...]:
        """Ids of the steps that ran."""
        return tuple(step for step, _, ran in self.steps if ran)

    def rows(self) -> list[dict[str, Any]]:
        """One mapping a step."""
        return [
            {"step": s, "seconds": None if t is None else round(t, 2), "state": self._state(s, ran)}
            for s, t, ran in self.steps
        ]

    def _state(self, step: str, ran: bool) -> str:  # noqa: FBT001 - as it stands in ``steps``
        return "ran" if ran else self.undone.get(step, "cached")

    def to_frame(self) -> pd.DataFrame:
        """Columns ``step``, ``seconds``, ``state``."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def __getitem__(self, step: str) -> float:
        seconds = {s: t or 0.0 for s, t, _ in self.steps}
        if step not in seconds:
            raise ArgumentError(f"This run had no step {step!r}.", got=step, valid=seconds)
        return seconds[step]

    def __repr__(self) -> str:
        loading = (
            [{"step": "(loading libraries)", "seconds": round(self.loading, 2), "state": ""}] if self.loading else []
        )
        return text_table([*self.rows(), *loading])


@dataclass(frozen=True)
class Result(Generic[A]):
    """A view of one artifact."""

    artifact: A

    @property
    def path(self) -> Path:
        """The artifact's folder."""
        return self.artifact.path


class Tabular(Result[A]):
    """A result that is a table."""

    def rows(self) -> list[dict[str, Any]]:
        """One mapping a row."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its rows are")

    def to_frame(self) -> pd.DataFrame:
        """The rows as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def __repr__(self) -> str:
        return text_table(self.rows())


class ExamplesResult(Tabular[Examples]):
    """Typed rows by split."""

    def rows(self) -> list[dict[str, Any]]:
        """Split and row count."""
        return [{"split": name, "rows": split["rows"]} for name, split in self.artifact.facts()["splits"].items()]

    def table(self, split: str) -> pa.Table:
        """All rows of one split."""
        import pyarrow.parquet as pq

        if split not in (there := self.artifact.facts()["splits"]):
            raise ArgumentError(f"There is no split {split!r}.", got=split, valid=there)
        return pq.ParquetDataset([str(f) for f in self.artifact.files(split)], use_legacy_dataset=False).read()


class StatisticsResult(Tabular[Statistics]):
    """TFDV statistics; one row a split and column."""

    def proto(self, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
        """TFDV's own proto of one split."""
        from tensorflow_metadata.proto.v0 import statistics_pb2

        file = self.artifact.split(split) / "FeatureStats.pb"
        if not file.is_file():
            raise ArgumentError(f"There is no split {split!r}.", got=split, valid=self.splits)
        return statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read_bytes())

    @property
    def splits(self) -> list[str]:
        """Names of the splits."""
        return sorted(p.name.removeprefix("Split-") for p in self.path.glob("Split-*"))

    def rows(self) -> list[dict[str, Any]]:
        """Key numbers by split and column; counts in values, shares in [0, 1]."""
        return [_statistics_row(split, f) for split in self.splits for f in self.proto(split).datasets[0].features]


def _statistics_row(split: str, feature: Any) -> dict[str, Any]:
    numeric = feature.WhichOneof("stats") == "num_stats"
    common = feature.num_stats.common_stats if numeric else feature.string_stats.common_stats
    rows = common.num_non_missing + common.num_missing
    number = feature.num_stats if numeric else None
    return {
        "split": split,
        "column": ".".join(feature.path.step) or feature.name,
        "type": feature.Type.Name(feature.type),
        "rows": rows,
        "missing": common.num_missing / rows if rows else 0.0,
        "mean": number.mean if number else None,
        "std": number.std_dev if number else None,
        "min": number.min if number else None,
        "median": number.median if number else None,
        "max": number.max if number else None,
        "unique": None if number else feature.string_stats.unique,
    }


class SchemaResult(Tabular[Schema]):
    """The TFDV schema; one row a column."""

    def proto(self) -> schema_pb2.Schema:
        """TFDV's own proto."""
        from google.protobuf import text_format
        from tensorflow_metadata.proto.v0 import schema_pb2

        return text_format.Parse((self.path / "schema.pbtxt").read_text(encoding="utf-8"), schema_pb2.Schema())

    def rows(self) -> list[dict[str, Any]]:
        """Column, type, presence and domain."""
        from tensorflow_metadata.proto.v0 import schema_pb2

        schema = self.proto()
        domains = {d.name: len(d.value) for d in schema.string_domain}
        return [
            {
                "column": f.name,
                "type": schema_pb2.FeatureType.Name(f.type),
                "required": f.presence.min_fraction == 1.0,
                "domain": f"{domains[f.domain]} values" if f.domain in domains else "",
            }
            for f in schema.feature
        ]


class AnomaliesResult(Tabular[Anomalies]):
    """What ``validate`` found; one row an anomaly."""

    def rows(self) -> list[dict[str, Any]]:
        """Split, column, anomaly and detail."""
        return [dict(a) for a in self.artifact.facts()["anomalies"]]

    @property
    def drift(self) -> list[dict[str, Any]]:
        """Measured distances and their limits, also those within the limit."""
        return [dict(d) for d in self.artifact.facts()["drift"]]

    @property
    def notes(self) -> list[str]:
        """Comparisons that were asked for and could not be made, and why."""
        return list(self.artifact.facts()["notes"])

    def __repr__(self) -> str:
        return "\n".join([super().__repr__() if self.rows() else "no anomalies", *self.notes])


class TransformResult(Tabular[TransformGraph]):
    """The transform graph; one row a transformed feature."""

    def rows(self) -> list[dict[str, Any]]:
        """Feature, type, shape, kind and role."""
        facts = self.artifact.facts()
        roles = {facts["label"]: "label", facts["weight"]: "weight"}
        return [{"feature": n, **f, "role": roles.get(n, "")} for n, f in facts["features"].items()]


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


class ApprovalResult(Result[Approval]):
    """What a person decided."""

    @property
    def approved(self) -> bool:
        """Whether the model was approved."""
        return bool(self.artifact.facts()["approved"])

    @property
    def by(self) -> str:
        """Who decided; empty where there was nothing to decide."""
        return str(self.artifact.facts()["by"])

    @property
    def note(self) -> str:
        """Why, in their words."""
        return str(self.artifact.facts()["note"])

    def __bool__(self) -> bool:
        return self.approved

    def __repr__(self) -> str:
        facts = self.artifact.facts()
        if not self.by:
            return f"not approved: {self.note}"
        head = f"{'approved' if self else 'rejected'} by {self.by} at {facts['at']}"
        return f"{head}: {self.note}" if self.note else head


class InfraResult(Tabular[InfraBlessing]):
    """What a prediction server made of the model; one row a figure."""

    @property
    def blessed(self) -> bool:
        """Whether the model serves, within all limits."""
        return bool(self.artifact.facts()["blessed"])

    @property
    def reasons(self) -> list[str]:
        """Why the model was refused; empty if it was not."""
        return list(self.artifact.facts()["reasons"])

    @property
    def latency_ms(self) -> dict[str, float] | None:
        """Milliseconds of the 50th, 95th and 99th percentile; None where no request was timed."""
        found: dict[str, float] | None = self.artifact.facts()["latency_ms"]
        return found

    @property
    def load_seconds(self) -> float | None:
        """Seconds until the model was loaded; None for a server that ran before."""
        seconds: float | None = self.artifact.facts()["load_seconds"]
        return seconds

    @property
    def memory_mb(self) -> float | None:
        """Largest resident memory of the server in MB; None for a server that ran before."""
        memory: float | None = self.artifact.facts()["memory_mb"]
        return memory

    def rows(self) -> list[dict[str, Any]]:
        """Figure and value, of those that were measured."""
        facts = self.artifact.facts()
        latency = facts["latency_ms"] or {}
        measured = {
            "seconds to load": facts["load_seconds"],
            **{f"latency {percentile}, ms": value for percentile, value in latency.items()},
            "memory, MB": facts["memory_mb"],
            "requests": facts["requests"],
            "concurrency": facts["concurrency"],
            "rows compared": facts["rows"],
            "largest difference": facts["largest_difference"],
        }
        return [{"figure": name, "value": value} for name, value in measured.items() if value is not None]

    def __bool__(self) -> bool:
        return self.blessed

    def __repr__(self) -> str:
        head = "infra-blessed" if self.blessed else "not infra-blessed:"
        return "\n".join([head, *(f"  {r}" for r in self.reasons), super().__repr__()])


class PushedResult(Result[PushedModel]):
    """Where the model was pushed, or why not."""

    @property
    def version(self) -> int | None:
        """Version number; None if the push was refused."""
        version: int | None = self.artifact.facts()["version"]
        return version

    @property
    def destination(self) -> Path | None:
        """The version's folder."""
        where = self.artifact.facts()["destination"]
        return Path(where) if where else None

    @property
    def reasons(self) -> list[str]:
        """Why the push was refused; empty if it was not."""
        return list(self.artifact.facts()["reasons"])

    def __bool__(self) -> bool:
        return self.version is not None

    def __repr__(self) -> str:
        if self:
            return f"pushed version {self.version} to {self.destination}"
        return "not pushed:\n" + "\n".join(f"  {r}" for r in self.reasons)


class PredictionsResult(Result[Predictions]):
    """Predictions beside the columns that were kept, or why nothing was scored."""

    @property
    def destination(self) -> Path | None:
        """The folder of the predictions; None if nothing was scored."""
        where = self.artifact.facts()["destination"]
        return Path(where) if where else None

    @property
    def files(self) -> list[Path]:
        """Files of the predictions, in order.

        Raises
        ------
        StoreError
            If the folder no longer holds them.
        """
        facts = self.artifact.facts()
        if facts["scored"] and not holds(facts):
            raise StoreError(
                "These predictions are gone: the folder was removed, or written anew.",
                where=facts["destination"],
                fix="Run the pipeline again.",
            )
        return [Path(facts["destination"], name) for name in facts["files"]]

    @property
    def reasons(self) -> list[str]:
        """Why nothing was scored; empty if it was."""
        return list(self.artifact.facts()["reasons"])

    @property
    def rejected(self) -> list[dict[str, Any]]:
        """Rows that could not be read or scored: file, line (0: not known), reason and text."""
        folders = {file.parent for file in self.files} or {self.destination or self.path}
        lines = [
            line
            for folder in folders
            for file in sorted(folder.glob(f"{REJECTED}/*.jsonl"))
            for line in file.read_text(encoding="utf-8").splitlines()
        ]
        return [json.loads(line) for line in lines]

    def table(self) -> pa.Table:
        """All rows that were scored.

        Raises
        ------
        StoreError
            If they are gone.
        ArgumentError
            If they are TFRecord files.
        """
        from fluent_pipe.arrow.reading_back import read_predictions

        return read_predictions(self.files, self.artifact.facts()["format"])

    def to_frame(self) -> pd.DataFrame:
        """All rows that were scored, as a DataFrame."""
        frame: pd.DataFrame = self.table().to_pandas()
        return frame

    def __bool__(self) -> bool:
        return bool(self.artifact.facts()["scored"])

    def __repr__(self) -> str:
        if not self:
            return "not scored:\n" + "\n".join(f"  {r}" for r in self.reasons)
        facts = self.artifact.facts()
        failed = facts["failed"]
        aside = f"; {failed:,} {'row' if failed == 1 else 'rows'} aside, see rejected" if failed else ""
        return f"{facts['rows']:,} rows scored, in {self.destination}{aside}\n{self._head()}".rstrip()

    def _head(self) -> str:
        from fluent_pipe.arrow.reading_back import first_rows

        facts = self.artifact.facts()
        if not holds(facts):
            return "(they are gone: the folder was removed, or written anew)"
        rows = first_rows(self.files, facts["format"], 5)
        return text_table(rows) if rows else ""
