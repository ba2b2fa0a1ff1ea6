"""Requests that wait at the same time are answered by one run of the graph.

Nothing waits for others to come: a request runs at once where a thread is free, and what arrives meanwhile forms the
next batch. So an idle server adds no delay, and a busy one has larger batches the busier it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import tensorflow as tf

from fluent_pipe.serving.model import Arrays
from fluent_pipe.serving.rest import PredictRequest
from fluent_pipe.serving.tensors import RequestError, padded

Answer = Arrays | BaseException


@dataclass(eq=False)
class _Waiting:
    request: PredictRequest
    answer: asyncio.Future[Arrays]
    key: object


class Batcher:
    """Runs requests in threads, together where that is possible. Belongs to one event loop.

    Requests share a batch where they ask the same signature of the same version, each row is answered by itself, and
    the rows have the same shape; raw columns of several values are filled up to the longest. A batch that fails is
    halved until what fails is alone, so that an error is its own request's.

    Parameters
    ----------
    threads
        Batches that run at once.
    max_rows
        Most rows in a batch; a single request may have more. 1 switches batching off.
    max_waiting
        Requests that may wait; one more is refused.
    watch
        Told the rows of each batch.
    """

    def __init__(self, *, threads: int, max_rows: int, max_waiting: int, watch: Callable[[int], None]) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self._free = threads
        self._max_rows = max_rows
        self._max_waiting = max_waiting
        self._watch = watch
        self._waiting: deque[_Waiting] = deque()

    @property
    def waiting(self) -> int:
        """Requests that are not running yet."""
        return len(self._waiting)

    def submit(self, request: PredictRequest) -> asyncio.Future[Arrays]:
        """Queue a request. A future that is cancelled before its turn is not run.

        Raises
        ------
        RequestError
            With status 503, if too many wait.
        """
        if len(self._waiting) >= self._max_waiting:
            raise RequestError(503, f"{self._max_waiting} requests wait already.", fix="Try again later.")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(request, loop.create_future(), self._key(request))
        self._waiting.append(waiting)
        loop.call_soon(self._start)  # after those that arrived with it
        return waiting.answer

    def close(self) -> None:
        """Start no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _key(self, request: PredictRequest) -> object:
        signature = request.signature
        if self._max_rows == 1 or not signature.by_row or request.rows is None:
            return object()  # like no other
        widths = () if signature.takes_columns else tuple(a.shape[1:] for a in request.arrays.values())
        return (id(signature), widths)

    def _start(self) -> None:
        while self._free and (batch := self._take()):
            self._free -= 1
            self._watch(sum(w.request.rows or 1 for w in batch))
            running = asyncio.get_running_loop().run_in_executor(self._pool, answers, [w.request for w in batch])
            running.add_done_callback(partial(self._finish, batch))

    def _take(self) -> list[_Waiting]:
        """The first that waits, and those behind it that can share its batch."""
        batch: list[_Waiting] = []
        rest: deque[_Waiting] = deque()
        room = self._max_rows
        for waiting in self._waiting:
            rows = waiting.request.rows or 1
            if waiting.answer.cancelled():
                continue
            if not batch or (waiting.key == batch[0].key and rows <= room):
                batch.append(waiting)
                room -= rows
            else:
                rest.append(waiting)
        self._waiting = rest
        return batch

    def _finish(self, batch: list[_Waiting], done: asyncio.Future[list[Answer]]) -> None:
        self._free += 1
        for waiting, answer in zip(batch, done.result(), strict=True):
            if waiting.answer.done():  # its client gave up
                continue
            if isinstance(answer, BaseException):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)
        self._start()


def answers(requests: Sequence[PredictRequest]) -> list[Answer]:
    """Outputs for each request, or its error."""
    try:
        return list(_together(requests)) if len(requests) > 1 else [requests[0].signature.run(requests[0].arrays)]
    except tf.errors.DeadlineExceededError as error:
        return [error] * len(requests)  # nobody waits any more
    except Exception as error:
        if len(requests) == 1:
            return [error]
    half = len(requests) // 2
    return answers(requests[:half]) + answers(requests[half:])


def _together(requests: Sequence[PredictRequest]) -> Sequence[Arrays]:
    signature = requests[0].signature
    joined = {n: padded([r.arrays[n] for r in requests], each) for n, each in signature.inputs.items()}
    outputs = signature.run(joined)
    rows = [request.rows or 0 for request in requests]
    if any(array.ndim == 0 or len(array) != sum(rows) for array in outputs.values()):
        signature.by_row = False  # the shapes did not tell; from now on each request runs alone
        raise RequestError(500, f"Signature {signature.name!r} does not answer by row.")
    ends = np.cumsum(rows)[:-1]
    parts = {name: np.split(array, ends) for name, array in outputs.items()}
    return [{name: arrays[i] for name, arrays in parts.items()} for i in range(len(requests))]
