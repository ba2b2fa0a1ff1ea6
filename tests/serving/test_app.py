"""The HTTP side in this process: paths, statuses and limits."""

from __future__ import annotations

import threading
import time

import pytest
from starlette.testclient import TestClient

from fluent_pipe.serving.app import Service
from fluent_pipe.serving.limits import Limits
from fluent_pipe.serving.versions import Versions

PREDICT = "/v1/models/other:predict"


@pytest.fixture(scope="module")
def client(other_folder):
    limits = Limits(request_bytes=2000, seconds=0.5, waiting=1, threads=1)
    versions = Versions(other_folder, seconds=limits.seconds)
    versions.start()
    with TestClient(Service("other", versions, limits).app()) as client:
        yield client


def error(response):
    assert set(response.json()) == {"error"}
    return response.status_code, response.json()["error"]


def test_status_and_metadata_are_those_of_tensorflow_serving(client):
    ok = {"error_code": "OK", "error_message": ""}
    status = {"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": ok}]}
    assert client.get("/v1/models/other").json() == client.get("/v1/models/other/versions/1").json() == status
    metadata = client.get("/v1/models/other/metadata").json()
    assert metadata["model_spec"] == {"name": "other", "signature_name": "", "version": "1"}
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"
    assert signatures["serving_default"]["inputs"]["x"] == {
        "dtype": "DT_FLOAT",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
        "name": "serving_default_x:0",
    }


def test_predict_by_version(client):
    asked = {"instances": [2.0]}
    assert client.post("/v1/models/other/versions/1:predict", json=asked).json() == {"predictions": [3.0]}
    assert error(client.post("/v1/models/other/versions/2:predict", json=asked)) == (
        404,
        "Version 2 is not served. There are: 1.",
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/v1/models/othr", 404, "Model 'othr' is not served here. There are: other. Did you mean 'other'?"),
        ("POST", "/v1/models/othr:predict", 404, "Did you mean 'other'?"),
        ("GET", "/v1/models/other/versions/7", 404, "There is no version 7. There are: 1."),
        ("GET", "/v1/models/other/versions/new/metadata", 404, "A version is a number, and 'new' is none."),
        ("GET", "/v1/models/other:predict", 404, "Model 'other:predict' is not served here."),
        ("POST", "/v1/models/other:classify", 405, "Method Not Allowed"),
        ("GET", "/favicon.ico", 404, "/v1/models/NAME"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(client, method, path, status, said):
    code, text = error(client.request(method, path))
    assert code == status
    assert said in text


def test_a_request_that_is_too_large_is_refused(client):
    def parts():
        for _ in range(300):
            yield b'{"instances": ['

    assert error(client.post(PREDICT, content=b" " * 2001))[0] == 413
    code, text = error(client.post(PREDICT, content=parts()))
    assert code == 413
    assert "larger than" in text


def test_a_compressed_request_is_refused(client):
    assert error(client.post(PREDICT, content=b"{}", headers={"Content-Encoding": "gzip"}))[0] == 415


def test_a_model_that_is_too_slow_and_too_many_requests(client):
    slow = {"instances": [10**12], "signature_name": "slow"}
    answers = []

    def ask():
        answers.append(client.post(PREDICT, json=slow))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert sorted(a.status_code for a in answers) == [503, 504, 504]
    refused = next(a for a in answers if a.status_code == 503)
    assert refused.headers["retry-after"] == "1"
    time.sleep(0.5)
    assert client.post(PREDICT, json={"instances": [1]}).status_code == 200  # what nobody waits for has been broken off


def test_what_the_model_refuses_is_the_clients_error(client):
    code, text = error(client.post(PREDICT, json={"instances": [0.0], "signature_name": "inverse"}))
    assert code == 400
    assert "x is zero" in text


def test_metrics_and_health(client):
    client.post(PREDICT, json={"instances": [1, 2, 3]})
    assert client.get("/healthz").json() == {"model": "other", "version": 1}
    told = client.get("/metrics").text
    assert 'fluent_pipe_requests_total{model="other",status="200"}' in told
    assert 'fluent_pipe_requests_total{model="other",status="413"} 2.0' in told
    assert 'fluent_pipe_model_version{model="other"} 1.0' in told
    for name in ("rows_total", "request_seconds_bucket", "batch_rows_bucket", "waiting_requests", "model_loads_total"):
        assert f"fluent_pipe_{name}" in told
