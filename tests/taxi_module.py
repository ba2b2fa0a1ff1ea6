"""A module file as people have it for TFX, of tests/trips.py: nothing in it knows of fluent_pipe."""

from __future__ import annotations

import collections

import keras as keras_3  # KerasTuner searches models of the Keras that it finds installed
import keras_tuner
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow import keras
from tfx_bsl.public import tfxio

LABEL = "tipped"


def _fill(column):
    if not isinstance(column, tf.SparseTensor):
        return tf.reshape(column, [-1])
    default = "" if column.dtype == tf.string else 0
    return tf.squeeze(tft.sparse_tensor_to_dense_with_shape(column, [None, 1], default), axis=1)


def preprocessing_fn(inputs):
    return {
        "miles_xf": tft.scale_to_z_score(tf.cast(_fill(inputs["miles"]), tf.float32)),
        "company_xf": tft.compute_and_apply_vocabulary(
            _fill(inputs["company"]), num_oov_buckets=2, vocab_filename="company"
        ),
        LABEL: tf.cast(_fill(inputs[LABEL]), tf.int64),
    }


def _input_fn(file_pattern, data_accessor, tf_transform_output, batch_size=40):
    return data_accessor.tf_dataset_factory(
        file_pattern,
        tfxio.TensorFlowDatasetOptions(batch_size=batch_size, label_key=LABEL),
        tf_transform_output.transformed_metadata.schema,
    ).repeat()


def _serve_examples(model, tf_transform_output):
    model.tft_layer = tf_transform_output.transform_features_layer()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(examples):
        spec = tf_transform_output.raw_feature_spec()
        spec.pop(LABEL)
        features = model.tft_layer(tf.io.parse_example(examples, spec))
        return model({name: features[name] for name in ("miles_xf", "company_xf")})

    return serve


def _model(tf_transform_output, hp, keras=keras):
    miles = keras.layers.Input((), name="miles_xf", dtype=tf.float32)
    company = keras.layers.Input((), name="company_xf", dtype=tf.int64)
    size = tf_transform_output.vocabulary_size_by_name("company") + 2
    row = keras.layers.Embedding(size, 4)(company)
    joined = keras.layers.Concatenate()([keras.layers.Reshape((1,))(miles), row])
    hidden = keras.layers.Dense(hp.get("units"), activation="relu")(joined)
    model = keras.Model({"miles_xf": miles, "company_xf": company}, keras.layers.Dense(1, "sigmoid")(hidden))
    model.compile("adam", "binary_crossentropy", metrics=[keras.metrics.BinaryAccuracy()])
    return model


TunerFnResult = collections.namedtuple("TunerFnResult", ["tuner", "fit_kwargs"])


def tuner_fn(fn_args):
    tf_transform_output = tft.TFTransformOutput(fn_args.transform_graph_path)
    space = keras_tuner.HyperParameters()
    space.Choice("units", fn_args.custom_config["choices"])
    tuner = keras_tuner.RandomSearch(
        lambda hp: _model(tf_transform_output, hp, keras_3),
        objective=keras_tuner.Objective("val_binary_accuracy", "max"),
        max_trials=2,
        hyperparameters=space,
        allow_new_entries=False,
        directory=fn_args.working_dir,
        project_name="taxi",
    )
    return TunerFnResult(
        tuner,
        {
            "x": _input_fn(fn_args.train_files, fn_args.data_accessor, tf_transform_output),
            "validation_data": _input_fn(fn_args.eval_files, fn_args.data_accessor, tf_transform_output),
            "steps_per_epoch": fn_args.train_steps,
            "validation_steps": fn_args.eval_steps,
        },
    )


def run_fn(fn_args):
    tf_transform_output = tft.TFTransformOutput(fn_args.transform_output)
    hp = keras_tuner.HyperParameters()
    if fn_args.hyperparameters:
        hp = keras_tuner.HyperParameters.from_config(fn_args.hyperparameters)
    else:
        hp.Fixed("units", fn_args.custom_config["units"])
    model = _model(tf_transform_output, hp)
    model.fit(
        _input_fn(fn_args.train_files, fn_args.data_accessor, tf_transform_output),
        steps_per_epoch=fn_args.train_steps,
        validation_data=_input_fn(fn_args.eval_files, fn_args.data_accessor, tf_transform_output),
        validation_steps=fn_args.eval_steps,
        callbacks=[keras.callbacks.TensorBoard(log_dir=fn_args.model_run_dir)],
        verbose=0,
    )
    signatures = {"serving_default": _serve_examples(model, tf_transform_output).get_concrete_function()}
    model.save(fn_args.serving_model_dir, save_format="tf", signatures=signatures)
