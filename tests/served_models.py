"""Small SavedModels to serve, good ones and real bad ones, as folders that ``train`` could have left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pyarrow as pa
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from fluent_pipe.artifacts import Model

CITIES = ["Graz", "Wien", None, "Linz", "Wien", "Graz"]
ROWS = pa.table({"miles": [0.5, None, 2.0, 12.5, 3.25, 7.0] * 5, "city": CITIES * 5})
EXAMPLES = tf.TensorSpec([None], tf.string, name="examples")
MILES = {"miles": tf.io.FixedLenFeature([1], tf.float32, default_value=0.0)}

Predict = Callable[[tf.Tensor], tf.Tensor]


class Served(tf.Module):
    """One layer over the miles, ``serving_default`` and ``serving_raw``, around ``predict``."""

    def __init__(self, predict: Predict) -> None:
        super().__init__()
        self.weight = tf.Variable([[0.25]])
        self._predict = predict

    @tf.function(input_signature=[EXAMPLES])
    def serving_default(self, examples):
        return self._answer(tf.io.parse_example(examples, MILES)["miles"])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="miles")])
    def serving_raw(self, miles):
        return self._answer(tf.where(tf.math.is_nan(miles), 0.0, miles)[:, None])

    def _answer(self, miles):
        return {"predictions": self._predict(tf.matmul(miles, self.weight))}


def good(folder: Path) -> Model:
    """A model that serves."""
    return save(folder, Served(tf.nn.relu))


def several_outputs(folder: Path) -> Model:
    """Scores, a truth value and a text for each row, as classifiers have them."""

    class Classifier(Served):
        def _answer(self, miles):
            (scores,) = super()._answer(miles).values()
            far = scores[:, 0] > 1.0
            return {"scores": scores, "far": far, "classes": tf.where(far, "far", "near")}

    return save(folder, Classifier(tf.nn.relu))


def answers_nan(folder: Path) -> Model:
    """A logarithm of what may be zero, less itself."""
    return save(folder, Served(lambda x: tf.math.log(x) * 0))


def hangs_on_long_trips(folder: Path) -> Model:
    """A loop without end for trips of more than 100 miles, of which the first rows have none."""
    return save(folder, Served(lambda x: x + _for_ever(while_true=tf.reduce_max(x) > 25)))


def hangs_when_loaded(folder: Path) -> Model:
    """A loop without end in the initializer of a resource."""

    class Resource(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self):
            return tf.raw_ops.HashTableV2(key_dtype=tf.int64, value_dtype=tf.float32, shared_name="endless")

        def _initialize(self):
            with tf.control_dependencies([_for_ever()]):
                keys, values = tf.constant([1], tf.int64), tf.constant([1.0])
                tf.raw_ops.LookupTableImportV2(table_handle=self.resource_handle, keys=keys, values=values)

    def looked_up(x):
        found = tf.raw_ops.LookupTableFindV2(
            table_handle=resource.resource_handle, keys=tf.constant([1], tf.int64), default_value=0.0
        )
        return x + found

    resource = Resource()
    module = Served(looked_up)
    module.resource = resource
    return save(folder, module)


def loads_in_eager_mode_alone(folder: Path) -> Model:
    """A Keras 3 model held by a module: its variables have names that a session does not find."""
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    module = Served(lambda x: model(x))
    module.model = model
    return save(folder, module)


def needs_a_custom_op(folder: Path) -> Model:
    """An op of the graph renamed to one that no TensorFlow has."""
    model = good(folder)
    file = model.serving / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for function in saved.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            node.op = "FancyRelu" if node.op == "Relu" else node.op
    file.write_bytes(saved.SerializeToString())
    return model


def without_serving_default(folder: Path) -> Model:
    """Its signature has another name."""
    module = Served(tf.nn.relu)
    return save(folder, module, signatures={"score": module.serving_default})


def save(folder: Path, module: Any, *, signatures: Any = None) -> Model:
    """``module`` as a Model artifact."""
    names = ("serving_default", "serving_raw")
    tf.saved_model.save(
        module, str(folder / "Format-Serving"), signatures=signatures or {n: getattr(module, n) for n in names}
    )
    (folder / "training.json").write_text(json.dumps({"history": {}, "epochs": 1, "seconds": 0.0}))
    return Model(folder, "m", "train")


def _for_ever(while_true: Any = True) -> tf.Tensor:
    (count,) = tf.while_loop(lambda n: (n >= 0.0) & while_true, lambda n: (n * 0.5,), (tf.constant(1.0),))
    return count
