"""What evaluate() leaves: TFMA's numbers, TFMA's files, a verdict and its reasons."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io
from tfx_bsl.tfxio import tensor_adapter, tensor_representation_util

from fluent_pipe.arrow.tfx import to_tfx
from fluent_pipe.artifacts import Examples, Model, Schema, TransformGraph
from fluent_pipe.components.base import Context
from fluent_pipe.components.evaluate import Evaluate
from fluent_pipe.components.inputs import ExamplesInput, Input, SchemaInput, TransformGraphInput
from fluent_pipe.errors import EvaluationError
from fluent_pipe.runners.direct import Direct
from fluent_pipe.steps.base import Ref
from fluent_pipe.steps.limits import ChangeLimit, ValueLimit, at_least, at_most, change_at_least, change_at_most
from fluent_pipe.steps.model import Evaluate as EvaluateStep

ROWS = 400
TYPES = {
    "carrier": schema_pb2.BYTES, "hour": schema_pb2.INT, "distance": schema_pb2.FLOAT, "importance": schema_pb2.FLOAT,
    "late": schema_pb2.INT, "kind": schema_pb2.INT, "delay": schema_pb2.FLOAT,
}  # fmt: skip
OUTPUTS = ("late", "kind", "delay", "weight", "far")
FEATURES = {name: {"dtype": "float32", "shape": [], "kind": "dense"} for name in OUTPUTS}


def flights() -> pa.RecordBatch:
    """Flights with missing values; two batches of them, the second without any carrier that is missing."""
    random = np.random.default_rng(7)
    hour = random.integers(0, 24, ROWS)
    distance = random.gamma(2.0, 400.0, ROWS).astype(np.float32)
    score = 0.12 * hour - 1.6 + random.normal(0, 1, ROWS)
    carrier = random.choice(["AA", "DL", "UA", "Ünité"], ROWS).tolist()
    return pa.RecordBatch.from_pydict(
        {
            "carrier": pa.array([None if i % 29 == 0 else c for i, c in enumerate(carrier)]),
            "hour": pa.array(hour),
            "distance": pa.array([None if i % 31 == 0 else d for i, d in enumerate(distance.tolist())], pa.float64()),
            "importance": pa.array(random.choice([0.5, 1.0, 3.0], ROWS)),
            "late": pa.array((score > 0).astype(np.int64)),
            "kind": pa.array(np.clip(np.round(score + 1), 0, 2).astype(np.int64)),
            "delay": pa.array(10 * score),
        }
    )


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    """Three labels, a weight that is not the raw column, and a feature to slice by."""
    distance = tf.sparse.to_dense(inputs["distance"], default_value=0.0)
    far = tft.bucketize(tf.squeeze(distance, axis=1), 2)
    weight = 2.0 * inputs["importance"]
    return {
        "late": inputs["late"], "kind": inputs["kind"], "delay": inputs["delay"], "weight": weight, "far": far,
    }  # fmt: skip


def raw_schema() -> schema_pb2.Schema:
    schema = schema_pb2.Schema()
    for name, kind in TYPES.items():
        feature = schema.feature.add(name=name, type=kind)
        if name not in ("carrier", "distance"):
            feature.presence.min_fraction = 1.0
            feature.shape.SetInParent()
    return schema


def write_graph(folder: Path, batch: pa.RecordBatch) -> None:
    schema = raw_schema()
    columns = to_tfx(batch)
    narrow = [c.cast(pa.list_(pa.float32())) if pa.types.is_float64(c.type.value_type) else c for c in columns.columns]
    columns = pa.RecordBatch.from_arrays(narrow, names=columns.schema.names)
    representations = tensor_representation_util.InferTensorRepresentationsFromMixedSchema(schema)
    config = tensor_adapter.TensorAdapterConfig(columns.schema, representations)

    def build(pipeline: beam.Pipeline) -> None:
        rows = pipeline | beam.Create([columns])
        graph = (rows, config) | tft_beam.AnalyzeDataset(preprocessing_fn)
        _ = graph | tft_beam.WriteTransformFn(str(folder))

    with tft_beam.Context(temp_dir=str(folder.parent / "temporary")):
        Direct().run(build)
    metadata_io.write_metadata(dataset_metadata.DatasetMetadata(schema), str(folder / "metadata"))


class Served(tf.Module):
    """A model on raw columns: late flights are those at a late hour."""

    def __init__(self, task: str, *, skill: float, nan_at_hour: int = -1) -> None:
        super().__init__()
        self.task, self.nan_at_hour = task, nan_at_hour
        self.skill = tf.Variable(skill)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int64, name="hour"),
            tf.TensorSpec([None], tf.float32, name="distance"),
        ]
    )
    def serving_raw(self, hour: tf.Tensor, distance: tf.Tensor) -> dict[str, tf.Tensor]:
        known = tf.where(tf.math.is_nan(distance), 0.0, distance)
        score = self.skill * (0.12 * tf.cast(hour, tf.float32) - 1.6) + 0.0005 * known
        score = tf.where(hour == self.nan_at_hour, float("nan"), score)
        if self.task == "binary":
            return {"predictions": tf.sigmoid(score)[:, None]}
        if self.task == "regression":
            return {"predictions": 10 * score[:, None]}
        return {"predictions": tf.nn.softmax(tf.stack([-score, tf.zeros_like(score), score - 1], axis=1))}


@dataclass(frozen=True)
class Material:
    """Artifacts of a run up to training."""

    folder: Path
    batch: pa.RecordBatch

    def model(self, task: str, *, skill: float = 1.0, nan_at_hour: int = -1) -> Path:
        folder = self.folder / f"model-{task}-{skill}-{nan_at_hour}"
        if not folder.exists():
            served = Served(task, skill=skill, nan_at_hour=nan_at_hour)
            tf.saved_model.save(served, str(folder / "Format-Serving"), {"serving_raw": served.serving_raw})
        return folder

    def graph(self, label: str, task: str, *, weight: str | None) -> Path:
        folder = self.folder / f"graph-{label}-{weight}"
        if not folder.exists():
            folder.mkdir()
            for part in ("transform_fn", "transformed_metadata", "metadata", "Split-eval"):
                (folder / part).symlink_to(self.folder / "graph" / part)
            facts = {"label": label, "weight": weight, "task": task, "features": FEATURES}
            (folder / "transform.json").write_text(json.dumps(facts))
        return folder


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("material")
    batch = flights()
    write_graph(folder / "graph", batch)
    transformed = folder / "graph" / "Split-eval"
    transformed.mkdir()
    pq.write_table(pa.table({"delay": batch.column("delay").cast(pa.float32())}), transformed / "a.parquet")
    split = folder / "examples" / "Split-eval"
    split.mkdir(parents=True)
    for name, part in (("a", batch.slice(0, 150)), ("b", batch.slice(150))):
        pq.write_table(pa.Table.from_batches([part]), split / f"{name}.parquet")
    empty = folder / "examples" / "Split-empty"
    empty.mkdir()
    pq.write_table(pa.Table.from_batches([batch.slice(0, 0)]), empty / "a.parquet")
    facts = {"splits": {"eval": {"rows": ROWS}}, "columns": {f.name: str(f.type) for f in batch.schema}, "rejected": 0}
    (folder / "examples" / "examples.json").write_text(json.dumps(facts))
    (folder / "schema").mkdir()
    return Material(folder, batch)


LABELS = {"binary": "late", "multiclass": "kind", "regression": "delay"}


@dataclass
class Judged:
    """What an evaluation left."""

    folder: Path
    facts: dict[str, Any]
    verdict: dict[str, Any]

    def metrics(self, of: str = "metrics", **where: Any) -> dict[str, Any]:
        """Metrics of one slice; overall without columns."""
        return next(s[of] for s in self.facts["slices"] if s["slice"] == where)


def evaluate(
    material: Material,
    folder: Path,
    *,
    task: str = "binary",
    model: Path | None = None,
    baseline: Path | None = None,
    weight: str | None = "weight",
    split: str = "eval",
    **asked: Any,
) -> Judged:
    folder.mkdir(parents=True)
    step = EvaluateStep(
        id="evaluate", model=Ref("train", Model), graph=Ref("preprocess", TransformGraph),
        examples=Ref("from_csv", Examples), schema=Ref("infer_schema", Schema), split=split, **asked,
    )  # fmt: skip
    graph = TransformGraph(material.graph(LABELS[task], task, weight=weight), "", "preprocess")
    context = Context(step="evaluate", staging=str(folder))
    component = Evaluate(
        step,
        context,
        Input("model", artifact=Model(model or material.model(task), "", "train")),
        TransformGraphInput("graph", artifact=graph),
        ExamplesInput("examples", artifact=Examples(material.folder / "examples", "", "from_csv")),
        SchemaInput("schema", artifact=Schema(material.folder / "schema", "", "infer_schema")),
        baseline,
    )
    try:
        Direct().run(lambda pipeline: pipeline | "evaluate" >> component)
    except Exception:
        failure = context.kept_failure()
        if failure is not None:
            raise failure from None
        raise
    return Judged(
        folder, json.loads((folder / "metrics.json").read_text()), json.loads((folder / "reasons.json").read_text())
    )


def stock(
    material: Material, task: str, names: list[str], columns: list[list[str]], *, weighted: bool
) -> dict[Any, Any]:
    """The same metrics by TFMA alone, from a table of labels, weights and predictions."""
    frame = material.batch.to_pandas()
    served = Served(task, skill=1.0)
    predictions = served.serving_raw(tf.constant(frame["hour"]), tf.constant(frame["distance"].astype(np.float32)))[
        "predictions"
    ].numpy()
    frame["prediction"] = list(predictions) if task == "multiclass" else predictions[:, 0]
    frame["label"] = frame[LABELS[task]].astype(np.float32 if task == "regression" else np.int64)
    frame["weight"] = (2.0 * frame["importance"]).astype(np.float32)
    frame["far"] = (frame["distance"].fillna(0.0).astype(np.float32) >= far_boundary(material)).astype(np.int64)
    config = tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(label_key="label", prediction_key="prediction", example_weight_key="weight" * weighted)
        ],
        metrics_specs=[tfma.MetricsSpec(metrics=[tfma.MetricConfig(class_name=n) for n in names])],
        slicing_specs=[tfma.SlicingSpec(feature_keys=c) for c in columns],
    )
    found = tfma.analyze_raw_data(frame, config)
    return {
        tuple(sorted(key)): {n: v.get("doubleValue") for n, v in metrics[""][""].items()}
        for key, metrics in found.slicing_metrics
    }


def far_boundary(material: Material) -> float:
    output = tft.TFTransformOutput(str(material.folder / "graph"))
    distance = np.asarray(material.batch.column("distance").fill_null(0.0), np.float32)
    layer = output.transform_features_layer()
    raw = {
        "distance": tf.sparse.from_dense(distance[:, None]),
        "carrier": tf.sparse.SparseTensor(np.zeros((0, 2), np.int64), np.zeros(0, str), [ROWS, 1]),
        **{n: tf.constant(material.batch.column(n).to_numpy(), tf.int64) for n in ("hour", "late", "kind")},
        **{n: tf.constant(material.batch.column(n).to_numpy(), tf.float32) for n in ("importance", "delay")},
    }
    far = layer(raw)["far"].numpy()
    return float(distance[far == 1].min())


CASES = {
    "binary": ["AUC", "AUCPrecisionRecall", "BinaryAccuracy", "Precision", "MeanLabel", "Calibration"],
    "multiclass": ["SparseCategoricalAccuracy", "SparseCategoricalCrossentropy"],
    "regression": ["MeanSquaredError", "RootMeanSquaredError", "MeanAbsoluteError", "SquaredPearsonCorrelation"],
}


@pytest.mark.parametrize("task", CASES)
def test_numbers_are_those_of_tfma(material: Material, tmp_path: Path, task: str) -> None:
    slices = (("carrier",), ("far",), ("far", "carrier"))
    judged = evaluate(material, tmp_path / "out", task=task, metrics=tuple(CASES[task]), slices=slices)
    expected = stock(material, task, CASES[task], [[], *map(list, slices)], weighted=True)
    got = {tuple(sorted(s["slice"].items())): s["metrics"] for s in judged.facts["slices"]}
    assert set(got) == set(expected)
    for key, numbers in expected.items():
        for name, number in numbers.items():
            same = pytest.approx(number, rel=1e-5, abs=1e-7) if np.isfinite(number) else None
            assert got[key][name] == same, (key, name)


def test_defaults_by_task_without_weights(material: Material, tmp_path: Path) -> None:
    primaries = {}
    for task in CASES:
        judged = evaluate(material, tmp_path / task, task=task, weight=None)
        primaries[task] = judged.facts["primary_metric"]
        assert judged.metrics()["example_count"] == ROWS
        assert "weighted_example_count" not in judged.metrics()
        assert judged.verdict["blessed"]
        assert judged.verdict["note"].startswith("Nothing was required")
    assert primaries == {
        "binary": "auc", "multiclass": "sparse_categorical_accuracy", "regression": "root_mean_squared_error",
    }  # fmt: skip
    expected = stock(material, "regression", ["RootMeanSquaredError"], [[]], weighted=False)
    assert judged.metrics()["root_mean_squared_error"] == pytest.approx(expected[()]["root_mean_squared_error"])


CURVES = {"binary": {"binary", "calibration"}, "multiclass": {"classes"}, "regression": {"calibration"}}


@pytest.mark.parametrize("task", CURVES)
def test_curves_are_those_of_the_whole_split(material: Material, tmp_path: Path, task: str) -> None:
    judged = evaluate(material, tmp_path / "out", task=task, slices=(("carrier",),))
    drawn = json.loads((judged.folder / "curves.json").read_text())
    assert set(drawn) == CURVES[task]
    counted = drawn["classes"]["counts"] if task == "multiclass" else drawn["calibration"]["weight"]
    assert np.sum(counted) == pytest.approx(2 * material.batch.column("importance").to_numpy().sum(), rel=1e-4)
    if task == "regression":
        assert len(counted) > 100, "the range is not that of the labels"
    plots = {len(p.slice_key.single_slice_keys): p for p in tfma.load_plots(str(judged.folder))}
    assert plots[0].plot_keys_and_values
    assert not plots[1].plot_keys_and_values
    config = tfma.load_eval_result(str(judged.folder)).config
    assert any(m.class_name.endswith("Plot") for s in config.metrics_specs for m in s.metrics)


def test_curves_are_of_the_candidate(compared: Judged) -> None:
    drawn = json.loads((compared.folder / "curves.json").read_text())["calibration"]
    mean = np.average(drawn["prediction"], weights=drawn["weight"])
    assert mean == pytest.approx(compared.metrics()["mean_prediction"], rel=1e-4)
    assert mean != pytest.approx(compared.metrics("baseline_metrics")["mean_prediction"], rel=1e-2)


@pytest.fixture(scope="module")
def compared(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """A candidate that is worse than the baseline in accuracy, with limits that hold and limits that do not."""
    return evaluate(
        material,
        tmp_path_factory.mktemp("compared") / "out",
        model=material.model("binary", skill=0.4),
        baseline=material.model("binary", skill=1.0),
        metrics=("auc", "mean_prediction"),
        slices=(("carrier",),),
        require=(
            ("AUC", (at_least(0.5), at_most(0.6), at_least(0.4, slices="carrier"))),
            ("binary_accuracy", (change_at_least(-0.9), change_at_least(0.001), change_at_most(0.5, relative=True))),
        ),
    )


def test_files_are_those_of_tfma(compared: Judged) -> None:
    result = tfma.load_eval_result(str(compared.folder), model_name="candidate")
    overall = next(m for key, m in result.slicing_metrics if key == ())[""][""]
    assert overall["auc"]["doubleValue"] == pytest.approx(compared.metrics()["auc"])
    before = tfma.load_eval_result(str(compared.folder), model_name="baseline")
    assert "Format-Serving" in before.model_location
    assert {s.name for s in result.config.model_specs} == {"candidate", "baseline"}


def test_verdict_is_that_of_tfma(compared: Judged) -> None:
    validation = tfma.load_validation_result(str(compared.folder))
    assert not validation.validation_ok
    assert not compared.verdict["blessed"]
    assert (compared.folder / "NOT_BLESSED").exists()
    assert not (compared.folder / "BLESSED").exists()
    failed = [
        (failure.metric_key.name, tuple(k.bytes_value.decode() for k in found.slice_key.single_slice_keys))
        for found in validation.metric_validations_per_slice
        for failure in found.failures
    ]
    ours = [(r["metric"], tuple(r["slice"].values())) for r in compared.verdict["reasons"] if not r["ok"]]
    assert sorted(ours) == sorted(failed)
    assert sorted(ours) == [("auc", ()), ("binary_accuracy", ())]


def test_every_requirement_and_slice_has_a_reason(compared: Judged) -> None:
    by_carrier = [r for r in compared.verdict["reasons"] if r["slice"]]
    assert [r["slice"]["carrier"] for r in by_carrier] == ["AA", "DL", "UA", "Ünité"]
    assert all(r["ok"] and r["needed"] == "at least 0.4" for r in by_carrier)
    change = next(r for r in compared.verdict["reasons"] if r["needed"] == "a change of at least 0.001")
    assert change["change"] == pytest.approx(change["got"] - change["baseline"])
    assert change["baseline"] == pytest.approx(compared.metrics("baseline_metrics")["binary_accuracy"])


def test_first_run_has_no_baseline_and_says_so(material: Material, tmp_path: Path) -> None:
    judged = evaluate(
        material, tmp_path / "out", metrics=("auc",), require=(("auc", (change_at_least(0.5), at_least(0.6))),)
    )
    assert judged.verdict["blessed"]
    assert judged.verdict["baseline"] is None
    assert judged.verdict["note"].startswith("There is no earlier blessed model to compare with")
    assert (judged.folder / "BLESSED").exists()
    result = tfma.load_eval_result(str(judged.folder))
    assert result.slicing_metrics[0][1][""][""]["auc"]["doubleValue"] == pytest.approx(judged.metrics()["auc"])
    assert tfma.load_validation_result(str(judged.folder)).validation_ok


def test_bounds_are_inclusive_and_a_model_equals_itself(material: Material, tmp_path: Path) -> None:
    model = material.model("binary")
    accuracy = evaluate(material, tmp_path / "first", metrics=("binary_accuracy",)).metrics()["binary_accuracy"]
    exact = ValueLimit(at_least=accuracy, at_most=accuracy)
    same = (ChangeLimit(at_least=0.0, at_most=0.0), ChangeLimit(at_least=0.0, at_most=0.0, relative=True))
    judged = evaluate(
        material, tmp_path / "second", metrics=("binary_accuracy",), model=model, baseline=model,
        require=(("binary_accuracy", (exact, *same)),),
    )  # fmt: skip
    assert judged.verdict["blessed"]
    assert tfma.load_validation_result(str(judged.folder)).validation_ok


def test_a_required_slice_without_rows_fails(material: Material, tmp_path: Path) -> None:
    batch = material.batch
    folder = tmp_path / "material"
    split = folder / "examples" / "Split-eval"
    split.mkdir(parents=True)
    table = pa.Table.from_batches([batch]).append_column("gate", pa.nulls(ROWS, pa.string()))
    pq.write_table(table, split / "a.parquet")
    facts = {"columns": {f.name: str(f.type) for f in table.schema}}
    (folder / "examples" / "examples.json").write_text(json.dumps(facts))
    (folder / "graph").symlink_to(material.folder / "graph")
    judged = evaluate(
        replace(material, folder=folder), tmp_path / "out", metrics=("auc",),
        require=(("auc", (at_least(0.1, slices="gate"),)),),
    )  # fmt: skip
    assert not judged.verdict["blessed"]
    assert judged.verdict["reasons"][0]["slice"] == {"gate": None}
    assert not tfma.load_validation_result(str(judged.folder)).validation_ok


def test_predictions_that_are_not_numbers(material: Material, tmp_path: Path) -> None:
    bad = int((material.batch.column("hour").to_numpy() == 3).sum())
    with pytest.raises(EvaluationError, match=f"model's prediction is not a number .* in {bad} of {ROWS} rows"):
        evaluate(material, tmp_path / "out", model=material.model("binary", nan_at_hour=3))


def test_a_split_without_rows(material: Material, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="Split 'empty' has no rows"):
        evaluate(material, tmp_path / "out", split="empty")


def test_predictions_of_another_shape(material: Material, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"shape \[\d+, 3\] for \d+ rows; a regression label needs \[rows, 1\]"):
        evaluate(material, tmp_path / "out", task="regression", model=material.model("multiclass"))
    with pytest.raises(EvaluationError, match="End the model with a sigmoid"):
        evaluate(material, tmp_path / "logits", task="binary", model=material.model("regression"))


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"slices": (("carier",),)}, r"Slice column 'carier' .* Did you mean 'carrier'\?"),
        ({"metrics": ("Acu",)}, r"There is no metric 'Acu'.*Did you mean 'auc'\?"),
        ({"metrics": ("root_mean_squared_error",)}, "does not fit a binary label"),
        ({"require": (("aux", (at_least(1),)),)}, "There is no metric 'aux'"),
    ],
)
def test_what_cannot_be_evaluated_is_said_before_anything_runs(
    material: Material, tmp_path: Path, asked: dict[str, Any], text: str
) -> None:
    with pytest.raises(EvaluationError, match=text):
        evaluate(material, tmp_path / "out", **asked)
    assert [p.name for p in (tmp_path / "out").iterdir()] == [".failure.pickle"]


def test_a_baseline_that_is_no_model(material: Material, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no SavedModel to compare with"):
        evaluate(material, tmp_path / "out", baseline=tmp_path)
