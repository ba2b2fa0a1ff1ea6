"""Artifact types and what their folders hold.

An artifact is a typed view of the folder that one execution published. The small facts about it (splits, row counts,
verdicts) lie beside the data as JSON, so that they are read without TensorFlow, Beam or pyarrow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, SupportsIndex, TypeAlias, TypeVar

from fluent_pipe import mirror
from fluent_pipe.remote import joined


@dataclass(frozen=True)
class Artifact:
    """A published result.

    A subclass is a type of one's own, for what a component of one's own leaves; see :func:`fluent_pipe.component`.

    Parameters
    ----------
    path
        The folder that holds it: ``root/<pipeline>/<step>/<execution>``. Of a root on an object store, this machine's
        copy: all but the rows.
    fingerprint
        Hash of the folder's content.
    step
        Id of the step that made it.
    execution
        Name of the execution, the last part of ``path``.
    url
        Where it lies on an object store; empty for a local root. It then travels to other machines: what pickle makes
        of it there has a copy of their own.
    """

    path: Path
    fingerprint: str
    step: str
    execution: str = field(default="")
    url: str = field(default="")

    facts_file: ClassVar[str] = ""
    """Name of a JSON file in the folder, read by :meth:`facts`; empty for a type that has none."""
    facts_keys: ClassVar[tuple[str, ...]] = ()
    """What the facts hold at least."""
    holds: ClassVar[tuple[str, ...]] = ()
    """Patterns of files that the folder holds beside the facts; looked at after a component of the user's own."""
    copies: ClassVar[str] = ""
    """Files that say again what others say, as a glob; they do not count in the fingerprint."""
    fetched_later: ClassVar[tuple[str, ...]] = ()
    """Patterns of large files, read in parts: they are not fetched from an object store before they are asked for."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return (_arrive, (type(self), dict(self.__dict__))) if self.url else super().__reduce_ex__(protocol)

    def facts(self) -> Mapping[str, Any]:
        """The JSON facts of this artifact; empty for a type that has none."""
        if not self.facts_file:
            return {}
        facts: dict[str, Any] = json.loads((self.path / self.facts_file).read_text())
        return facts

    def summary(self) -> str:
        """A few words on what it holds; empty where the facts say nothing worth a line."""
        return ""


A = TypeVar("A", bound=Artifact)


def _arrive(kind: type[A], fields: dict[str, Any]) -> A:
    """An artifact that has travelled: with its path on this machine, and its small files there."""
    artifact = object.__new__(kind)
    artifact.__dict__.update(fields)
    if not mirror.is_complete(artifact.path):
        url, *parts = artifact.url.rsplit("/", 3)
        artifact.__dict__["path"] = mirror.home_of(url).joinpath(*parts)
        mirror.fetch(artifact.url, artifact.path)
    return artifact


class _Split(Artifact):
    fetched_later: ClassVar[tuple[str, ...]] = ("Split-*/*.parquet",)

    def split(self, name: str) -> Path:
        """Folder of one split; of a root on an object store, it holds rows only after :meth:`files`."""
        return self.path / f"Split-{name}"

    def files(self, split: str) -> list[Path]:
        """The Parquet files of one split, in order, on this machine."""
        return mirror.fetch_files(self.path, self.url, self._names(split))

    def addresses(self, split: str) -> list[str]:
        """Where a worker reads the Parquet files of one split, in order: paths, or URLs on an object store.

        :func:`fluent_pipe.mirror.nearby` gives, where it is read, the copy on that machine if there is one.
        """
        return [joined(self.url or str(self.path), name) for name in self._names(split)]

    def _names(self, split: str) -> list[str]:
        return mirror.row_files(self.path, self.url, f"Split-{split}", "*.parquet")


class Examples(_Split):
    """Typed rows: ``Split-<name>/*.parquet``, ``rejected/*.jsonl`` and ``examples.json``.

    With ``examples_format="tfrecord"``, ``Split-<name>/data_tfrecord-*.gz`` hold the rows as ``tf.Example``, laid out
    and named as TFX does, and the Parquet files lie in ``parquet/Split-<name>/``, since TFX reads all that is in a
    split's folder.

    ``examples.json`` holds ``{"splits": {name: {"rows": int}}, "columns": {name: arrow type}, "rejected": int}``, and
    after ``filter`` also ``"filtered": {name: rows that were dropped}``. Columns are flat (or lists, for multi-valued
    features); null is missing.
    """

    facts_file = "examples.json"
    facts_keys = ("splits", "columns", "rejected")
    holds = ("**/Split-*/*.parquet",)
    beside: ClassVar[str] = "parquet"
    copies: ClassVar[str] = "Split-*/data_tfrecord-*.gz"  # tfx-bsl writes features in any order

    fetched_later = ("Split-*/*.parquet", "parquet/Split-*/*.parquet", copies)

    def _names(self, split: str) -> list[str]:
        beside = mirror.row_files(self.path, self.url, f"{self.beside}/Split-{split}", "*.parquet")
        return beside or super()._names(split)

    def tfrecords(self, split: str) -> list[Path]:
        """The gzipped TFRecord files of one split, in order, on this machine; none where they were not asked for."""
        names = mirror.row_files(self.path, self.url, f"Split-{split}", "data_tfrecord-*.gz")
        return mirror.fetch_files(self.path, self.url, names)

    def summary(self) -> str:
        facts = self.facts()
        rows = ", ".join(f"{name} {split['rows']:,}" for name, split in facts["splits"].items())
        filtered = sum(facts.get("filtered", {}).values())
        less = {"rejected": facts["rejected"], "filtered out": filtered}
        return rows + "".join(f", {count:,} {what}" for what, count in less.items() if count)


class Statistics(_Split):
    """TFDV statistics: ``Split-<name>/FeatureStats.pb`` (a binary ``DatasetFeatureStatisticsList``)."""

    holds = ("Split-*/FeatureStats.pb",)


class Schema(Artifact):
    """A TFDV schema: ``schema.pbtxt``."""

    holds = ("schema.pbtxt",)


class Anomalies(_Split):
    """TFDV anomalies: ``Split-<name>/SchemaDiff.pb`` (a binary ``Anomalies``) and ``anomalies.json``.

    ``anomalies.json`` holds ``{"anomalies": [{"split", "column", "anomaly", "detail", "severity"}], "drift": [{"split",
    "column", "measure", "kind", "value", "threshold"}], "baseline": path or null, "notes": [str], "passed": bool}``.
    """

    facts_file = "anomalies.json"
    facts_keys = ("anomalies", "drift", "baseline", "notes", "passed")

    def summary(self) -> str:
        found = len(self.facts()["anomalies"])
        return f"{found} {'anomaly' if found == 1 else 'anomalies'}" if found else "no anomalies"


class TransformGraph(_Split):
    """A TFT graph and the rows it made: ``transform_fn/``, ``transformed_metadata/``, ``metadata/``, ``Split-<name>``.

    ``transform.json`` holds ``{"label": str | null, "weight": str | null, "task": "binary" | "multiclass" |
    "regression" | null, "classes": [..] | null, "class_count": int | null, "class_counts": {..} | null,
    "vocabularies": {feature: size}, "categories": {feature: [value by id]}, "splits": {name: {"rows": int}},
    "features": {name: {"dtype": str, "shape": [int], "kind": "dense" | "sparse" | "ragged"}}}``.
    """

    facts_file = "transform.json"
    facts_keys = ("label", "weight", "task", "splits", "features", "vocabularies")
    holds = ("transform_fn/saved_model.pb", "transformed_metadata/*", "metadata/*", "Split-*/*.parquet")

    def summary(self) -> str:
        return f"{len(self.facts()['features'])} features"


class HyperParameters(Artifact):
    """A search's best: ``best_hyperparameters.txt``, in KerasTuner's own format, and ``trials.json``.

    ``trials.json`` holds ``{"objective": str | null, "direction": "min" | "max" | null, "algorithm": str | null,
    "best": trial id | null, "values": {name: value}, "notes": [str], "trials": [{"id": str, "state": "completed" |
    "failed", "score": float | null, "seconds": float | null, "hyperparameters": {name: value}, "metrics": {name: float
    | null}, "reason": str}]}``; ``values`` are the best trial's, ``metrics`` those of its best epoch. A file that was
    given has no trials.
    """

    facts_file = "trials.json"
    facts_keys = ("values", "trials")
    holds = ("best_hyperparameters.txt",)

    @property
    def best(self) -> Path:
        """The best hyperparameters, as KerasTuner writes them."""
        return self.path / "best_hyperparameters.txt"

    def summary(self) -> str:
        facts = self.facts()
        if not facts["trials"]:
            return f"{len(facts['values'])} hyperparameters"
        failed = sum(trial["state"] == "failed" for trial in facts["trials"])
        best = next((t["score"] for t in facts["trials"] if t["id"] == facts["best"]), None)
        score = "" if best is None else f", best {facts['objective']} {best:.4g}"
        return f"{len(facts['trials'])} trials{score}" + (f", {failed} failed" if failed else "")


class BaseModel(Artifact):
    """A model that others begin from: ``model/`` and ``base_model.json``.

    ``base_model.json`` holds ``{"source": path, "format": "saved_model" | "keras", "file": name under model/ or ""}``.
    """

    facts_file = "base_model.json"
    facts_keys = ("source", "format", "file")
    holds = ("model/*",)

    @property
    def model(self) -> Path:
        """The SavedModel folder, or the ``.keras`` file."""
        return self.path / "model" / str(self.facts()["file"])

    def summary(self) -> str:
        return str(self.facts()["format"])


class Model(Artifact):
    """A trained model: ``Format-Serving/`` (SavedModel), ``model.keras``, ``logs/`` and ``training.json``.

    ``training.json`` holds ``{"history": {metric: [float per epoch]}, "epochs": int, "seconds": float}``, and where a
    warm start was asked for ``"warm_start": {"from": execution or folder | null, "mapped": {feature: {"kept": words,
    "new": words, "gone": words}}, "note": str}``. ``vocabularies.parquet`` tells what the ids of features mean.
    """

    facts_file = "training.json"
    facts_keys = ("history", "epochs", "seconds")
    holds = ("Format-Serving/saved_model.pb",)

    @property
    def serving(self) -> Path:
        """The SavedModel."""
        return self.path / "Format-Serving"

    def summary(self) -> str:
        facts = self.facts()
        began = ", warm start" if facts.get("warm_start", {}).get("from") else ""
        return f"{facts['epochs']} {'epoch' if facts['epochs'] == 1 else 'epochs'}{began}"


class Evaluation(Artifact):
    """TFMA's own files and ``metrics.json``.

    ``metrics.json`` holds ``{"slices": [{"slice": {column: value}, "metrics": {name: number}, "intervals": {name:
    [low, high]}, "baseline_metrics": {..}}], "baseline": path or null, "task": str, "primary_metric": str, "found":
    [{"slice", "rows", "loss", "loss_elsewhere", "difference", "interval", "effect_size", "p_value", "p_adjusted"}]}``;
    the overall slice comes first and has an empty ``slice``. ``intervals`` and ``baseline_metrics`` are there where
    they were asked for, ``found`` where slices were searched.

    ``curves.json`` holds what curves are drawn from, of the overall slice and the candidate: ``{"binary":
    {"thresholds", "tp", "fp", "tn", "fn"}, "calibration": {"prediction", "label", "weight"}, "classes": {"names",
    "counts"}}``. The first is there for a binary label: weighted counts, a list as long as ``thresholds``. These ascend
    from a little below 0, where every row is positive, to 1, where none is. The second for a binary label and for
    numbers: means of prediction and label, and weight, by bucket of the prediction, ascending; empty ones are left
    out. The third for a label of at most 100 classes, more than two: weighted counts by true class (row) and predicted
    class. TFMA's ``plots`` file holds the same in full. A key is left out where it was not computed.
    """

    facts_file = "metrics.json"
    facts_keys = ("slices", "baseline", "task", "primary_metric")

    def summary(self) -> str:
        slices = len(self.facts()["slices"])
        return f"{slices} {'slice' if slices == 1 else 'slices'}"


class ModelBlessing(Artifact):
    """The verdict of an evaluation: ``BLESSED`` or ``NOT_BLESSED``, and ``reasons.json``.

    ``reasons.json`` holds ``{"blessed": bool, "baseline": path or null, "note": str, "reasons": [{"metric", "slice",
    "got", "needed", "baseline", "change", "ok"}]}``, one entry a requirement and slice; ``needed`` is text, and a
    required slice without rows has the value null.
    """

    facts_file = "reasons.json"
    facts_keys = ("blessed", "note", "reasons")


class InfraBlessing(Artifact):
    """The verdict of a prediction server: ``INFRA_BLESSED`` or ``INFRA_NOT_BLESSED``, ``infra.json`` and the model.

    ``infra.json`` holds ``{"blessed": bool, "reasons": [str], "endpoint": url | null, "load_seconds": float | null,
    "latency_ms": {"p50", "p95", "p99"} | null, "memory_mb": float | null, "requests": int, "concurrency": int,
    "rows": int, "limits": {"load_seconds", "latency_ms", "memory_mb"}, "largest_difference": float | null,
    "compared_with": str | null}``; a limit that was not set is null, and that of the latency is for p95.
    ``Format-Serving/`` is the model that was served, with ``assets.extra/tf_serving_warmup_requests``; it is there
    where the model is blessed.
    """

    facts_file = "infra.json"
    facts_keys = ("blessed", "reasons", "latency_ms")
    holds = ("Format-Serving/saved_model.pb",)

    @property
    def serving(self) -> Path:
        """The SavedModel with its warm-up requests: what is pushed."""
        return self.path / "Format-Serving"

    def summary(self) -> str:
        facts = self.facts()
        if not facts["blessed"]:
            return "not infra-blessed"
        return f"p95 {facts['latency_ms']['p95']:.3g} ms" if facts["latency_ms"] else "infra-blessed"


class Approval(Artifact):
    """What a person decided: ``approval.json``.

    ``approval.json`` holds ``{"approved": bool, "by": str, "at": str, "note": str}``.
    """

    facts_file = "approval.json"
    facts_keys = ("approved", "by", "note")

    def summary(self) -> str:
        facts = self.facts()
        return f"{'approved' if facts['approved'] else 'rejected'} by {facts['by']}" if facts["by"] else facts["note"]


class PushedModel(Artifact):
    """Where a model was pushed: ``pushed.json``.

    ``pushed.json`` holds ``{"pushed": bool, "version": int | null, "destination": path or null, "reasons": [str]}``.
    """

    facts_file = "pushed.json"
    facts_keys = ("pushed", "version", "destination", "reasons")

    def summary(self) -> str:
        facts = self.facts()
        return f"version {facts['version']}" if facts["pushed"] else "refused"


class Predictions(Artifact):
    """Where predictions were written: ``predictions.json``.

    ``predictions.json`` holds ``{"scored": bool, "destination": path | null, "format": str, "files": [str], "rows":
    int, "failed": int, "columns": {name: arrow type}, "classes": [..] | null, "reasons": [str], "id": str}``;
    ``failed`` rows could not be read or scored. The same file lies in the destination as long as this holds what the
    destination holds.
    """

    facts_file = "predictions.json"
    facts_keys = ("scored", "destination", "rows", "failed", "reasons")

    def summary(self) -> str:
        facts = self.facts()
        if not facts["scored"]:
            return "not scored"
        return f"{facts['rows']:,} rows" + (f", {facts['failed']:,} failed" if facts["failed"] else "")


TYPES: Mapping[str, type[Artifact]] = {
    t.__name__: t
    for t in (
        Examples,
        Statistics,
        Schema,
        Anomalies,
        TransformGraph,
        HyperParameters,
        BaseModel,
        Model,
        Evaluation,
        ModelBlessing,
        InfraBlessing,
        Approval,
        PushedModel,
        Predictions,
    )
}


Folder: TypeAlias = Artifact | Path
"""A folder of results: an artifact, which finds its files on any machine, or a folder that the user named."""


def folder_of(given: Folder) -> Path:
    """The folder on this machine."""
    return given.path if isinstance(given, Artifact) else given


def address_of(given: Folder) -> str:
    """What to call it wherever this is read: its URL if it has one, else its path."""
    return given.url or str(given.path) if isinstance(given, Artifact) else str(given)
