"""Past runs out of thin air: a real store whose artifacts hold made-up facts, so that nothing is trained or loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tensorflow_metadata.proto.v0 import statistics_pb2

from fluent_pipe.artifacts import (
    Anomalies,
    Artifact,
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
from fluent_pipe.report.past import PastRun
from fluent_pipe.store.files import new_execution_name
from fluent_pipe.store.manifest import Manifest
from fluent_pipe.store.metadata import MetadataStore

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}",
    "bell\x07 and \u202eturned round",
    "</style></title><svg onload=alert(1)>",
    "🛫" + "long " * 60,
)

REQUIRED = [
    {"metric": "auc", "slice": {}, "got": 0.71, "needed": "at least 0.65", "baseline": None, "change": None, "ok": True}
]
REFUSED = [{**REQUIRED[0], "needed": "at least 0.99", "ok": False}]


class Past:
    """A run that is being made up.

    Parameters
    ----------
    store
        Where it is recorded.
    properties
        What is recorded when it begins.
    name
        A column, a value, a slice: whatever has a name.
    """

    def __init__(self, store: MetadataStore, properties: Mapping[str, str] | None = None, *, name: str = "carrier"):
        self.store = store
        self.id = new_execution_name()
        self.name = name
        store.begin_run("flights", self.id, properties or {})
        (store.root / "flights" / "runs" / self.id).mkdir(parents=True, exist_ok=True)

    def left(
        self, step: str, *kinds: type[Artifact], key: str | None = None, fingerprint: str | None = None, **files: Any
    ) -> None:
        """A step that ran: files by name, ``__`` for a dot; JSON of what is neither text nor bytes."""
        execution = new_execution_name()
        folder = self.store.root / "flights" / step / execution
        folder.mkdir(parents=True)
        for name, content in files.items():
            file = folder / name.replace("__", ".")
            file.parent.mkdir(parents=True, exist_ok=True)
            is_bytes = isinstance(content, bytes)
            file.write_bytes(
                content if is_bytes else (content if isinstance(content, str) else json.dumps(content)).encode()
            )
        manifest = Manifest(
            pipeline="flights", run=self.id, step=step, step_type=step, execution=execution, key=key or execution,
            fingerprint=fingerprint or execution, seconds=1.25, produces=tuple(k.__name__ for k in kinds), inputs={},
        )  # fmt: skip
        self.store.record(manifest, kinds)

    def data(self, *, rows: int = 1000, mean: float = 10.0, values: Mapping[str, int] | None = None) -> Past:
        """Steps about rows."""
        columns = {self.name: "string", "miles": "double"}
        self.left(
            "from_csv",
            Examples,
            examples__json={"splits": {"train": {"rows": rows}}, "columns": columns, "rejected": 0},
        )
        proto = statistics(self.name, rows, mean, values or {"AA": rows * 3 // 4, self.name: rows // 4})
        self.left("generate_statistics", Statistics, **{"Split-train/FeatureStats__pb": proto.SerializeToString()})
        self.left("infer_schema", Schema, schema__pbtxt=schema(self.name, *(values or {"AA": 1, self.name: 1})))
        return self

    def validated(self, *found: str) -> Past:
        """With these anomalies."""
        entries = [
            {"split": "train", "column": self.name, "anomaly": a, "detail": self.name, "severity": "ERROR"}
            for a in found
        ]
        drift = [
            {
                "split": "train",
                "column": self.name,
                "measure": "infinity_norm",
                "kind": "drift",
                "value": 0.2,
                "threshold": 0.1,
            }
        ]
        facts = {"anomalies": entries, "drift": drift, "baseline": None, "notes": [], "passed": not found}
        self.left("validate", Anomalies, anomalies__json=facts)
        return self

    def model(
        self, *, auc: float = 0.71, units: int = 96, interval: float = 0.0, reasons: list[dict[str, Any]] = REQUIRED
    ) -> Past:
        """Steps that make and judge a model."""
        name = self.name
        features = {name: {"dtype": "int64", "shape": [1], "kind": "dense"}}
        self.left(
            "preprocess",
            TransformGraph,
            transform__json={
                "label": "late", "weight": None, "task": "binary", "classes": None, "class_count": 2,
                "class_counts": None, "vocabularies": {name: 2}, "categories": {name: [name]},
                "splits": {"train": {"rows": 1000}}, "features": features,
            },
        )  # fmt: skip
        best = {"units": units, name: name}
        trial = {
            "id": "0", "state": "completed", "score": auc, "seconds": 1.0, "hyperparameters": best,
            "metrics": {"val_auc": auc}, "reason": name,
        }  # fmt: skip
        trials = {
            "objective": "val_auc", "direction": "max", "algorithm": "random", "best": "0", "values": best,
            "notes": [name], "trials": [trial],
        }  # fmt: skip
        self.left("tune", HyperParameters, trials__json=trials)
        history = {"auc": [auc - 0.1, auc], "val_auc": [auc - 0.1, auc], "loss": [0.5, 0.4], "val_loss": [0.5, 0.4]}
        self.left(
            "train", Model, training__json={"history": history, "epochs": 2, "seconds": 3.0, "hyperparameters": best}
        )
        slices: list[dict[str, Any]] = [
            _slice({}, 1000, auc), _slice({name: name}, 200, auc - 0.05), _slice({name: "AA"}, 800, auc + 0.01),
        ]  # fmt: skip
        for one in slices:
            if interval:
                value = one["metrics"]["auc"]
                one["intervals"] = {"auc": [value - interval, value + interval]}
        metrics = {"slices": slices, "baseline": None, "task": "binary", "primary_metric": "auc"}
        blessed = all(r["ok"] for r in reasons)
        verdict = {"blessed": blessed, "baseline": None, "note": name, "reasons": reasons}
        self.left("evaluate", Evaluation, ModelBlessing, metrics__json=metrics, reasons__json=verdict)
        return self

    def served(self) -> Past:
        """A model that serves."""
        infra = {
            "blessed": True, "reasons": [], "endpoint": None, "load_seconds": 1.3,
            "latency_ms": {"p50": 2.0, "p95": 3.0, "p99": 4.0}, "memory_mb": 600.0, "requests": 100, "concurrency": 1,
            "rows": 100, "largest_difference": 1e-8, "compared_with": "model.keras",
        }  # fmt: skip
        self.left("infra_validate", InfraBlessing, infra__json=infra)
        return self

    def pushed(self, *, version: int | None = 3, reasons: tuple[str, ...] = ()) -> Past:
        """Pushed, or refused where there is no version."""
        there = version is not None
        facts = {
            "pushed": there, "version": version, "destination": f"serving/{version}" if there else None,
            "reasons": list(reasons),
        }  # fmt: skip
        self.left("push_to", PushedModel, pushed__json=facts)
        return self

    def scored(self) -> Past:
        """With predictions that lie where nobody may look."""
        facts = {
            "scored": True, "destination": "/nowhere", "format": "parquet", "files": ["a.parquet"], "rows": 336776,
            "failed": 2, "columns": {self.name: "string"}, "classes": None, "reasons": [], "id": "1",
        }  # fmt: skip
        self.left("bulk_infer", Predictions, predictions__json=facts)
        return self

    def failed(self, step: str, reason: str) -> PastRun:
        """The run, ended by an error."""
        self.store.record_failed(
            pipeline="flights", run=self.id, step_id=step, step_type=step, seconds=0.5, reason=reason
        )
        return self.ended("failed", reason=reason)

    def ended(self, state: str = "succeeded", *, reason: str = "") -> PastRun:
        """The run, read back."""
        self.store.end_run(self.id, state, {"seconds": 12.3, "reason": reason})
        stored = self.store.run(self.id)
        assert stored is not None
        return PastRun.of(self.store, stored)


def statistics(
    name: str, rows: int, mean: float, values: Mapping[str, int]
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """TFDV's statistics of a column of categories and one of numbers."""
    whole = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = whole.datasets.add(num_examples=rows)
    words = dataset.features.add(type=statistics_pb2.FeatureNameStatistics.STRING)
    words.path.step.append(name)
    words.string_stats.common_stats.num_non_missing = words.string_stats.common_stats.tot_num_values = rows
    words.string_stats.unique = len(values)
    for rank, (value, count) in enumerate(sorted(values.items(), key=lambda pair: -pair[1])):
        words.string_stats.rank_histogram.buckets.add(low_rank=rank, high_rank=rank, label=value, sample_count=count)
        words.string_stats.top_values.add(value=value, frequency=count)
    numbers = dataset.features.add(type=statistics_pb2.FeatureNameStatistics.FLOAT)
    numbers.path.step.append("miles")
    own = numbers.num_stats
    own.common_stats.num_non_missing = own.common_stats.tot_num_values = rows
    own.mean, own.std_dev, own.min, own.median, own.max = mean, 1.0, mean - 5, mean, mean + 5
    for kind in (statistics_pb2.Histogram.STANDARD, statistics_pb2.Histogram.QUANTILES):
        histogram = own.histograms.add(type=kind)
        for low in _edges(mean):
            histogram.buckets.add(low_value=low, high_value=low + 1, sample_count=rows / 10)
    return whole


def _edges(mean: float) -> Iterator[float]:
    return (mean - 5 + number for number in range(10))


def schema(name: str, *values: str) -> str:
    """TFDV's schema of these columns, as text."""
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    proto = schema_pb2.Schema()
    words = proto.feature.add(name=name, type=schema_pb2.BYTES, domain=name)
    words.presence.min_fraction = 1.0
    proto.string_domain.add(name=name, value=sorted(values))
    proto.feature.add(name="miles", type=schema_pb2.FLOAT).presence.min_fraction = 1.0
    return text_format.MessageToString(proto)


def _slice(columns: Mapping[str, str], rows: int, auc: float) -> dict[str, Any]:
    metrics = {"example_count": rows, "auc": auc, "loss": 1 - auc, "calibration": float("nan")}
    return {"slice": dict(columns), "metrics": metrics}
