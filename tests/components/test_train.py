"""What train() leaves, and what it says when it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import pytest

from fluent_pipe.artifacts import Examples, Model, Schema, TransformGraph
from fluent_pipe.components.base import Context
from fluent_pipe.components.inputs import ExamplesInput, SchemaInput, TransformGraphInput
from fluent_pipe.components.train import Train
from fluent_pipe.errors import TrainingError, UserCodeError
from fluent_pipe.steps.base import Ref
from fluent_pipe.steps.functions import UserFunction
from fluent_pipe.steps.model import Train as TrainStep
from fluent_pipe.training.raw_inputs import ServedModel
from tests.beam_jobs import run
from tests.training_flights import Made, flights, labelled, make

MODULE = '''
"""A module file as people have it for TFX."""

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx_bsl.public import tfxio


def _input_fn(file_pattern, data_accessor, tf_transform_output):
    return data_accessor.tf_dataset_factory(
        file_pattern,
        tfxio.TensorFlowDatasetOptions(batch_size=64, label_key="late"),
        tf_transform_output.transformed_metadata.schema,
    ).map(lambda features, label: ({"distance_scaled": features["distance_scaled"]}, label))


def run_fn(fn_args):
    tf_transform_output = tft.TFTransformOutput(fn_args.transform_output)
    layer = tf_transform_output.transform_features_layer()
    spec = {"distance": tf_transform_output.raw_feature_spec()["distance"]}
    distance = keras.Input((1,), name="distance_scaled")
    model = keras.Model({"distance_scaled": distance}, keras.layers.Dense(1, activation="sigmoid")(distance))
    model.compile("adam", "binary_crossentropy", jit_compile=False)
    model.fit(
        _input_fn(fn_args.train_files, fn_args.data_accessor, tf_transform_output),
        steps_per_epoch=fn_args.train_steps, verbose=0,
    )

    def serve(examples):
        features = layer(tf.io.parse_example(examples, spec))
        return {"outputs": model({"distance_scaled": features["distance_scaled"]})}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.track(layer)
    archive.add_endpoint("serving_default", serve, [tf.TensorSpec([None], tf.string, name="examples")])
    archive.write_out(fn_args.serving_model_dir, verbose=False)
'''


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Made:
    return make(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def late(made, tmp_path_factory) -> Made:
    return labelled(made, tmp_path_factory.mktemp("late"), "late")


def train(made: Made, folder: Path, **more) -> Model:
    step = TrainStep(
        **{
            "id": "train", "graph": Ref("preprocess", TransformGraph), "examples": Ref("from_csv", Examples),
            "schema": Ref("infer_schema", Schema), "train_split": "train", "validation_split": "eval",
            "batch_size": 32, **more,
        }
    )  # fmt: skip
    component = Train(
        step,
        Context("train", str(folder)),
        TransformGraphInput("graph", artifact=made.graph),
        ExamplesInput("examples", artifact=made.examples),
        SchemaInput("schema", artifact=made.schema),
    )
    return Model(run(component), "m", "train")


def test_the_default_model(late, tmp_path) -> None:
    model = train(late, tmp_path, epochs=3, class_weights="balanced", early_stopping=5)
    facts = model.facts()
    assert facts["epochs"] == 3
    assert len(facts["history"]["val_auc"]) == 3
    assert facts["parameters"] > 100
    assert facts["hyperparameters"]["units"] == 64
    assert list((tmp_path / "logs").rglob("events.*"))
    assert keras.models.load_model(tmp_path / "model.keras").count_params() == facts["parameters"]
    predictions = ServedModel(model.serving).predict(flights(10))
    assert predictions.shape == (10,)
    assert ((predictions > 0) & (predictions < 1)).all()
    json.dumps(facts, allow_nan=False)


def test_a_model_of_ones_own(late, tmp_path) -> None:
    def build_model(data, hp):
        inputs = data.inputs()
        joined = keras.layers.Concatenate()([inputs[name] for name in data.numeric_features])
        model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(joined))
        model.compile("adam", "binary_crossentropy", metrics=["AUC"], jit_compile=False)
        return model

    model = train(late, tmp_path, build_model=UserFunction.of(build_model, name="build_model", call="train"))
    assert ServedModel(model.serving).predict(flights(10)).shape == (10,)


def test_a_run_fn_in_a_module_file(late, tmp_path) -> None:
    (tmp_path / "taxi_trainer.py").write_text(MODULE)
    function = UserFunction.of(str(tmp_path / "taxi_trainer.py"), name="run_fn", call="train")
    (tmp_path / "out").mkdir()
    model = train(late, tmp_path / "out", run_fn=function)
    assert model.facts()["epochs"] == 1
    assert ServedModel(model.serving).predict(flights(10)).shape == (10,)


def test_an_error_crosses_from_the_worker_with_its_parts(late, tmp_path) -> None:
    function = UserFunction.of(lambda data: data.inputs()["distanc_scaled"], name="build_model", call="train")
    with pytest.raises(UserCodeError, match="Did you mean 'distance_scaled'") as caught:
        train(late, tmp_path, build_model=function)
    assert caught.value.step == "train"
    assert f"{__file__}:" in str(caught.value)


def test_no_label_says_where_to_name_it(made, tmp_path) -> None:
    with pytest.raises(TrainingError, match=r'Name it in preprocess\(label="..."\)'):
        train(labelled(made, tmp_path / "made", None), tmp_path)
