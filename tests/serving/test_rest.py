"""TensorFlow Serving's REST format, and what is refused: each time with the name of the column."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pyarrow as pa
import pytest

from fluent_pipe.serving.rest import answer, understood
from fluent_pipe.serving.tensors import RequestError
from fluent_pipe.training.raw_inputs import ServedModel, serialized
from tests.trips import rows

ROWS = [{k: v for k, v in row.items() if v != "" and k != "tipped"} for row in rows(20)]


def ask(model, **asked):
    """The answer to a request."""
    request = understood(json.dumps(asked).encode(), model)
    return json.loads(answer(request, request.signature.run(request.arrays)))


def refusal(model, **asked):
    """Why a request is refused."""
    with pytest.raises(RequestError) as error:
        ask(model, **asked)
    assert error.value.status == 400
    return str(error.value)


@pytest.fixture(scope="module")
def expected(finished):
    """Predictions by the model in eager mode."""
    return ServedModel(finished.serving / "1").predict(pa.RecordBatch.from_pylist(ROWS))


def test_rows_of_columns_are_predicted(trips, expected):
    np.testing.assert_allclose(np.ravel(ask(trips, instances=ROWS)["predictions"]), expected, rtol=1e-5)


def test_columns_are_predicted(trips, expected):
    columns = {name: [row.get(name) for row in ROWS] for name in ROWS[0]}
    np.testing.assert_allclose(np.ravel(ask(trips, inputs=columns)["outputs"]), expected, rtol=1e-5)


def test_examples_in_base64_are_predicted(trips, expected):
    batch = pa.RecordBatch.from_pylist(ROWS)
    examples = [{"b64": base64.b64encode(example).decode()} for example in serialized(batch)]
    named = [{"examples": example} for example in examples]
    for instances in (examples, named):
        np.testing.assert_allclose(np.ravel(ask(trips, instances=instances)["predictions"]), expected, rtol=1e-5)
    transformed = ask(trips, instances=examples[:2], signature_name="transform_features")["predictions"]
    assert {"city", "miles"} <= set(transformed[0])


def test_a_missing_value_is_null_or_left_out(trips):
    full, row = ROWS[0], {k: v for k, v in ROWS[0].items() if k != "fare"}
    ways = [row, row | {"fare": None}, row | {"fare": float("nan")}, row | {"fare": []}]
    predictions = ask(trips, instances=[*ways, full])["predictions"]
    assert predictions[0] == predictions[1] == predictions[2] == predictions[3] != predictions[4]


def test_integers_with_gaps_may_be_floats(trips):
    one, other = ask(trips, instances=[ROWS[0], ROWS[0] | {"hour": float(ROWS[0]["hour"])}])["predictions"]
    assert one == other


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"miels": 1.0}, r"takes no column 'miels'. There are: .* Did you mean 'miles'\?"),
        ({"tipped": 1}, "takes no column 'tipped'"),
        ({"miles": "far"}, "Column 'miles' takes float32, got 'far' in row 1"),
        ({"miles": True}, "Column 'miles' takes float32, got true in row 1"),
        ({"miles": 1e300}, "Column 'miles' takes float32, got 1e\\+300, which is out of its range"),
        ({"hour": 1.5}, "Column 'hour' takes int64, got 1.5 in row 1"),
        ({"hour": 2**70}, "Column 'hour' takes int64, got .* in row 1|out of its range"),
        ({"city": 3}, "Column 'city' takes text, got 3 in row 1"),
        ({"city": {"b64": "?"}}, "Column 'city' takes text, got an object other than"),
        ({"city": ["Graz", "Wien"]}, "Column 'city' takes text, got .'Graz', 'Wien'. in row 1"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_by_its_column(trips, row, said):
    assert re.search(said, refusal(trips, instances=[ROWS[0], ROWS[1] | row]))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, 'either "instances"'),
        ({"instances": [], "inputs": {}}, 'either "instances"'),
        ({"instances": []}, "one row or more"),
        ({"instances": [3]}, "no signature|not a list|in place of|takes"),
        ({"instances": [{"city": "Graz"}, 3]}, "Row 1 is no object"),
        ({"inputs": {"city": []}}, "holds no rows"),
        ({"inputs": {"city": "Graz"}}, "holds no rows"),
        ({"inputs": {"city": ["Graz", "Wien"], "hour": [1]}}, "Column 'hour' has 1 rows, and column"),
        ({"instances": [{}], "signature_name": []}, "no signature .."),
        ({"instances": [{}], "signature_nam": "x"}, "Did you mean 'signature_name'"),
        (
            {"instances": [{}], "signature_name": "serving_rawr"},
            "no signature 'serving_rawr'.*'serving_raw'",
        ),
    ],
)
def test_a_request_of_another_form_is_refused(trips, asked, said):
    assert re.search(said, refusal(trips, **asked))


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", b"nothing"])
def test_what_is_not_a_json_object_is_refused(trips, body):
    with pytest.raises(RequestError, match="JSON"):
        understood(body, trips)


def test_a_model_of_another_maker_is_served(other):
    assert ask(other, instances=[1.0, 2, 4]) == {"predictions": [2.5, 3.0, 4.0]}
    assert ask(other, instances=[{"x": 1.0}]) == {"predictions": [2.5]}
    assert ask(other, inputs=[1.0, 2.0]) == {"outputs": [2.5, 3.0]}
    assert ask(other, inputs={"x": [1.0]}) == {"outputs": [2.5]}
    image = [[1, 2], [3, 4]]
    assert ask(other, instances=[image, image], signature_name="diagonal") == {"predictions": [[1, 4], [1, 4]]}


def test_several_outputs_and_bytes(other):
    row = {"number": 3, "text": "graz"}
    told = {"double": 6, "upper": "GRAZ", "as_bytes": {"b64": base64.b64encode(b"graz").decode()}}
    assert ask(other, instances=[row, row], signature_name="several") == {"predictions": [told, told]}
    columns = {"number": [3], "text": [{"b64": base64.b64encode(b"graz").decode()}]}
    assert ask(other, inputs=columns, signature_name="several") == {"outputs": {k: [v] for k, v in told.items()}}


def test_an_output_that_is_no_number_becomes_null(other):
    request = understood(b'{"instances": [NaN, Infinity, 1]}', other)
    assert json.loads(answer(request, request.signature.run(request.arrays))) == {"predictions": [None, None, 2.5]}


def test_columns_of_several_values_are_filled_up(other):
    rows = [{"tags": ["a", "b"]}, {"tags": []}, {}, {"tags": "c"}]
    assert ask(other, instances=rows) == {"predictions": [2, 0, 0, 1]}


def test_an_output_that_is_not_by_row_is_had_as_columns(other):
    assert ask(other, inputs=[1.0, 2.0], signature_name="twice") == {"outputs": [1, 2, 1, 2]}
    assert "is not by row. Ask with" in refusal(other, instances=[1.0, 2.0], signature_name="twice")


@pytest.mark.parametrize(
    ("signature", "instances", "said"),
    [
        ("serving_default", [None], "Input 'x' takes float32, got null in row 0"),
        ("serving_default", [[1.0]], "Input 'x' takes float32, got .1.0. in row 0"),
        ("several", [{"number": 1}], "There is no input 'text'"),
        ("several", [{"number": 1, "text": "a"}, {"number": 1}], "Row 1 has no input 'text'"),
        ("several", [{"number": 2**40, "text": "a"}], "Input 'number' takes int32, got 1099511627776, which is out"),
        ("diagonal", [[1.0, 2.0]], r"Input 'image' takes float32 of shape \[any, 2, 2\], got 1.0 in place of a list"),
        ("diagonal", [[[1, 2], [3]]], "got rows of 1 and of 2 values"),
        ("diagonal", [[[1, 2, 3]]], r"got \[1, 1, 3\]"),
    ],
)
def test_what_does_not_fit_another_makers_signature_is_refused(other, signature, instances, said):
    assert re.search(said, refusal(other, instances=instances, signature_name=signature))
