"""with_base_model() keeps a copy of a model, and the user's function reaches it."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import fluent_pipe as fp
from fluent_pipe.artifacts import BaseModel
from fluent_pipe.components.base import Context
from fluent_pipe.components.base_model import WithBaseModel
from fluent_pipe.errors import ArgumentError, TrainingError
from fluent_pipe.steps.model import WithBaseModel as WithBaseModelStep
from fluent_pipe.training.base_model import load_base_model
from tests.beam_jobs import run

ROW = np.ones((1, 2), "float32")


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input((2,))
    return keras.Model(inputs, keras.layers.Dense(3)(inputs))


def kept(path, folder) -> BaseModel:
    folder.mkdir()
    component = WithBaseModel(WithBaseModelStep(id="with_base_model", path=str(path)), Context("b", str(folder)))
    return BaseModel(run(component), "f", "with_base_model")


def test_a_keras_file(model, tmp_path) -> None:
    model.save(tmp_path / "small.keras")
    made = kept(tmp_path / "small.keras", tmp_path / "out")
    (tmp_path / "small.keras").unlink()
    assert made.facts() == {"source": str(tmp_path / "small.keras"), "format": "keras", "file": "small.keras"}
    loaded = load_base_model(made, endpoint=None)
    np.testing.assert_allclose(loaded(ROW), model(ROW))


def test_a_saved_model(model, tmp_path) -> None:
    model.export(tmp_path / "small", verbose=False)
    made = kept(tmp_path / "small", tmp_path / "out")
    assert (made.summary(), made.model.name) == ("saved_model", "model")
    np.testing.assert_allclose(load_base_model(made, endpoint=None)(ROW), model(ROW), rtol=1e-6)
    with pytest.raises(TrainingError, match=r"no signature 'score'\. There are: serv"):
        load_base_model(made, endpoint="score")


def test_the_folder_of_a_model_artifact_means_its_keras_model(model, tmp_path) -> None:
    (tmp_path / "train" / "Format-Serving").mkdir(parents=True)
    model.save(tmp_path / "train" / "model.keras")
    assert kept(tmp_path / "train", tmp_path / "out").facts()["file"] == "model.keras"


def test_what_is_no_model_is_said_at_the_call(tmp_path) -> None:
    (tmp_path / "versions" / "1").mkdir(parents=True)
    (tmp_path / "versions" / "1" / "saved_model.pb").touch()
    (tmp_path / "old.h5").write_text("weights")
    pipeline = fp.Pipeline("p").from_csv("a.csv")
    for path, words in [
        ("nowhere", "there is no"),
        ("", "holds no model: it holds old.h5, versions"),
        ("versions", "holds models, and is none itself. Name one of them, such as .*versions/1"),
        ("old.h5", "is no .keras file. Save a model with model.save"),
    ]:
        with pytest.raises(ArgumentError, match=words):
            pipeline.with_base_model(tmp_path / path)


def test_a_pipeline_without_one_says_which_call_is_missing() -> None:
    with pytest.raises(TrainingError, match=r"no base model. Call with_base_model\(path\) before this step"):
        load_base_model(None, endpoint=None)
