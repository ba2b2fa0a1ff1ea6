"""``preprocess`` with a user's function: what it leaves, and what it says when it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata

from fluent_pipe.artifacts import Examples, Schema, TransformGraph
from fluent_pipe.components.inputs import SchemaInput
from fluent_pipe.components.label_analysis import Label, LabelSummary, Roles, label_facts
from fluent_pipe.components.preprocess import Preprocess
from fluent_pipe.errors import FluentPipeError, InputError, TrainingError, UserCodeError
from fluent_pipe.results import TransformResult
from fluent_pipe.steps.base import Ref
from fluent_pipe.steps.functions import UserFunction
from fluent_pipe.steps.model import Preprocess as PreprocessStep
from tests import beam_jobs

SCHEMA = """
feature { name: "carrier" type: BYTES presence { min_fraction: 1 min_count: 1 } shape { dim { size: 1 } } }
feature { name: "distance" type: INT presence { min_fraction: 1 min_count: 1 } shape { dim { size: 1 } } }
feature { name: "delay" type: FLOAT presence { min_count: 1 } value_count { min: 1 max: 1 } }
feature { name: "stops" type: BYTES presence { min_count: 1 } value_count { min: 1 max: 3 } }
feature { name: "nothing" type: FLOAT presence { min_count: 0 } value_count { min: 1 max: 1 } }
feature { name: "old" type: INT lifecycle_stage: DEPRECATED }
"""


def table(rows: int, seed: int) -> pa.Table:
    """Flights; one in ten has no delay, some have no stops, one column is not in the schema."""
    random = np.random.default_rng(seed)
    delay = [None if random.random() < 0.1 else float(random.integers(-30, 90)) for _ in range(rows)]
    stops = [None if i % 7 == 0 else ["ORD", "DEN"][: 1 + i % 2] for i in range(rows)]
    return pa.table(
        {
            "carrier": random.choice(["AA", "UA", "DL"], rows).tolist(),
            "distance": random.integers(100, 3000, rows).tolist(),
            "delay": pa.array(delay, pa.float64()),
            "stops": pa.array(stops, pa.list_(pa.string())),
            "nothing": pa.nulls(rows),
            "old": [1] * rows,
            "unknown to the schema": ["x"] * rows,
        }
    )


SPLITS = {"train": table(1000, seed=1), "eval": table(200, seed=2)}


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    """A vocabulary, a z-score of a z-score (two phases), a sparse feature, a label and the weight that goes with it."""
    rows = tf.shape(inputs["carrier"])[0]
    delay = tf.squeeze(tf.sparse.to_dense(tf.sparse.reset_shape(inputs["delay"], [rows, 1])), 1)
    seen = tf.sparse.to_dense(
        tf.SparseTensor(inputs["delay"].indices, tf.ones_like(inputs["delay"].values), inputs["delay"].dense_shape)
    )
    return {
        "carrier": tft.compute_and_apply_vocabulary(inputs["carrier"], num_oov_buckets=1, vocab_filename="carrier"),
        "distance": tft.scale_to_z_score(tft.scale_to_0_1(inputs["distance"])),
        "stops": tft.compute_and_apply_vocabulary(inputs["stops"], vocab_filename="all stops"),
        "pair": tf.concat([inputs["distance"], inputs["distance"] * 2], axis=1),
        "late": delay > 15.0,
        "weight": tf.reshape(tf.cast(tf.reduce_sum(seen, axis=1) > 0, tf.float64), [-1]),
    }


def component(
    folder: Path,
    function: Callable[..., Any] | str | None = preprocessing_fn,
    *,
    label: str | None = None,
    weight: str | None = None,
    splits: dict[str, pa.Table] | None = None,
    schema: str = SCHEMA,
) -> Preprocess:
    """A ``preprocess`` over ``splits`` that writes into ``folder``."""
    splits = SPLITS if splits is None else splits
    (folder / "schema.pbtxt").write_text(schema)
    step = PreprocessStep(
        id="preprocess",
        examples=Ref("from_arrow", Examples),
        schema=Ref("infer_schema", Schema),
        label=label,
        weight=weight,
        split_names=tuple(splits),
        function=None if function is None else UserFunction.of(function, name="preprocessing_fn", call="preprocess"),
    )
    stored = SchemaInput("schema", artifact=Schema(folder, "", "infer_schema"))
    return Preprocess(
        step, beam_jobs.context(folder, "preprocess"), beam_jobs.examples(folder / "examples", **splits), stored
    )


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> TransformGraph:
    folder = beam_jobs.run(component(tmp_path_factory.mktemp("graph"), label="late", weight="weight"))
    return TransformGraph(folder, "", "preprocess")


def rows(graph: TransformGraph, split: str) -> dict[str, list[Any]]:
    read: dict[str, list[Any]] = pa.concat_tables([pq.read_table(f) for f in graph.files(split)]).to_pydict()
    return read


def test_files_and_facts(graph: TransformGraph) -> None:
    facts = graph.facts()
    assert facts["splits"] == {"train": {"rows": 1000}, "eval": {"rows": 200}}
    assert facts["features"]["carrier"] == {"dtype": "int64", "shape": [1], "kind": "dense"}
    assert facts["features"]["pair"] == {"dtype": "int64", "shape": [2], "kind": "dense"}
    assert facts["features"]["late"] == {"dtype": "int64", "shape": [], "kind": "dense"}
    assert facts["features"]["stops"] == {"dtype": "int64", "shape": [], "kind": "sparse"}
    assert facts["vocabularies"]["carrier"] == 4  # three carriers, and one id for others
    assert [f.name for f in graph.files("eval")] == ["data-00000-of-00001.parquet"]
    left = {p.name for p in graph.path.iterdir()}
    assert left == {"transform_fn", "transformed_metadata", "metadata", "transform.json", "Split-train", "Split-eval"}


def test_label_counts_rows_that_have_a_weight(graph: TransformGraph) -> None:
    facts = graph.facts()
    delays = [d for d in SPLITS["train"]["delay"].to_pylist() if d is not None]
    late = sum(d > 15 for d in delays)
    assert (facts["label"], facts["weight"], facts["task"]) == ("late", "weight", "binary")
    assert facts["class_counts"] == [len(delays) - late, late]
    assert facts["classes"] is None
    assert facts["class_count"] == 2


def test_the_stored_graph_tells_which_columns_features_are_made_of(graph: TransformGraph) -> None:
    assert TransformResult(graph).sources == {
        "carrier": ("carrier",),
        "distance": ("distance",),
        "stops": ("stops",),
        "pair": ("distance",),
        "late": ("carrier", "delay"),  # it asks the carriers for the number of rows
        "weight": ("delay",),
    }


def test_output_loads_as_tft_output(graph: TransformGraph) -> None:
    output = tft.TFTransformOutput(str(graph.path))
    assert set(output.raw_feature_spec()) == {"carrier", "distance", "delay", "stops", "nothing"}
    assert set(output.transformed_feature_spec()) == {"carrier", "distance", "stops", "pair", "late", "weight"}
    assert output.vocabulary_size_by_name("carrier") == 3


def test_columns_are_flat_where_rows_hold_one_value(graph: TransformGraph) -> None:
    schema = pq.read_schema(graph.files("eval")[0])
    assert schema.field("carrier").type == pa.int64()
    assert schema.field("weight").type == pa.float32()
    assert pa.types.is_large_list(schema.field("pair").type)
    assert pa.types.is_large_list(schema.field("stops").type)


def test_equals_plain_tft(graph: TransformGraph, tmp_path: Path) -> None:
    """The same rows as dictionaries through TFT's own AnalyzeAndTransformDataset give the same features."""
    used = text_format.Parse(SCHEMA, schema_pb2.Schema())
    del used.feature[-1]
    metadata = dataset_metadata.DatasetMetadata(used)

    def instances(split: str) -> list[dict[str, Any]]:
        def listed(value: Any) -> list[Any]:
            return [] if value is None else value if isinstance(value, list) else [value]

        return [{f.name: listed(row[f.name]) for f in used.feature} for row in SPLITS[split].to_pylist()]

    def plain(inputs: dict[str, Any]) -> dict[str, Any]:
        outputs = preprocessing_fn(inputs)
        return {**outputs, "late": tf.cast(outputs["late"], tf.int64), "weight": tf.cast(outputs["weight"], tf.float32)}

    found: list[Any] = []
    with beam_jobs.job() as pipeline, tft_beam.Context(temp_dir=str(tmp_path)):
        data = pipeline | beam.Create(instances("train"))
        (transformed, _), _ = (data, metadata) | tft_beam.AnalyzeAndTransformDataset(plain)
        lines = transformed | beam.Map(lambda row: json.dumps(_comparable(row)))
        _ = lines | beam.io.WriteToText(str(tmp_path / "rows"))
    for file in tmp_path.glob("rows*"):
        found.extend(json.loads(line) for line in file.read_text().splitlines())
    ours = rows(graph, "train")
    mine = [_comparable({k: v[i] for k, v in ours.items()}) for i in range(1000)]
    order = lambda row: json.dumps([row["pair"], row["carrier"], row["stops"], row["late"], row["weight"]])  # noqa: E731
    assert sorted(mine, key=order) == sorted(found, key=order)


def _comparable(row: dict[str, Any]) -> dict[str, Any]:
    return {k: np.round(np.asarray(v, np.float64).reshape(-1), 4).tolist() for k, v in sorted(row.items())}


@pytest.mark.parametrize(
    ("function", "error", "text"),
    [
        (lambda inputs: {"x": inputs["carier"]}, UserCodeError, r"no column 'carier'.*Did you mean 'carrier'\?"),
        (lambda inputs: None, UserCodeError, "returns nothing.*Return a dictionary"),
        (lambda inputs: [inputs["carrier"]], UserCodeError, "returns a list, not a dictionary"),
        (lambda inputs: {}, UserCodeError, "an empty dictionary"),
        (lambda inputs: {"x": 3}, UserCodeError, "Feature 'x' is an int, not a tensor"),
        (lambda inputs: {"x": tf.reduce_sum(inputs["distance"])}, UserCodeError, "'x' is one value for all rows"),
        (lambda inputs: {"x": tf.sparse.to_dense(inputs["delay"])}, UserCodeError, r"shape is \(None, None\)"),
        (lambda inputs: {"lated": inputs["distance"]}, TrainingError, "Label 'late' is not.*Did you mean 'lated'"),
        (lambda inputs: {"late": inputs["carrier"]}, TrainingError, "Label 'late' is text.*vocabulary"),
    ],
)
def test_function_that_cannot_be_used(
    tmp_path: Path, function: Callable[..., Any], error: type[FluentPipeError], text: str
) -> None:
    with pytest.raises(error, match=text) as raised:
        beam_jobs.run(component(tmp_path, function, label="late"))
    assert Path(__file__).name in str(raised.value)


def test_function_that_raises_is_named_with_its_line(tmp_path: Path) -> None:
    module = tmp_path / "features.py"
    module.write_text("import math\n\ndef preprocessing_fn(inputs):\n    return {'x': math.sqrt('four')}\n")
    with pytest.raises(UserCodeError, match=r"preprocessing_fn \(.*features\.py:4\): TypeError") as raised:
        beam_jobs.run(component(tmp_path, str(module)))
    assert "Traceback" not in str(raised.value)


def test_missing_value_where_the_schema_has_none(tmp_path: Path) -> None:
    train = SPLITS["train"].slice(0, 50)
    holes = train.set_column(0, "carrier", pa.array([None, *["AA"] * 49]))
    with pytest.raises(InputError, match=r"'carrier' has missing values in split 'eval' \(1 among 50"):
        beam_jobs.run(
            component(tmp_path, lambda inputs: {"x": inputs["carrier"]}, splits={"train": train, "eval": holes})
        )


def test_weight_that_is_no_feature(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"Weight 'wait' is not a transformed feature.*Did you mean 'weight'"):
        beam_jobs.run(component(tmp_path, label="late", weight="wait"))


def test_label_that_is_missing_for_some_rows(tmp_path: Path) -> None:
    function = lambda inputs: {"delay": tf.sparse.to_dense(inputs["delay"], float("nan"))[:, 0]}  # noqa: E731
    missing = SPLITS["train"]["delay"].null_count
    with pytest.raises(TrainingError, match=f"'delay' has no value in {missing} of 1,000 rows of split 'train'"):
        beam_jobs.run(component(tmp_path, function, label="delay"))


def summary(values: list[Any], **more: list[Any]) -> LabelSummary:
    made = LabelSummary()
    batch = pa.RecordBatch.from_pydict({"y": pa.array(values), **more})
    Roles("y", "w" if "w" in more else None).summarize(batch, made)
    return made


def facts(values: list[Any], dtype: str = "int64", **more: Any) -> dict[str, Any]:
    return label_facts(Label("y", dtype, scalar=True, **more), {"train": summary(values)})


def test_task_by_the_label() -> None:
    assert facts([0, 1, 1])["task"] == "binary"
    assert facts([0.0, 1.0], "float32")["task"] == "binary"
    assert facts([0.0, 1.0, 2.5], "float32")["task"] == "regression"
    assert facts([0, 2, 1, 2]) == {"task": "multiclass", "classes": None, "class_count": 3, "class_counts": [1, 1, 2]}
    assert facts(list(range(3000)))["class_counts"] is None
    assert facts([0, 5, 1], vocabulary_size=9)["class_count"] == 9


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1, 1, 1], "one value only: '1' in all 3 rows of split 'train'.*at least two"),
        ([0, -1, 1, -1], r"negative classes: -1 \(2 rows\) in split 'train'.*tf.cast\(y, tf.float32\)"),
        ([0, 1, 4, 5], "classes up to 5 and none of 2, 3 in split 'train'"),
        ([0, None, 1], "no value in 1 of 3 rows of split 'train'"),
        ([[0], [], [1]], "no value in 1 of 3 rows"),
        ([[0], [1, 0], [1]], "several values in 1 of 3 rows"),
    ],
)
def test_label_that_cannot_be_learnt(values: list[Any], text: str) -> None:
    with pytest.raises(TrainingError, match=text):
        facts(values)


def test_nothing_that_counts() -> None:
    with pytest.raises(InputError, match="'train' has nothing to learn from: all 2 rows have weight 0"):
        label_facts(Label("y", "int64", scalar=True), {"train": summary([0, 1], w=[0.0, 0.0])})


@settings(deadline=None, max_examples=30)
@given(st.lists(st.one_of(st.integers(-3, 2000), st.none()), max_size=60), st.integers(1, 9))
def test_one_batch_is_many_batches(values: list[int | None], size: int) -> None:
    column = pa.array(values, pa.int64())
    whole, parts = LabelSummary(), LabelSummary()
    Roles("y").summarize(pa.RecordBatch.from_pydict({"y": column}), whole)
    for start in range(0, len(values), size):
        part = LabelSummary()
        Roles("y").summarize(pa.RecordBatch.from_pydict({"y": column.slice(start, size)}), part)
        parts.merge(part)
    assert whole == parts
