"""Weights of an earlier model in a new one: rows follow their words, and what cannot be taken over is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest

from fluent_pipe.errors import TrainingError
from fluent_pipe.training import vocabularies
from fluent_pipe.training.data import TrainingData
from fluent_pipe.training.default_model import build_model
from fluent_pipe.training.vocabularies import Vocabulary
from fluent_pipe.training.warm_start import Beginning, warm_start
from tests.training_flights import labelled

BEFORE = {"carrier_id": Vocabulary(5, {b"AA": 0, b"B6": 1, b"DL": 2, b"UA": 3})}
AFTER = {"carrier_id": Vocabulary(6, {b"UA": 0, b"NK": 1, b"AA": 2, b"B6": 3, b"DL": 4})}
SAME_WORDS = [(0, 2), (1, 3), (2, 4), (3, 0), (4, 5)]
"""Rows before and after; the last is the bucket for unknown words."""


def tables(size, *, units=4, name="carrier_id", layer=None):
    """A model with one embedding of its own, of which nothing but the table's size is given."""

    def build(data, hp=None):
        inputs = {n: data.inputs()[n] for n in (name, "distance_scaled")}
        row = keras.layers.Flatten()(keras.layers.Embedding(size, 3, name=layer)(inputs[name]))
        hidden = keras.layers.Dense(units)(keras.layers.Concatenate()([row, inputs["distance_scaled"]]))
        return keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(hidden))

    return build


@pytest.fixture
def warm(data, tmp_path):
    """Save what one builder makes, and begin what another makes with it."""

    def start(old, new, before=BEFORE, after=AFTER, hyperparameters=None, new_data=None):
        earlier = old(data)
        earlier.save(tmp_path / "model.keras")
        vocabularies.save(before, tmp_path)
        (tmp_path / "training.json").write_text(json.dumps({"hyperparameters": {"units": 4}}))
        model = new(new_data or data)
        facts = warm_start(
            model, new_data or data, after, Beginning(earlier=tmp_path, asked=True), hyperparameters or {}
        )
        return earlier, model, facts

    return start


def test_rows_follow_their_words(warm) -> None:
    earlier, model, facts = warm(tables(5), tables(6))
    before, after = (
        next(layer.get_weights()[0] for layer in one.layers if isinstance(layer, keras.layers.Embedding))
        for one in (earlier, model)
    )
    for row_before, row_after in SAME_WORDS:
        np.testing.assert_array_equal(after[row_after], before[row_before])
    assert not (after[1] == before).all(axis=1).any(), "a new word begins afresh"
    assert facts["mapped"] == {"carrier_id": {"kept": 4, "new": 1, "gone": 0}}
    for ids_before, ids_after in SAME_WORDS:
        rows = [{"carrier_id": np.array([[i]]), "distance_scaled": np.array([[0.5]], "float32")}
                for i in (ids_before, ids_after)]  # fmt: skip
        np.testing.assert_allclose(earlier(rows[0]), model(rows[1]), rtol=1e-6)


def test_the_table_of_the_default_model_holds_all_features(made, warm, data, tmp_path_factory) -> None:
    grown = labelled(made, tmp_path_factory.mktemp("grown"), "late").graph
    facts = dict(grown.facts())
    facts["vocabularies"] = {**facts["vocabularies"], "carrier_id": 6}
    (grown.path / "transform.json").write_text(json.dumps(facts))
    now = TrainingData(grown)

    def build(data):
        return build_model(data, keras_tuner.HyperParameters())

    before = vocabularies.vocabularies(data)
    words = {b"UA": 0, b"NK": 1, b"AA": 2, b"B6": 3, b"DL": 4}
    assert before["carrier_id"].words.keys() == {b"AA", b"B6", b"DL", b"UA"}
    after = before | {"carrier_id": Vocabulary(6, words)}
    earlier, model, _ = warm(build, build, before, after, new_data=now)
    random = np.random.default_rng(0)
    rows = {
        "distance_scaled": random.normal(size=(40, 1)).astype("float32"),
        "distance_powers": random.normal(size=(40, 2)).astype("float32"),
        "month": random.integers(1, 13, (40, 1)),
        "tags_id": random.integers(-1, 4, (40, 3)),
    }
    named = random.choice(sorted(before["carrier_id"].words), (40, 1))
    ids = [np.vectorize(v["carrier_id"].words.get)(named) for v in (before, after)]
    answers = [m({**rows, "carrier_id": i}) for m, i in zip((earlier, model), ids, strict=True)]
    np.testing.assert_allclose(*answers, rtol=1e-5)


def test_equal_vocabularies_copy_everything(warm) -> None:
    earlier, model, facts = warm(tables(5), tables(5), after=BEFORE)
    for before, after in zip(earlier.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert facts["mapped"] == {}


def test_a_lookup_layer_of_the_model_is_asked_for_its_words(warm, data) -> None:
    def looked_up(words):
        def build(data):
            inputs = {n: data.inputs()[n] for n in ("month", "distance_scaled")}
            lookup = keras.layers.IntegerLookup(vocabulary=words)
            row = keras.layers.Flatten()(keras.layers.Embedding(len(words) + 1, 3)(lookup(inputs["month"])))
            return keras.Model(
                inputs, keras.layers.Dense(1)(keras.layers.Concatenate()([row, inputs["distance_scaled"]]))
            )

        return build

    months = {"month": Vocabulary(13, {str(i).encode(): i for i in range(13)})}
    earlier, model, _ = warm(looked_up([3, 1, 2]), looked_up([1, 2, 3, 4]), months, months)
    rows = {"month": np.array([[1], [2], [3]]), "distance_scaled": np.zeros((3, 1), "float32")}
    np.testing.assert_allclose(earlier(rows), model(rows), rtol=1e-6)


def one_hot(data):
    inputs = {"carrier_id": data.inputs()["carrier_id"]}
    places = keras.layers.CategoryEncoding(num_tokens=8, output_mode="multi_hot")(inputs["carrier_id"])
    return keras.Model(inputs, keras.layers.Dense(1)(places))


def crossed(data):
    inputs = {n: data.inputs()[n] for n in ("carrier_id", "month")}
    row = keras.layers.Embedding(100, 3)(inputs["carrier_id"] * 13 + inputs["month"])
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(row)))


@keras.saving.register_keras_serializable()
class Subclassed(keras.Model):
    """Layers that nobody can follow."""

    def __init__(self, **more) -> None:
        super().__init__(**more)
        self.table = keras.layers.Embedding(6, 3)
        self.dense = keras.layers.Dense(1)

    def call(self, inputs):
        return self.dense(keras.ops.mean(self.table(inputs["carrier_id"]), axis=1))


def subclassed(data):
    model = Subclassed()
    model({"carrier_id": np.zeros((1, 1), "int64")})
    return model


OPAQUE = {"carrier_id": Vocabulary(5, None, "5 ids of a domain")}


@pytest.mark.parametrize(
    ("old", "new", "before", "words"),
    [
        (tables(5), tables(6, units=8), BEFORE, r"'dense_?\d*/kernel' has the shape \[4, 8\]; .* it has \[4, 4\]"),
        (tables(5), tables(6, units=8), BEFORE, "The hyperparameters differ: units 4 then, 8 now. Build the"),
        (tables(5), tables(6, layer="carriers"), BEFORE, "The earlier model has no 'carriers/embeddings'"),
        (tables(13, name="month"), tables(6), BEFORE, "The earlier model has no input 'carrier_id'"),
        (one_hot, one_hot, BEFORE, r"'carrier_id' changed, and it reaches layer 'dense_?\d*' other than"),
        (crossed, crossed, BEFORE, "looks up 'carrier_id' and 'month' together"),
        (subclassed, subclassed, BEFORE, "'carrier_id' changed, and this model does not tell which rows are whose"),
        (tables(5), tables(6), OPAQUE, "The ids of 'carrier_id' changed, and what they stand for cannot be told"),
        (tables(5), tables(6), {**BEFORE, "late": Vocabulary(2, {b"no": 0, b"yes": 1})}, "The classes of label 'late'"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_over_is_refused(warm, old, new, before, words) -> None:
    months = {"month": Vocabulary(13, {str(i).encode(): i for i in range(13)})}
    with pytest.raises(TrainingError, match=words):
        warm(old, new, {**months, **before}, {**months, **AFTER}, hyperparameters={"units": 8})


def test_a_folder_without_a_keras_model_is_refused(data, tmp_path) -> None:
    with pytest.raises(TrainingError, match="no weights to begin with: it is no Model artifact"):
        warm_start(tables(5)(data), data, AFTER, Beginning(earlier=tmp_path, asked=True), {})
    (tmp_path / "Format-Serving").mkdir()
    with pytest.raises(TrainingError, match="it was saved by a run_fn"):
        warm_start(tables(5)(data), data, AFTER, Beginning(earlier=tmp_path, asked=True), {})


def test_run_fn_gets_the_earlier_model_where_there_is_no_base_model() -> None:
    assert Beginning().for_run_fn is None
    begin = Beginning(earlier=Path("models/20260102"), asked=True, own=True)
    assert begin.for_run_fn == "models/20260102"
    assert begin.facts == {"warm_start": {"from": "20260102", "mapped": {}, "note": ""}}
    assert "no earlier model" in replace(begin, earlier=None).facts["warm_start"]["note"]
