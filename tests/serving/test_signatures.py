"""Signatures from the file, rows as they take them, and answers as arrays."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from fluent_pipe.errors import ArgumentError, ServingError
from fluent_pipe.serving.signatures import Signature, instances, read_signatures
from tests import served_models

(BATCH,) = served_models.ROWS.slice(0, 3).to_batches()
(CITIES,) = served_models.ROWS.select(["city"]).to_batches()


def test_a_model_s_signatures_and_the_rows_that_they_take(tmp_path: Path) -> None:
    found = read_signatures(served_models.good(tmp_path).serving)
    assert sorted(found) == ["serving_default", "serving_raw"]
    assert found["serving_raw"].outputs == ("predictions",)

    columns = found["serving_raw"].tensors(BATCH)
    assert instances(columns)[0] == {"miles": 0.5}
    assert np.isnan(instances(columns)[1]["miles"])

    (first, *_) = instances(found["serving_default"].tensors(BATCH))
    example = tf.train.Example.FromString(base64.b64decode(first["examples"]["b64"]))
    assert example.features.feature["city"].bytes_list.value == [b"Graz"]

    with pytest.raises(ArgumentError, match="needs column 'miles'"):
        found["serving_raw"].tensors(CITIES)


@pytest.mark.parametrize(
    ("predictions", "array"),
    [
        ([[0.5], [None]], [[0.5], [np.nan]]),
        ([1, 2], [1, 2]),
        ([True, False], [True, False]),
        (["Graz", "Linz"], [b"Graz", b"Linz"]),
        ([[{"b64": "AAE="}], ["Wien"]], [[b"\0\1"], [b"Wien"]]),
    ],
)
def test_answers_of_one_output(predictions, array) -> None:
    got = Signature("serving_default", {}, ("scores",)).read(predictions)["scores"]
    np.testing.assert_array_equal(got, np.array(array, got.dtype))
    named = Signature("serving_default", {}, ("scores", "x")).read([{"scores": p, "x": 0} for p in predictions])
    np.testing.assert_array_equal(named["scores"], got)


def test_answers_that_do_not_fit() -> None:
    signature = Signature("serving_default", {}, ("classes", "scores"))
    with pytest.raises(ServingError, match=r"has no output 'classes'\. There are: score, scores"):
        signature.read([{"score": 1, "scores": 2}])
    with pytest.raises(ServingError, match="output 'classes' are not of one shape"):
        signature.read([{"classes": [1], "scores": 1}, {"classes": [1, 2], "scores": 1}])


def test_folders_that_hold_no_model(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="no SavedModel that can be read"):
        read_signatures(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"not a graph")
    with pytest.raises(ServingError, match="no SavedModel that can be read"):
        read_signatures(tmp_path)
