"""Runs that never were: recorded as real ones are, with folders that hold the facts of made-up steps."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from fluent_pipe.artifacts import (
    Anomalies,
    Artifact,
    Evaluation,
    Examples,
    HyperParameters,
    InfraBlessing,
    Model,
    ModelBlessing,
    PushedModel,
    Schema,
    Statistics,
    TransformGraph,
)
from fluent_pipe.store.files import new_execution_name
from fluent_pipe.store.manifest import Manifest
from fluent_pipe.store.metadata import MetadataStore, StoredExecution

STEPS: Mapping[str, tuple[type[Artifact], ...]] = {
    "from_csv": (Examples,),
    "generate_statistics": (Statistics,),
    "infer_schema": (Schema,),
    "validate": (Anomalies,),
    "preprocess": (TransformGraph,),
    "tune": (HyperParameters,),
    "train": (Model,),
    "evaluate": (Evaluation, ModelBlessing),
    "infra_validate": (InfraBlessing,),
    "push_to": (PushedModel,),
}
INPUTS: Mapping[str, Sequence[str]] = {
    "generate_statistics": ["from_csv"],
    "infer_schema": ["generate_statistics"],
    "validate": ["generate_statistics", "infer_schema"],
    "preprocess": ["from_csv", "infer_schema"],
    "tune": ["preprocess"],
    "train": ["preprocess", "tune"],
    "evaluate": ["from_csv", "train"],
    "infra_validate": ["train", "from_csv"],
    "push_to": ["train", "evaluate", "infra_validate"],
}
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}{% raw %}",
    "' onmouseover='alert(1)",
    "bell\x07 null\x00 half a pair\ud800",
    "\u202egnp.exe \U0001f600",
    "x" * 300,
)


@dataclass
class Words:
    """What columns, values, metrics and reasons are called."""

    columns: Sequence[str] = ("carrier", "distance", "month")
    values: Sequence[str] = ("AA", "B6", "DL", "UA")
    metrics: Sequence[str] = ("auc", "binary_accuracy")
    reason: str = "auc of carrier=B6 is 0.61; needed: at least 0.65"


HOSTILE_WORDS = Words(HOSTILE, HOSTILE, ("auc", *HOSTILE[:4]), HOSTILE[0])


@dataclass
class MadeUp:
    """Writes runs of one pipeline into a store; ``kept`` are the executions that later runs take from the cache."""

    store: MetadataStore
    pipeline: str = "flights"
    words: Words = field(default_factory=Words)
    kept: dict[str, StoredExecution] = field(default_factory=dict)
    version: int = 0

    def run(
        self,
        run_id: str | None = None,
        *,
        auc: float = 0.7,
        state: str = "succeeded",
        again: Sequence[str] = tuple(STEPS),
        steps: Sequence[str] = tuple(STEPS),
        reason: str = "",
        started: datetime | None = None,
        seconds: float = 62.5,
        ended: bool = True,
    ) -> str:
        """One run: ``again`` are the steps that run although an earlier run did; the others come from the cache."""
        run_id = run_id or new_execution_name()
        self.store.begin_run(self.pipeline, run_id, {"expression": f"Pipeline({self.words.columns[0]!a})"})
        for step in steps:
            if step in self.kept and step not in again:
                self.store.record_cached(run_id, self.kept[step])
            else:
                self.kept[step] = self._execution(run_id, step, auc, pushed=state == "succeeded")
        if state == "failed":
            self.store.record_failed(
                pipeline=self.pipeline, run=run_id, step_id="train", step_type="train", seconds=1.0, reason=reason
            )
        folder = self.store.root / self.pipeline / "runs" / run_id
        (folder / "log.txt").write_text(f"made up\n{self.words.reason!a} {self.words.reason[:40]!r}\n" * 3)
        if ended:
            context = self.store.end_run(run_id, state, {"seconds": seconds, "reason": reason})
            if started is not None:
                context.properties["started"].double_value = started.timestamp()
                context.properties["finished"].double_value = started.timestamp() + seconds
                self.store._database.call("put_contexts", [context])
        return run_id

    def _execution(self, run_id: str, step: str, auc: float, *, pushed: bool) -> StoredExecution:
        name = new_execution_name()
        folder = self.store.root / self.pipeline / step / name
        folder.mkdir(parents=True)
        self._fill(folder, step, auc, pushed=pushed)
        inputs = {s: self.kept[s].artifacts[0] for s in INPUTS.get(step, ()) if s in self.kept}
        if step == "push_to" and "evaluate" in self.kept:
            inputs["blessing"] = self.kept["evaluate"].artifacts[1]
        manifest = Manifest(
            pipeline=self.pipeline, run=run_id, step=step, step_type=step, execution=name, key=f"key of {name}",
            fingerprint=f"content of {name}", seconds=1.5, produces=tuple(k.__name__ for k in STEPS[step]),
            inputs=self.store.read_by(inputs), properties={},
        )  # fmt: skip
        return self.store.record(manifest, STEPS[step])

    def _fill(self, folder: Path, step: str, auc: float, *, pushed: bool) -> None:
        for kind in STEPS[step]:
            facts = getattr(self, f"_{kind.__name__.lower()}", lambda auc, pushed: None)(auc, pushed)
            if facts is not None:
                (folder / kind.facts_file).write_text(json.dumps(facts))
        if step == "generate_statistics":
            self._write_statistics(folder)
        if step == "infer_schema":
            self._write_schema(folder)
        if step == "preprocess":
            (folder / "metadata").mkdir()
            self._write_schema(folder / "metadata")
        if step == "evaluate":
            (folder / "curves.json").write_text(json.dumps(_curves()))

    def _examples(self, auc: float, pushed: bool) -> dict[str, Any]:
        splits = {"train": {"rows": 8000}, "eval": {"rows": 2000}}
        return {"splits": splits, "columns": dict.fromkeys(self.words.columns, "string"), "rejected": 0}

    def _anomalies(self, auc: float, pushed: bool) -> dict[str, Any]:
        column = self.words.columns[0]
        found = {"split": "eval", "column": column, "anomaly": "New values", "detail": self.words.reason}
        drift = {"split": "train", "column": column, "measure": "jensen_shannon", "kind": "drift"}
        return {
            "anomalies": [found | {"severity": "ERROR"}],
            "drift": [drift | {"value": 0.02 + (1 - auc) / 10, "threshold": 0.1}],
            "baseline": None, "notes": [self.words.reason], "passed": True,
        }  # fmt: skip

    def _transformgraph(self, auc: float, pushed: bool) -> dict[str, Any]:
        features = {n: {"dtype": "float32", "shape": [1], "kind": "dense"} for n in self.words.columns}
        return {
            "label": self.words.columns[-1], "weight": None, "task": "binary", "classes": None, "class_count": 2,
            "class_counts": [8000, 2000], "vocabularies": {self.words.columns[0]: 16}, "categories": {},
            "splits": {"train": {"rows": 8000}, "eval": {"rows": 2000}}, "features": features,
        }  # fmt: skip

    def _hyperparameters(self, auc: float, pushed: bool) -> dict[str, Any]:
        trials = [
            {
                "id": str(i), "state": "completed", "score": auc - 0.01 * i, "seconds": 3.0 + i, "reason": "",
                "hyperparameters": {"units": 32 * (i + 1), self.words.columns[0]: self.words.values[i]},
                "metrics": {"val_auc": auc - 0.01 * i},
            }
            for i in range(3)
        ]  # fmt: skip
        values = {"units": int(auc * 100), self.words.columns[0]: self.words.values[0]}
        return {
            "objective": "val_auc", "direction": "max", "algorithm": "random", "best": "0", "values": values,
            "notes": [], "trials": trials,
        }  # fmt: skip

    def _model(self, auc: float, pushed: bool) -> dict[str, Any]:
        history = {"loss": [0.7, 0.6], "val_auc": [auc - 0.02, auc]}
        return {
            "history": history, "epochs": 2, "seconds": 9.5, "export_seconds": 2.0, "parameters": 9000,
            "hyperparameters": {"units": int(auc * 100)}, "features": list(self.words.columns),
        }  # fmt: skip

    def _evaluation(self, auc: float, pushed: bool) -> dict[str, Any]:
        def metrics(count: int, value: float) -> dict[str, float]:
            return {"example_count": count, **{m: value - 0.03 * i for i, m in enumerate(self.words.metrics)}}

        cuts = [({}, 2000, auc)]
        cuts += [({self.words.columns[0]: v}, 500 - i, auc - 0.01 * i) for i, v in enumerate(self.words.values)]
        slices = [{"slice": where, "metrics": metrics(count, value)} for where, count, value in cuts]
        return {"slices": slices, "baseline": None, "task": "binary", "primary_metric": self.words.metrics[0]}

    def _modelblessing(self, auc: float, pushed: bool) -> dict[str, Any]:
        reason = {"metric": self.words.metrics[0], "slice": {self.words.columns[0]: self.words.values[0]}, "got": auc}
        reason |= {"needed": "at least 0.65", "baseline": None, "change": None, "ok": pushed}
        return {"blessed": pushed, "baseline": None, "note": self.words.reason, "reasons": [reason]}

    def _infrablessing(self, auc: float, pushed: bool) -> dict[str, Any]:
        return {
            "blessed": True, "reasons": [], "endpoint": None, "requests": 100, "concurrency": 1, "load_seconds": 1.3,
            "latency_ms": {"p50": 2.2, "p95": 3.1, "p99": 4.3}, "memory_mb": 614.2, "rows": 100,
            "largest_difference": 8.8e-08, "compared_with": "model.keras",
        }  # fmt: skip

    def _pushedmodel(self, auc: float, pushed: bool) -> dict[str, Any]:
        if not pushed:
            return {"pushed": False, "version": None, "destination": None, "reasons": [self.words.reason]}
        self.version += 1
        return {"pushed": True, "version": self.version, "destination": f"serving/{self.version}", "reasons": []}

    def _write_statistics(self, folder: Path) -> None:
        from tensorflow_metadata.proto.v0 import statistics_pb2

        for split, rows in (("train", 8000), ("eval", 2000)):
            data = statistics_pb2.DatasetFeatureStatisticsList()
            found = data.datasets.add(num_examples=rows, name=split)
            for number, column in enumerate(self.words.columns):
                feature = found.features.add(type=0 if number % 2 else 2)
                feature.path.step.append(_writable(column))
                stats = feature.num_stats if number % 2 else feature.string_stats
                stats.common_stats.num_non_missing = rows - 10
                stats.common_stats.num_missing = 10
                if number % 2:
                    stats.mean, stats.std_dev, stats.min, stats.median, stats.max = 50, 10, 0, 48, 100
                    histogram = stats.histograms.add(type=0)
                    for i in range(10):
                        histogram.buckets.add(low_value=i * 10, high_value=i * 10 + 10, sample_count=rows / 10 + i)
                else:
                    stats.unique = len(self.words.values)
                    for rank, value in enumerate(self.words.values):
                        count = rows / (rank + 2)
                        stats.rank_histogram.buckets.add(label=_writable(value), sample_count=count)
                        stats.top_values.add(value=_writable(value), frequency=count)
            (folder / f"Split-{split}").mkdir()
            (folder / f"Split-{split}" / "FeatureStats.pb").write_bytes(data.SerializeToString())

    def _write_schema(self, folder: Path) -> None:
        from google.protobuf import text_format
        from tensorflow_metadata.proto.v0 import schema_pb2

        schema = schema_pb2.Schema()
        for number, column in enumerate(self.words.columns):
            feature = schema.feature.add(name=_writable(column), type=2 if number % 2 else 1)
            feature.presence.min_fraction = 1.0
            if number == 0:
                feature.domain = _writable(column)
                schema.string_domain.add(name=_writable(column), value=[_writable(v) for v in self.words.values])
        (folder / "schema.pbtxt").write_text(text_format.MessageToString(schema), encoding="utf-8")


def _curves() -> dict[str, Any]:
    """Of a model that tells well, on a thousand rows of either class."""
    thresholds = [i / 20 for i in range(21)]
    binary = {
        "thresholds": thresholds,
        "tp": [1000 * (1 - t**3) for t in thresholds],
        "fp": [1000 * (1 - t) ** 3 for t in thresholds],
    }
    binary |= {"fn": [1000 - n for n in binary["tp"]], "tn": [1000 - n for n in binary["fp"]]}
    middles = [i / 10 + 0.05 for i in range(10)]
    calibration = {"prediction": middles, "label": [m**1.2 for m in middles], "weight": [200.0] * 10}
    return {"binary": binary, "calibration": calibration}


def _writable(text: str) -> str:
    """A proto holds no half of a surrogate pair."""
    return text.encode("utf-8", "replace").decode()


def progress_file(store: MetadataStore, pipeline: str, run_id: str) -> Path:
    """Where a run under way says how far it is."""
    return store.root / pipeline / "runs" / run_id / "progress.json"


def wait_until(condition: Any, seconds: float = 10.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)
