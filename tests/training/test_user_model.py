"""What is said of a ``build_model`` that cannot be used."""

from __future__ import annotations

import keras
import keras_tuner
import pytest

from fluent_pipe.errors import UserCodeError
from fluent_pipe.steps.functions import UserFunction
from fluent_pipe.training.user_model import build, features_used


def built(function, data):
    return build(UserFunction.of(function, name="build_model", call="train"), data, keras_tuner.HyperParameters())


def dense(data, units=1, *, names=("distance_scaled",), compiled=True):
    inputs = {name: data.inputs()[name] for name in names}
    model = keras.Model(
        inputs, keras.layers.Dense(units)(keras.layers.Concatenate()([*inputs.values(), *inputs.values()]))
    )
    if compiled:
        model.compile("sgd", "mse")
    return model


def test_one_argument_is_enough(data) -> None:
    assert isinstance(built(lambda data: dense(data), data), keras.Model)
    assert isinstance(built(lambda data, hp: dense(data, hp.Int("units", 1, 1)), data), keras.Model)


def test_inputs_may_be_a_dict_or_a_list_and_need_not_be_all(data) -> None:
    def of_list(data):
        inputs = data.inputs()
        chosen = [inputs["month"], inputs["distance_scaled"]]
        model = keras.Model(
            chosen, keras.layers.Dense(1)(keras.layers.Concatenate()([keras.ops.cast(chosen[0], "float32"), chosen[1]]))
        )
        model.compile("sgd", "mse")
        return model

    assert features_used(built(of_list, data), data) == [n for n in data.features if n in ("month", "distance_scaled")]
    assert features_used(built(lambda data: dense(data), data), data) == ["distance_scaled"]


def test_a_model_of_ones_own_class_gets_all_features(data) -> None:
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, features):
            return self.dense(features["distance_powers"])

    def own(data):
        model = Own()
        model.compile("sgd", "mse")
        return model

    assert features_used(built(own, data), data) == data.features


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda data: None, "returned nothing. Return the compiled model"),
        (lambda data: 3, "returned int. Return a compiled keras.Model"),
        (lambda data: dense(data, compiled=False), "not compiled. Call model.compile"),
        (lambda data: dense(data, 5), r"shape \[batch, 5\], which does not fit label 'late' \(binary with 2 classes\)"),
        (lambda data: data.inputs()["distance_scald"], "Did you mean 'distance_scaled'"),
        (lambda data: data.vocabulary_size("carier_id"), "Did you mean 'carrier_id'"),
        (lambda data: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(data, function, message) -> None:
    with pytest.raises(UserCodeError, match=message) as caught:
        built(function, data)
    assert f"{__file__}:" in str(caught.value)


def test_an_input_that_is_no_feature_is_named(data) -> None:
    def leaking(data):
        late = keras.Input((1,), name="late")
        model = keras.Model([late], keras.layers.Dense(1)(late))
        model.compile("sgd", "mse")
        return model

    with pytest.raises(UserCodeError, match=r"Model input 'late' is not a transformed feature. It is the label"):
        built(leaking, data)
