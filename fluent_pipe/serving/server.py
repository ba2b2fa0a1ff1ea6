"""A process that serves: takes the port, loads, answers until a signal.

TensorFlow is imported only once the port and the folder are known to be good.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from fluent_pipe.serving.folder import some_versions
from fluent_pipe.serving.limits import Limits
from fluent_pipe.serving.listening import Server, address, bound

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
    with bound(host, port) as listening:
        some_versions(folder)
        with _quiet_libraries():
            from fluent_pipe.serving.app import Service
            from fluent_pipe.serving.versions import Versions
        gc.freeze()  # the million objects of the libraries stay; walking through them would make answers wait
        versions = Versions(folder, signature, limits.seconds)
        versions.start()
        service = Service(name, versions, limits, signature=signature)
        number = listening.getsockname()[1]
        told = Started(address(host, number), number, versions.current)
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
        server = Server(config, f"{host}:{port}", lambda: started(told), graceful=graceful)
        server.run(sockets=[listening])
    if signal.SIGINT in server.stopped_by:
        raise KeyboardInterrupt


def _no_cancellation(record: logging.LogRecord) -> bool:
    """A second Ctrl-C cancels what waits; that is no error to tell."""
    return "CancelledError" not in record.getMessage()


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Import TensorFlow without what it says about itself."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with warnings.catch_warnings():
        for noise in (DeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", noise)
        yield
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # the session loader is called deprecated
