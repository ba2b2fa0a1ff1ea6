"""Predictions as columns, and the rows that a model cannot answer."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluent_pipe.errors import InputError
from fluent_pipe.training.scoring import Outputs, score


def columns(outputs: Outputs, *predictions: list[float]) -> dict[str, list]:
    return {n: c.to_pylist() for n, c in outputs.columns(np.array(predictions, np.float32)).items()}


def test_one_number_is_the_prediction():
    assert columns(Outputs("regression"), [1.5], [-2]) == {"prediction": [1.5, -2]}
    assert columns(Outputs("binary"), [0.25]) == {"prediction": [0.25]}
    assert columns(Outputs("binary"), [0.75, 0.25]) == {"prediction": [0.25]}, "that of the second class"


def test_of_several_classes_the_likeliest_is_named():
    told = columns(Outputs("multiclass", ("red", "green", "blue")), [0.25, 0.5, 0.25])
    assert told == {"prediction": ["green"], "probability": [0.5], "probabilities": [[0.25, 0.5, 0.25]]}
    assert columns(Outputs("multiclass"), [0, 0, 1])["prediction"] == [2]


def test_what_is_of_no_known_task_is_a_list():
    assert columns(Outputs(), [1, 2]) == {"prediction": [[1, 2]]}
    assert Outputs().columns(np.array([[b"a"], [b"b"]], object))["prediction"].to_pylist() == ["a", "b"]


@given(st.lists(st.sampled_from(["good", "raises", "nan"]), min_size=1, max_size=60))
def test_rows_that_fail_are_told_apart_and_the_others_keep_their_order(kinds):
    calls = 0

    def predict(batch: pa.RecordBatch) -> np.ndarray:
        nonlocal calls
        calls += 1
        row = batch.column(0).to_pylist()
        if any(kinds[i] == "raises" for i in row):
            raise ValueError("no answer\n[[{{node X}}]]")
        return np.array([np.nan if kinds[i] == "nan" else i for i in row], np.float32)

    aside: dict[int, str] = {}
    batch = pa.RecordBatch.from_pydict({"row": list(range(len(kinds)))})
    predictions, good = score(predict, batch, Outputs(), aside.__setitem__)
    assert good.tolist() == [kind == "good" for kind in kinds]
    expected = [i for i, kind in enumerate(kinds) if kind == "good"]
    assert (predictions["prediction"].to_pylist() if predictions else []) == expected
    reasons = {"raises": "no answer", "nan": "the prediction is not a number (NaN or infinite)"}
    assert aside == {i: reasons[kind] for i, kind in enumerate(kinds) if kind != "good"}
    raising = kinds.count("raises")
    assert calls <= 1 + 2 * raising * np.ceil(np.log2(len(kinds)) + 1)


def test_a_prediction_for_the_whole_batch_is_none():
    with pytest.raises(InputError, match=r"shape \[1\] for 2 rows"):
        score(lambda _: np.zeros(1), pa.RecordBatch.from_pydict({"a": [1, 2]}), Outputs(), lambda *_: None)
