"""The SavedModel: three signatures that answer alike, in eager mode and in a session."""

from __future__ import annotations

import keras
import keras_tuner
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from fluent_pipe.errors import ArgumentError, TrainingError
from fluent_pipe.training.default_model import build_model
from fluent_pipe.training.export import export_model
from fluent_pipe.training.raw_inputs import ServedModel, raw_columns, serialized
from tests.training_flights import flights


@pytest.fixture(scope="module")
def model(data):
    keras.utils.set_random_seed(3)
    return build_model(data, keras_tuner.HyperParameters())


@pytest.fixture(scope="module")
def folder(model, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "Format-Serving"
    export_model(model, data, folder, features=data.features, multi_valued=["tags"])
    return folder


@pytest.fixture(scope="module")
def served(folder):
    return ServedModel(folder)


ROWS = flights(60, seed=1)  # the rows behind the split "eval"


def test_raw_rows_are_predicted_as_the_transformed_ones(model, data, served) -> None:
    features, _ = next(iter(data.batches("eval", batch_size=60).dataset()))
    expected = model.predict(features, verbose=0)[:, 0]
    np.testing.assert_allclose(served.predict(ROWS), expected, rtol=1e-5)


def test_the_signatures_agree_in_eager_mode_and_in_a_session(folder, data) -> None:
    signatures = tf.saved_model.load(str(folder)).signatures
    examples = np.array(serialized(ROWS), object)
    columns = raw_columns(ROWS, signatures["serving_raw"].structured_input_signature[1])
    fed = {
        "serving_default": {"examples": examples},
        "serving_raw": columns,
        "transform_features": {"examples": examples},
    }
    eager = {
        name: {k: v.numpy() for k, v in signatures[name](**{k: tf.constant(v) for k, v in inputs.items()}).items()}
        for name, inputs in fed.items()
    }
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        described = tf.compat.v1.saved_model.load(session, ["serve"], str(folder)).signature_def
        for name, inputs in fed.items():
            feed = {described[name].inputs[k].name: v for k, v in inputs.items()}
            fetch = {k: tensor.name for k, tensor in described[name].outputs.items()}
            for output, value in session.run(fetch, feed).items():
                np.testing.assert_allclose(value, eager[name][output], rtol=1e-6)
    np.testing.assert_array_equal(eager["serving_default"]["predictions"], eager["serving_raw"]["predictions"])
    assert set(eager["transform_features"]) == set(data.features)


def test_only_what_the_features_come_from_is_asked_for(served) -> None:
    assert sorted(served.columns) == ["carrier", "distance", "month", "tags"]


def test_label_columns_may_be_absent(served) -> None:
    without = pa.RecordBatch.from_pydict({n: ROWS.column(ROWS.schema.get_field_index(n)) for n in served.columns})
    np.testing.assert_array_equal(served.predict(without), served.predict(ROWS))


def test_a_column_of_nulls_is_missing_everywhere(served) -> None:
    columns = {n: ROWS.column(ROWS.schema.get_field_index(n)) for n in served.columns}
    nulls = {name: pa.nulls(ROWS.num_rows) for name in columns}
    typed = {name: pa.nulls(ROWS.num_rows, column.type) for name, column in columns.items()}
    np.testing.assert_array_equal(
        served.predict(pa.RecordBatch.from_pydict(nulls)), served.predict(pa.RecordBatch.from_pydict(typed))
    )


def test_a_missing_column_is_named(served) -> None:
    rows = pa.RecordBatch.from_pydict({"carier": pa.array(["AA"]), "distance": pa.array([1.0])})
    with pytest.raises(ArgumentError, match=r"needs column 'carrier'.*Did you mean 'carier'"):
        served.predict(rows)


def test_a_column_of_another_type_is_named(served) -> None:
    columns = {n: ROWS.column(ROWS.schema.get_field_index(n)) for n in served.columns}
    columns["carrier"] = pa.array(range(ROWS.num_rows))
    with pytest.raises(ArgumentError, match="'carrier' is int64, and the model learnt from string"):
        served.predict(pa.RecordBatch.from_pydict(columns))


def test_a_model_of_fewer_features_asks_for_fewer_columns(data, tmp_path) -> None:
    inputs = data.inputs()
    month = keras.ops.cast(inputs["month"], "float32")
    small = keras.Model(
        [inputs["month"], inputs["carrier_id"]], month * 10 + keras.ops.cast(inputs["carrier_id"], "float32") * 0
    )
    export_model(small, data, tmp_path / "small", features=["carrier_id", "month"])
    served = ServedModel(tmp_path / "small")
    assert served.columns == ["carrier", "month"]
    months = ROWS.column(ROWS.schema.get_field_index("month")).to_numpy()
    np.testing.assert_array_equal(served.predict(ROWS), months * 10, "a list of inputs is fed by name")


def test_a_model_that_takes_examples_alone_is_served_too(folder, served, tmp_path) -> None:
    loaded = tf.saved_model.load(str(folder))
    tf.saved_model.save(
        loaded, str(tmp_path / "plain"), signatures={"serving_default": loaded.signatures["serving_default"]}
    )
    plain = ServedModel(tmp_path / "plain")
    assert plain.columns == []
    np.testing.assert_allclose(plain.predict(ROWS), served.predict(ROWS), rtol=1e-6)


def test_a_folder_without_a_model_is_an_error(tmp_path) -> None:
    with pytest.raises(TrainingError, match="no SavedModel"):
        ServedModel(tmp_path)
