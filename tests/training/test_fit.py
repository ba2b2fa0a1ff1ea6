"""Fitting: progress, stopping, weights, and a loss that is no number."""

from __future__ import annotations

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fluent_pipe import progress
from fluent_pipe.errors import Interrupted, TrainingError
from fluent_pipe.training.data import TrainingData
from fluent_pipe.training.fit import Fitting, class_weights, fit
from tests.training_flights import labelled


def linear(data, feature="distance_scaled", **compiled):
    inputs = data.inputs()
    output = keras.layers.Dense(1, activation="sigmoid")(inputs[feature])
    model = keras.Model({feature: inputs[feature]}, output)
    model.compile(**{"optimizer": "sgd", "loss": "binary_crossentropy", "jit_compile": False, **compiled})
    return model


def fitting(**more):
    return Fitting(**{"step": "train", "train_split": "train", "validation_split": None, "batch_size": 40, **more})


@pytest.fixture(autouse=True)
def _no_progress():
    progress.reset()
    yield
    progress.reset()


def test_progress_and_logs(data, tmp_path) -> None:
    model = linear(data, metrics=["AUC"])
    history = fit(model, data, fitting(epochs=2, validation_split="eval", logs=tmp_path), features=["distance_scaled"])
    assert set(history) >= {"loss", "val_loss"}
    assert all(len(values) == 2 for values in history.values())
    told = progress.snapshot()["train"]
    assert told.fraction == pytest.approx(1.0)
    detail = told.detail
    assert detail.startswith("epoch 2/2 · 6/6 · loss ")
    assert "val_AUC" in detail or "val_auc" in detail
    assert list(tmp_path.rglob("events.*"))


def test_one_seed_gives_one_model(data) -> None:
    def weights(seed):
        keras.utils.set_random_seed(seed)
        model = linear(data)
        fit(model, data, fitting(seed=seed), features=["distance_scaled"])
        return model.get_weights()[0].item()

    assert weights(1) == weights(1) != weights(2)


def test_steps_bound_an_epoch_and_go_on_in_the_next(data) -> None:
    seen = []
    model = linear(data)
    original = model.train_step
    model.train_step = lambda batch: (seen.append(1), original(batch))[1]
    model.run_eagerly = True
    fit(model, data, fitting(epochs=3, steps=4), features=["distance_scaled"])
    assert len(seen) == 12


def test_early_stopping_restores_the_best_weights(data) -> None:
    model = linear(data, optimizer=keras.optimizers.SGD(-5.0))
    before = model.get_weights()[0].copy()
    history = fit(
        model, data, fitting(epochs=10, validation_split="eval", early_stopping=2), features=["distance_scaled"]
    )
    assert len(history["loss"]) == 3, "it got worse from the start"
    assert np.isfinite(before).all()
    validation = data.batches("eval", batch_size=60, features=["distance_scaled"]).dataset()
    best = model.evaluate(validation, verbose=0)
    assert best == pytest.approx(history["val_loss"][0], rel=1e-5)


def test_balanced_classes_weigh_alike(data) -> None:
    weights = class_weights(data, "balanced")
    counts = data.class_counts()
    assert counts[0] * weights[0] == pytest.approx(counts[1] * weights[1])
    assert class_weights(data, {1: 3}) == {1: 3.0}
    with pytest.raises(TrainingError, match=r"names class 7. There are: 0, 1"):
        class_weights(data, {7: 1.0})


def test_a_quantity_has_no_classes_to_weigh(made, tmp_path) -> None:
    data = TrainingData(labelled(made, tmp_path, "arr_delay_minutes").graph)
    with pytest.raises(TrainingError, match="is a quantity"):
        class_weights(data, "balanced")


def test_a_loss_that_is_no_number_names_the_place_and_the_feature(made, tmp_path) -> None:
    broken = labelled(made, tmp_path, "late")
    file = broken.graph.files("train")[0]
    table = pq.read_table(file)
    values = [[np.nan if i == 100 else v[0]] for i, v in enumerate(table["distance_scaled"].to_pylist())]
    index = table.column_names.index("distance_scaled")
    pq.write_table(table.set_column(index, "distance_scaled", pa.array(values, pa.list_(pa.float32()))), file)
    data = TrainingData(broken.graph)
    with pytest.raises(TrainingError, match=r"NaN in epoch 1, batch \d.*'distance_scaled' has 1 values that are NaN"):
        fit(linear(data), data, fitting(), features=["distance_scaled"])


def test_an_id_past_its_embedding_says_so(data) -> None:
    inputs = data.inputs()
    embedded = keras.layers.Flatten()(keras.layers.Embedding(5, 1)(inputs["month"]))
    model = keras.Model({"month": inputs["month"]}, keras.layers.Activation("sigmoid")(embedded))
    model.compile("sgd", "binary_crossentropy", jit_compile=False)
    with pytest.raises(TrainingError, match=r"is not in \[0, 5\).*data.cardinality") as caught:
        fit(model, data, fitting(), features=["month"])
    assert "epoch 1, batch 1" in str(caught.value)


def test_a_stopped_run_stops_the_fit(data) -> None:
    progress.request_stop()
    with pytest.raises(Interrupted):
        fit(linear(data), data, fitting(), features=["distance_scaled"])
