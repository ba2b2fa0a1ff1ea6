"""A process that serves: takes the port, loads, answers until a signal.

TensorFlow is imported only once the port and the folder are known to be good.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from fluent_pipe.errors import ServingError
from fluent_pipe.serving.folder import some_versions
from fluent_pipe.serving.limits import Limits

if TYPE_CHECKING:
    from fluent_pipe.serving.model import LoadedModel

BACKLOG = 2048


@dataclass(frozen=True)
class Started:
    """A server that answers.

    Parameters
    ----------
    url
        ``http://HOST:PORT``.
    port
        The one that was asked for, or the free one that was found.
    model
        The version that answers.
    """

    url: str
    port: int
    model: LoadedModel


def serve(
    folder: Path,
    name: str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    limits: Limits | None = None,
    signature: str | None = None,
    graceful: bool = True,
    started: Callable[[Started], None],
) -> None:
    """Serve a model until SIGINT or SIGTERM.

    Parameters
    ----------
    folder
        A SavedModel, or a folder that holds one for each version.
    name
        Of the model, in the paths.
    host, port
        Where to listen; port 0 for a free one.
    limits
        For requests.
    signature
        Answers requests that name none; a version without it is not loaded.
    graceful
        On a signal, answer the requests under way first, unless a second one comes. Else signals act as they do.
    started
        Called when the model answers.

    Raises
    ------
    ServingError
        If the port cannot be had, or no version loads.
    KeyboardInterrupt
        After SIGINT.
    """
    limits = limits or Limits()
    with _bound(host, port) as listening:
        some_versions(folder)
        with _quiet_libraries():
            from fluent_pipe.serving.app import Service
            from fluent_pipe.serving.versions import Versions
        gc.freeze()  # the million objects of the libraries stay; walking through them would make answers wait
        versions = Versions(folder, signature, limits.seconds)
        versions.start()
        service = Service(name, versions, limits, signature=signature)
        number = listening.getsockname()[1]
        told = Started(f"http://{f'[{host}]' if ':' in host else host}:{number}", number, versions.current)
        config = uvicorn.Config(
            service.app(),
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=int(limits.seconds) + 1,
            backlog=BACKLOG,
        )
        logging.getLogger("uvicorn.error").addFilter(_no_cancellation)
        server = _Server(config, f"{host}:{port}", lambda: started(told), graceful=graceful)
        server.run(sockets=[listening])
    if signal.SIGINT in server.stopped_by:
        raise KeyboardInterrupt


def _no_cancellation(record: logging.LogRecord) -> bool:
    """A second Ctrl-C cancels what waits; that is no error to tell."""
    return "CancelledError" not in record.getMessage()


class _Server(uvicorn.Server):
    """Tells when it listens; ends quietly on a signal, at once on a second one."""

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
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that has the port, and does not listen yet: who connects is refused until the model answers.

    Another that is as far may have the port too, and then finds out when it listens.
    """
    with _port_errors(f"{host}:{port}"):
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    with bound:
        yield bound


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


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Import TensorFlow without what it says about itself."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with warnings.catch_warnings():
        for noise in (DeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", noise)
        yield
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # the session loader is called deprecated
