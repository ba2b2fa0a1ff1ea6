"""The HTTP side: TensorFlow Serving's REST paths, ``/metrics`` and ``/healthz``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import tensorflow as tf
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from fluent_pipe.serving.batching import Batcher
from fluent_pipe.serving.limits import Limits
from fluent_pipe.serving.metrics import Metrics
from fluent_pipe.serving.model import LoadedModel, reason
from fluent_pipe.serving.rest import PredictRequest, answer, understood
from fluent_pipe.serving.tensors import RequestError
from fluent_pipe.serving.versions import Versions

BIG_BODY = 256 * 1024
"""Bytes from which a body is read in a thread, so that small requests need not wait for it."""
JSON = "application/json"


class Service:
    """One model's paths.

    Parameters
    ----------
    name
        Of the model, in the paths.
    versions
        Started.
    limits
        For requests.
    signature
        Answers requests that name none.
    poll_seconds
        How often the folder is looked at.
    """

    def __init__(
        self,
        name: str,
        versions: Versions,
        limits: Limits,
        *,
        signature: str | None = None,
        poll_seconds: float = 1.0,
    ) -> None:
        self.name = name
        self.metrics = Metrics(name)
        self._versions = versions
        self._limits = limits
        self._signature = signature
        self._poll_seconds = poll_seconds
        self._batcher = Batcher(
            threads=limits.threads,
            max_rows=limits.batch_rows,
            max_waiting=limits.waiting,
            watch=self.metrics.batch_rows.observe,
        )
        versions.changed = self._changed
        self._changed(versions.current)

    def app(self) -> Starlette:
        """The ASGI application."""
        model = "/v1/models/{name}"
        version = model + "/versions/{version}"
        routes = [Route(path + ":predict", self._predict, methods=["POST"]) for path in (model, version)]
        routes += [Route(path + "/metadata", self._metadata) for path in (model, version)]
        routes += [Route(path, self._status) for path in (model, version)]
        routes += [Route("/metrics", self._metrics), Route("/healthz", self._health)]
        handlers: dict[Any, Callable[..., Any]] = {RequestError: _refusal, HTTPException: _not_found, Exception: _fault}
        return Starlette(routes=routes, exception_handlers=handlers, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(self._versions.watch(self._poll_seconds))
        yield
        watching.cancel()
        self._batcher.close()

    def _changed(self, model: LoadedModel) -> None:
        self.metrics.version.set(model.version.number)
        self.metrics.loads.inc()

    async def _predict(self, request: Request) -> Response:
        begun = time.perf_counter()
        status = 500
        try:
            with self._versions.using(self._asked(request)) as model:
                body = await self._body(request)
                content = await self._answer(body, model, begun)
            status = 200
            return Response(content, media_type=JSON)
        except RequestError as error:
            status = error.status
            raise
        except ClientDisconnect:
            status = 499  # as other servers count a client that went away; nobody reads this answer
            return Response(status_code=status)
        finally:
            self.metrics.answered(status, time.perf_counter() - begun)

    async def _answer(self, body: bytes, model: LoadedModel, begun: float) -> bytes:
        asked: PredictRequest = await _run(understood, body, model, self._signature, big=len(body) > BIG_BODY)
        try:
            left = self._limits.seconds - (time.perf_counter() - begun)
            outputs = await asyncio.wait_for(self._batcher.submit(asked), left)
        except (asyncio.TimeoutError, tf.errors.DeadlineExceededError):
            raise RequestError(504, f"The model did not answer within {self._limits.seconds:g} s.") from None
        except tf.errors.InvalidArgumentError as error:
            raise RequestError(400, f"The model refuses the request: {reason(error)}") from None
        except tf.errors.OpError as error:
            raise RequestError(500, f"The model fails: {reason(error)}") from None
        rows = asked.rows or 1
        self.metrics.rows.inc(rows)
        content: bytes = await _run(answer, asked, outputs, big=sum(a.nbytes for a in outputs.values()) > BIG_BODY)
        return content

    async def _body(self, request: Request) -> bytes:
        most = self._limits.request_bytes
        too_large = RequestError(413, f"The request is larger than {most / 1024 / 1024:g} MiB.", fix="Send fewer rows.")
        if int(request.headers.get("content-length", 0)) > most:
            raise too_large
        if request.headers.get("content-encoding", "identity") != "identity":
            raise RequestError(415, "The body is compressed, which this server does not read.")
        parts, size = [], 0

        async def read() -> None:
            nonlocal size
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                if size > most:
                    raise too_large

        try:
            await asyncio.wait_for(read(), self._limits.seconds)
        except asyncio.TimeoutError:
            raise RequestError(408, f"The request did not arrive within {self._limits.seconds:g} s.") from None
        return b"".join(parts)

    async def _status(self, request: Request) -> Response:
        number, found = self._asked(request), self._versions.status()
        one = [each for each in found if number is None or each["version"] == str(number)]
        if not one:
            raise RequestError(404, f"There is no version {number}.", valid=[each["version"] for each in found])
        return _json({"model_version_status": one})

    async def _metadata(self, request: Request) -> Response:
        with self._versions.using(self._asked(request)) as model:
            return _json(
                {
                    "model_spec": {"name": self.name, "signature_name": "", "version": str(model.version.number)},
                    "metadata": {"signature_def": {"signature_def": model.metadata()}},
                }
            )

    async def _metrics(self, request: Request) -> Response:
        self.metrics.waiting.set(self._batcher.waiting)
        self.metrics.broken.set(sum(each["state"] == "END" for each in self._versions.status()))
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def _health(self, request: Request) -> Response:
        return _json({"model": self.name, "version": self._versions.current.version.number})

    def _asked(self, request: Request) -> int | None:
        """The version in the path; None for the one that answers."""
        name = request.path_params["name"]
        if name != self.name:
            raise RequestError(404, f"Model {name!r} is not served here.", got=name, valid=[self.name])
        number = request.path_params.get("version")
        if number is None:
            return None
        if not (number.isascii() and number.isdigit()):
            raise RequestError(404, f"A version is a number, and {number!r} is none.")
        return int(number)


async def _run(function: Callable[..., Any], *arguments: Any, big: bool) -> Any:
    return await asyncio.to_thread(function, *arguments) if big else function(*arguments)


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value, option=orjson.OPT_INDENT_2), status, media_type=JSON)


async def _refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    response = _json({"error": str(error)}, error.status)
    if error.status == 503:
        response.headers["Retry-After"] = "1"
    return response


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    paths = "/v1/models/NAME[/versions/N] with nothing behind it, /metadata or :predict (POST), /metrics, /healthz"
    return _json(
        {"error": f"{request.method} {request.url.path}: {error.detail}. There are: {paths}."}, error.status_code
    )


async def _fault(_: Request, error: Exception) -> Response:  # uvicorn logs the traceback
    return _json({"error": f"The server failed: {type(error).__name__}."}, 500)
