"""``data`` of ``build_model(data, hp)``."""

from __future__ import annotations

import pickle

import pytest

from fluent_pipe.errors import ArgumentError, TrainingError
from fluent_pipe.training.data import TrainingData
from tests.training_flights import Made, labelled


def test_inputs_match_the_features(data: TrainingData) -> None:
    inputs = data.inputs()
    assert list(inputs) == data.features
    assert "late" not in inputs
    assert inputs["distance_scaled"].shape == (None, 1)
    assert inputs["month"].shape == (None, 1), "a scalar of shape [] is one value too"
    assert inputs["distance_powers"].shape == (None, 2)
    assert inputs["tags_id"].shape == (None, None)
    assert {name: tensor.dtype for name, tensor in inputs.items()}["carrier_id"] == "int64"
    assert data.inputs()["month"] is inputs["month"]


def test_kinds_of_features(data: TrainingData) -> None:
    assert sorted(data.categorical_features) == ["carrier_id", "month", "tags_id"]
    assert sorted(data.numeric_features) == ["distance_powers", "distance_scaled"]


def test_sizes_of_features(data: TrainingData) -> None:
    assert data.vocabulary_size("carrier_id") == 4 + 1, "four carriers and a bucket for others"
    assert data.cardinality("carrier_id") == data.vocabulary_size("carrier_id")
    assert data.cardinality("month") == 13, "seen in the footers of the training rows"
    assert data.transform_output.vocabulary_size_by_name("carrier") == 4


def test_label_and_rows(data: TrainingData) -> None:
    assert (data.label, data.weight, data.task, data.class_count, data.classes) == ("late", None, "binary", 2, [0, 1])
    assert (data.rows("train"), data.rows("eval")) == (240, 60)
    assert sum(data.class_counts()) == 240


def test_a_misspelt_name_is_answered_with_the_right_one(data: TrainingData) -> None:
    with pytest.raises(ArgumentError, match=r"'carier_id' is not a transformed feature.*Did you mean 'carrier_id'"):
        data.vocabulary_size("carier_id")
    with pytest.raises(ArgumentError, match="It is the label"):
        data.cardinality("late")
    with pytest.raises(ArgumentError, match=r"has no vocabulary. There are: carrier_id"):
        data.vocabulary_size("month")
    with pytest.raises(ArgumentError, match="There are: eval, train"):
        data.rows("evil")


def test_a_label_is_needed(made: Made, tmp_path) -> None:
    with pytest.raises(TrainingError, match=r"preprocess\(label="):
        TrainingData(labelled(made, tmp_path, None).graph)


def test_the_weight_is_no_feature(made: Made, tmp_path) -> None:
    data = TrainingData(labelled(made, tmp_path, "arr_delay_minutes", weight="importance").graph)
    assert (data.task, data.weight) == ("regression", "importance")
    assert "importance" not in data.features
    features, label, weight = next(iter(data.batches("train", batch_size=7).dataset()))
    assert (label.shape, weight.shape) == ((7, 1), (7,))
    assert set(features) == set(data.features)


def test_pickles_before_it_has_made_inputs(late: Made) -> None:
    assert pickle.loads(pickle.dumps(TrainingData(late.graph))).features == TrainingData(late.graph).features
