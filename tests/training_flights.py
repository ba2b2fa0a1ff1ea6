"""Small transform graphs, made with plain TFT, to train on."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils
from tfx_bsl.tfxio import tensor_adapter, tensor_representation_util

from fluent_pipe.arrow.tfx import to_tfx
from fluent_pipe.artifacts import Examples, Schema, TransformGraph
from fluent_pipe.training.raw_inputs import serialized

RAW_SPEC = {
    "distance": tf.io.VarLenFeature(tf.float32),
    "carrier": tf.io.VarLenFeature(tf.string),
    "month": tf.io.VarLenFeature(tf.int64),
    "tags": tf.io.VarLenFeature(tf.string),
    "remark": tf.io.VarLenFeature(tf.string),
    "arr_delay": tf.io.VarLenFeature(tf.float32),
}
LABELS = {"late": "binary", "band": "multiclass", "arr_delay_minutes": "regression"}


@dataclass(frozen=True)
class Made:
    """What the steps before ``train`` leave."""

    graph: TransformGraph
    examples: Examples
    schema: Schema


def flights(rows: int, *, seed: int = 0) -> pa.RecordBatch:
    """Rows whose delay depends on carrier and distance; some cells are missing."""
    random = np.random.default_rng(seed)
    carrier = random.integers(0, 4, rows)
    distance = random.uniform(100, 2000, rows).astype(np.float32)
    delay = (carrier * 12 + distance / 100 + random.normal(0, 8, rows) - 20).astype(np.float32)
    names = np.array(["AA", "B6", "DL", "UA"], object)
    tags = [list(names[random.integers(0, 4, n)]) for n in random.integers(0, 3, rows)]
    return pa.RecordBatch.from_pydict(
        {
            "distance": pa.array(distance, mask=random.random(rows) < 0.1),
            "carrier": pa.array(names[carrier], pa.string(), mask=random.random(rows) < 0.05),
            "month": pa.array(random.integers(1, 13, rows)),
            "tags": pa.array(tags, pa.list_(pa.string())),
            "remark": pa.array(np.full(rows, "none", object)),
            "arr_delay": pa.array(delay),
        }
    )


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    """Numbers, ids with and without a vocabulary, a multi-valued feature and three labels."""

    def dense(name: str, default: Any) -> tf.Tensor:
        return tft.sparse_tensor_to_dense_with_shape(inputs[name], [None, 1], default_value=default)

    delay = dense("arr_delay", 0.0)
    distance = dense("distance", 0.0)
    return {
        "distance_scaled": tft.scale_to_z_score(distance),
        "distance_powers": tf.concat([distance / 1000, (distance / 1000) ** 2], axis=1),
        "carrier_id": tft.compute_and_apply_vocabulary(
            dense("carrier", ""), num_oov_buckets=1, vocab_filename="carrier"
        ),
        "month": tf.squeeze(dense("month", 0), 1),
        "tags_id": tft.compute_and_apply_vocabulary(inputs["tags"], vocab_filename="tags"),
        "late": tf.cast(delay > 15, tf.int64),
        "band": tf.cast(tf.clip_by_value(delay // 20, 0, 2), tf.int64),
        "arr_delay_minutes": delay,
        "importance": tf.squeeze(tf.ones_like(delay), 1),
    }


def make(folder: Path, *, train: int = 240, evaluation: int = 60) -> Made:
    """Analyze the training rows and transform both splits, in TFT's layout."""
    splits = {"train": flights(train), "eval": flights(evaluation, seed=1)}
    graph, examples = folder / "graph", folder / "examples"
    for place in (graph, examples):
        for split in splits:
            (place / f"Split-{split}").mkdir(parents=True)
    for split, batch in splits.items():
        pq.write_table(pa.Table.from_batches([batch]), examples / f"Split-{split}" / "data.parquet")
    schema = schema_utils.schema_from_feature_spec(RAW_SPEC)
    _analyze(to_tfx(splits["train"].slice(0, 5000)), schema, graph)
    output = tft.TFTransformOutput(str(graph))
    layer = output.transform_features_layer()
    features: dict[str, Any] = {}
    for split, batch in splits.items():
        made = layer(tf.io.parse_example(serialized(batch), RAW_SPEC))
        columns = {name: _column(tensor) for name, tensor in made.items()}
        pq.write_table(pa.table(columns), graph / f"Split-{split}" / "data.parquet", row_group_size=max(train // 4, 50))
        features = {name: _described(tensor) for name, tensor in made.items()}
        made["late"].numpy()
    facts = {
        "splits": {split: {"rows": batch.num_rows} for split, batch in splits.items()},
        "features": features,
        "vocabularies": {"carrier_id": 5, "tags_id": 4},
    }
    (graph / "unlabelled.json").write_text(json.dumps(facts))
    (folder / "schema.pbtxt").write_text(text_format.MessageToString(schema))
    columns = {field.name: str(field.type) for field in splits["train"].schema}
    (examples / "examples.json").write_text(json.dumps({"splits": facts["splits"], "columns": columns, "rejected": 0}))
    return Made(
        TransformGraph(graph, "g", "preprocess"),
        Examples(examples, "e", "from_csv"),
        Schema(folder, "s", "infer_schema"),
    )


def labelled(made: Made, folder: Path, label: str | None, *, weight: str | None = None) -> Made:
    """The same graph under another label."""
    graph = folder / "graph"
    shutil.copytree(made.graph.path, graph)
    facts = json.loads((graph / "unlabelled.json").read_text())
    rest = set(LABELS) - {label} | ({"importance"} - {weight})
    facts["features"] = {name: f for name, f in facts["features"].items() if name not in rest}
    task = LABELS.get(label or "")
    classes = {"binary": [0, 1], "multiclass": [0, 1, 2]}.get(task or "")
    counts = None
    if label and classes:
        values = pq.read_table(graph / "Split-train" / "data.parquet")[label].combine_chunks().flatten().to_numpy()
        counts = np.bincount(values, minlength=len(classes)).tolist()
    facts |= {
        "label": label,
        "weight": weight,
        "task": task,
        "classes": classes,
        "class_count": len(classes) if classes else None,
        "class_counts": counts,
    }
    (graph / "transform.json").write_text(json.dumps(facts))
    return replace(made, graph=replace(made.graph, path=graph))


def _analyze(rows: pa.RecordBatch, schema: schema_pb2.Schema, graph: Path) -> None:
    representations = tensor_representation_util.InferTensorRepresentationsFromSchema(schema)
    adapter = tensor_adapter.TensorAdapterConfig(rows.schema, representations)
    with (
        beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(flags=[])) as pipeline,
        tft_beam.Context(temp_dir=str(graph.parent / "temporary")),
    ):
        dataset = (pipeline | beam.Create([rows]), adapter)
        _ = dataset | tft_beam.AnalyzeDataset(preprocessing_fn) | tft_beam.WriteTransformFn(str(graph))
        metadata = dataset_metadata.DatasetMetadata(schema)
        _ = metadata | tft_beam.WriteMetadata(str(graph / "metadata"), pipeline=pipeline)


def _column(tensor: Any) -> pa.Array:
    """As TFT's batches have it: each row a list of values."""
    if isinstance(tensor, tf.SparseTensor):
        ragged = tf.RaggedTensor.from_sparse(tensor)
        return pa.ListArray.from_arrays(
            pa.array(ragged.row_splits.numpy().astype(np.int32)), pa.array(ragged.values.numpy())
        )
    array = tensor.numpy()
    width = array.shape[1] if array.ndim == 2 else 1
    offsets = np.arange(0, array.size + 1, width, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(array.reshape(-1)))


def _described(tensor: Any) -> dict[str, Any]:
    kind = "sparse" if isinstance(tensor, tf.SparseTensor) else "dense"
    return {"dtype": tensor.dtype.name, "shape": [] if kind == "sparse" else tensor.shape.as_list()[1:], "kind": kind}
