"""Requests to a served model, side by side and looked after: their answers and how long each took."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import Any, TypeVar

from fluent_pipe.errors import ServingError
from fluent_pipe.serving.client import Client

T = TypeVar("T")

WARM_UP = 5
"""Requests of each connection before those that are timed."""


class Timing:
    """Requests that several threads take from one list, each over a connection of its own that is kept open.

    Parameters
    ----------
    url
        Of the model.
    bodies
        Encoded requests; sent in turn, again and again.
    requests
        How many are timed, over all threads.

    Attributes
    ----------
    seconds
        Of each answer so far.
    stopped
        Set it, and the threads end after the request that they wait for.
    """

    def __init__(self, url: str, bodies: Sequence[bytes], requests: int) -> None:
        self._url = url
        self._bodies = bodies
        self._next = iter(range(requests))
        self.seconds: list[float] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        """Send requests until none is left; in each thread."""
        with Client(self._url) as client:
            for body in itertools.islice(itertools.cycle(self._bodies), WARM_UP):
                client.answer(body)
            for number in self._next:
                if self.stopped.is_set():
                    return
                begun = time.perf_counter()
                client.answer(self._bodies[number % len(self._bodies)])
                self.seconds.append(time.perf_counter() - begun)


def predictions(client: Client, signature: str, batches: Sequence[Sequence[Any]]) -> list[Any]:
    """Predictions of one signature for batches of rows; one a row.

    Raises
    ------
    ServingError
        If the server does not answer, or not for every row.
    """
    rows: list[Any] = []
    for batch in batches:
        try:
            answer = client.predict(batch, signature=signature)
        except ServingError as error:
            error.where = f"signature {signature!r}"
            raise
        if len(answer) != len(batch):
            raise ServingError(f"The server gave {len(answer)} answers to {len(batch)} rows of {signature!r}.")
        rows += answer
    return rows


def attended(jobs: Sequence[Callable[[], T]], watch: Callable[[], None]) -> list[T]:
    """Do all jobs side by side; what one of them, or ``watch``, raises ends the wait.

    The threads are daemons: one that waits for a server that hangs keeps no process from ending.
    """
    futures: list[Future[T]] = [Future() for _ in jobs]
    for job, future in zip(jobs, futures, strict=True):
        threading.Thread(target=_into, args=(future, job), daemon=True).start()
    while True:
        done, waiting = wait(futures, timeout=0.1, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
        if not waiting:
            return [future.result() for future in futures]
        watch()


def _into(future: Future[T], job: Callable[[], T]) -> None:
    try:
        future.set_result(job())
    except BaseException as error:
        future.set_exception(error)
