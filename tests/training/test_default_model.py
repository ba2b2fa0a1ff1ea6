"""The model that is trained when none is given."""

from __future__ import annotations

import keras
import keras_tuner
import numpy as np
import pytest

from fluent_pipe.training.data import TrainingData
from fluent_pipe.training.default_model import build_model
from fluent_pipe.training.fit import Fitting, fit
from tests.training_flights import labelled


def trained(data: TrainingData, epochs: int = 12):
    keras.utils.set_random_seed(1)
    model = build_model(data, keras_tuner.HyperParameters())
    fitting = Fitting(step="train", train_split="train", validation_split=None, epochs=epochs, batch_size=32)
    return model, fit(model, data, fitting, features=data.features)


def test_it_learns_a_binary_label_and_survives_saving(data, tmp_path) -> None:
    model, history = trained(data)
    assert model.output_shape == (None, 1)
    assert history["auc"][-1] > 0.85
    model.save(tmp_path / "model.keras")
    features, _ = next(iter(data.batches("eval", batch_size=60).dataset()))
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(features, verbose=0), model.predict(features, verbose=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("label", "width", "metric"), [("band", 3, "sparse_categorical_accuracy"), ("arr_delay_minutes", 1, "rmse")]
)
def test_it_fits_the_kind_of_label(made, tmp_path, label, width, metric) -> None:
    model, history = trained(TrainingData(labelled(made, tmp_path, label).graph))
    assert model.output_shape == (None, width)
    values = history[metric]
    assert values[-1] < 15 if metric == "rmse" else values[-1] > 0.6


def test_ids_that_training_never_saw_are_scored(data) -> None:
    model = build_model(data, keras_tuner.HyperParameters())
    row = {
        name: np.zeros((2, *(n or 1 for n in data.feature(name).row_shape)), data.feature(name).dtype)
        for name in data.features
    }
    row["month"] = np.array([[999], [-1]])
    scores = model.predict(row, verbose=0)
    assert scores[0] == scores[1], "both stand on the row for what is not known"


def test_hyperparameters_change_it(data) -> None:
    hp = keras_tuner.HyperParameters()
    small = build_model(data, hp).count_params()
    assert set(hp.values) == {"embedding", "units", "dropout", "layers", "learning_rate"}
    hp.values["units"] = 256
    assert build_model(data, hp).count_params() > small
