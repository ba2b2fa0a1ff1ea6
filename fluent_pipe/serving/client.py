"""A client of a prediction server, over TensorFlow Serving's REST paths.

Format: https://www.tensorflow.org/tfx/serving/api_rest. Missing floats are sent and received as ``NaN``, as TensorFlow
Serving has them; bytes as ``{"b64": ...}``.
"""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from fluent_pipe.errors import ServingError

if TYPE_CHECKING:
    from typing_extensions import Self

REQUEST_SECONDS = 30.0
"""Longest wait for one answer. Only a model that hangs takes so long."""


class Client:
    """Asks one served model; keeps its connection open.

    Parameters
    ----------
    url
        Of the model: ``http://localhost:8501/v1/models/flights``, or a version of it: ``.../versions/3``.
    seconds
        Longest wait for one answer. Default: ``REQUEST_SECONDS``.
    """

    def __init__(self, url: str, *, seconds: float | None = None) -> None:
        self.url = url.rstrip("/")
        self._seconds = REQUEST_SECONDS if seconds is None else seconds
        # A proxy of the environment is for the world outside, not for this machine.
        self._http = httpx.Client(timeout=self._seconds, trust_env=not _is_loopback(url))

    def status(self) -> str:
        """The state of the newest version: ``AVAILABLE``, ``LOADING``, ``START``, ``UNLOADING`` or ``END``.

        Raises
        ------
        ServingError
            If the server does not answer, does not know the model, or could not load it.
        """
        answer = self._ask("GET", self.url)
        versions = answer.get("model_version_status") if isinstance(answer, dict) else None
        if not versions:
            raise ServingError(
                "The answer is not that of TensorFlow Serving's model status.",
                where=self.url,
                fix="The URL is http://HOST:PORT/v1/models/NAME.",
            )
        newest = max(versions, key=lambda version: int(version.get("version", 0)))
        problem = newest.get("status", {}).get("error_message")
        if problem:
            raise ServingError(f"The server could not load the model: {problem}", where=self.url)
        return str(newest.get("state"))

    def wait(self, seconds: float, *, watch: Callable[[], None] = lambda: None) -> None:
        """Wait until the server that answers has loaded the model.

        Parameters
        ----------
        seconds
            How long.
        watch
            Called ten times a second; what it raises ends the wait.

        Raises
        ------
        ServingError
            At once, if the server does not answer or does not know the model; later, if it has not loaded it in time.
        """
        end = time.monotonic() + seconds
        while (state := self.status()) != "AVAILABLE":
            watch()
            if time.monotonic() > end:
                raise ServingError(f"The model is not available after {seconds:g} s: it is {state}.", where=self.url)
            time.sleep(0.1)

    def predict(self, instances: Sequence[Any], *, signature: str = "serving_default") -> list[Any]:
        """Predictions for ``instances``, one a row.

        Parameters
        ----------
        instances
            Rows: a mapping of inputs each, or the value itself where the signature takes one input.
        signature
            Name of the signature.

        Returns
        -------
        list
            As many: a mapping of outputs each, or the value itself where the signature has one output.

        Raises
        ------
        ServingError
            If the server does not answer in time, or refuses.
        """
        return self.answer(encoded(instances, signature=signature))

    def answer(self, body: bytes) -> list[Any]:
        """Predictions for a request that was encoded before; see :meth:`predict`."""
        answer = self._ask("POST", f"{self.url}:predict", body)
        predictions = answer.get("predictions") if isinstance(answer, dict) else None
        if not isinstance(predictions, list):
            raise ServingError(f"The answer holds no predictions: {_short(json.dumps(answer))}", where=self.url)
        return predictions

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _ask(self, method: str, url: str, body: bytes | None = None) -> Any:
        headers = {"Content-Type": "application/json"} if body else None
        try:
            response = self._http.request(method, url, content=body, headers=headers)
        except httpx.TimeoutException as error:
            raise ServingError(
                f"The server did not answer within {self._seconds:g} s.",
                where=self.url,
                fix="The model hangs, or the server is far too busy.",
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServingError(
                f"The server does not answer: {str(error) or type(error).__name__}.",
                where=self.url,
                fix="See that it runs, and listens at this address.",
            ) from error
        return self._read(response)

    def _read(self, response: httpx.Response) -> Any:
        try:
            answer = json.loads(response.content)
        except ValueError:
            answer = None
        if response.is_success and answer is not None:
            return answer
        said = answer.get("error") if isinstance(answer, dict) else None
        text = _short(str(said or response.text or response.reason_phrase))
        if response.status_code == httpx.codes.NOT_FOUND:
            raise ServingError(
                f"The server knows no such model (404): {text}",
                where=self.url,
                fix="The URL is http://HOST:PORT/v1/models/NAME, with the name that the server has for the model.",
            )
        if response.is_success:
            raise ServingError(f"The answer is no JSON: {text}", where=self.url)
        raise ServingError(f"The server refused the request ({response.status_code}): {text}", where=self.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def encoded(instances: Sequence[Any], *, signature: str) -> bytes:
    """The body of a request for predictions."""
    # Not orjson: it has no NaN, which stands for a missing float.
    return json.dumps({"signature_name": signature, "instances": list(instances)}).encode()


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _short(text: str, *, most: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}..."
