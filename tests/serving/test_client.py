"""The client: TensorFlow Serving's REST format, and errors that say what to do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fluent_pipe.errors import ServingError
from fluent_pipe.serving.client import Client

Answer = Callable[[str, bytes], tuple[int, str]]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """A server on loopback that gives one answer after another."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code, text = answer(self.path, body)
            self.send_response(code)
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/models/miles"
        server.shutdown()


def status(state: str, message: str = "") -> str:
    version = {"version": "3", "state": state, "status": {"error_code": "OK", "error_message": message}}
    return json.dumps({"model_version_status": [{"version": "1", "state": "END"}, version]})


def test_it_sends_rows_as_tensorflow_serving_takes_them() -> None:
    seen = []

    def answer(path: str, body: bytes) -> tuple[int, str]:
        seen.append((path, json.loads(body)))
        return 200, '{"predictions": [[NaN], [0.5]]}'

    with answering(answer) as url, Client(f"{url}/") as client:
        first, second = client.predict([{"miles": float("nan")}, {"miles": 2.0}], signature="serving_raw")
        assert (first[0] != first[0], second) == (True, [0.5])
    ((path, body),) = seen
    assert path == "/v1/models/miles:predict"
    assert body["signature_name"] == "serving_raw"
    assert body["instances"][1] == {"miles": 2.0}


def test_it_waits_for_a_model_that_loads() -> None:
    states = iter(["START", "LOADING", "AVAILABLE"])
    with answering(lambda *_: (200, status(next(states)))) as url, Client(url) as client:
        client.wait(10)
    late = pytest.raises(ServingError, match=r"not available after 0\.2 s: it is LOADING")
    with answering(lambda *_: (200, status("LOADING"))) as url, Client(url) as client, late:
        client.wait(0.2)


@pytest.mark.parametrize(
    ("code", "text", "said"),
    [
        (404, '{"error": "Could not find any versions of model yards"}', r"no such model \(404\): Could not find any"),
        (404, "<html>not here</html>", r"no such model \(404\)"),
        (400, '{"error": "missing input"}', r"refused the request \(400\): missing input"),
        (503, "", r"refused the request \(503\): Service Unavailable"),
        (200, "hello", "The answer is no JSON: hello"),
        (200, '{"outputs": []}', "holds no predictions"),
    ],
)
def test_what_a_server_may_say_instead(code: int, text: str, said: str) -> None:
    with answering(lambda *_: (code, text)) as url, Client(url) as client:
        with pytest.raises(ServingError, match=said) as caught:
            client.predict([1.0])
        assert caught.value.where == url


def test_a_model_that_the_server_could_not_load() -> None:
    told = pytest.raises(ServingError, match="could not load the model: Op type not registered")
    answer = 200, status("END", "Op type not registered")
    with answering(lambda *_: answer) as url, Client(url) as client, told:
        client.status()


def test_no_server_at_all() -> None:
    with answering(lambda *_: (200, "")) as url:
        pass
    with Client(url) as client, pytest.raises(ServingError, match=r"does not answer: .*refused.* See that it runs"):
        client.status()


def test_an_address_that_is_none() -> None:
    with Client("http://127.0.0.1:99999/v1/models/miles") as client, pytest.raises(ServingError, match="not answer"):
        client.status()
