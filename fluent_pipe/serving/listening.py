"""A port that is had before anything slow begins, and a server on it that ends quietly on a signal."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from fluent_pipe.errors import ServingError


class Server(uvicorn.Server):
    """Tells when it listens; ends quietly on a signal, at once on a second one.

    Parameters
    ----------
    config
        Of uvicorn.
    where
        Host and port, for errors.
    started
        Called when it listens.
    graceful
        Whether to take SIGINT and SIGTERM; else they act as they do.

    Attributes
    ----------
    stopped_by
        The signals that came.
    """

    def __init__(self, config: uvicorn.Config, where: str, started: Callable[[], None], *, graceful: bool) -> None:
        super().__init__(config)
        self._where = where
        self._tell = started
        self._graceful = graceful
        self.stopped_by: list[int] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        with _port_errors(self._where):
            await super().startup(sockets)
        self._tell()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        numbers = (signal.SIGINT, signal.SIGTERM) if self._graceful else ()
        before = {number: signal.signal(number, self._stop) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: Any) -> None:
        self.stopped_by.append(number)
        self.force_exit = self.should_exit
        self.should_exit = True


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that has the port, and does not listen yet: who connects is refused until the server is ready.

    Another that is as far may have the port too, and then finds out when it listens.

    Parameters
    ----------
    host, port
        Where; port 0 for a free one.

    Raises
    ------
    ServingError
        If the port cannot be had.
    """
    with _port_errors(f"{host}:{port}"):
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
    with listening:
        yield listening


def address(host: str, port: int) -> str:
    """The URL of a server on this machine.

    Examples
    --------
    >>> address("::1", 8501)
    'http://[::1]:8501'
    """
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@contextmanager
def _port_errors(where: str) -> Iterator[None]:
    try:
        yield
    except (OSError, OverflowError) as error:
        raise ServingError(
            f"The port cannot be had: {getattr(error, 'strerror', None) or error}.",
            where=where,
            fix="Give another --port, or 0 for a free one.",
        ) from error
