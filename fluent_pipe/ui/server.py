"""The page over runs as a process: takes the port, opens the store, answers until a signal."""

from __future__ import annotations

import signal
from collections.abc import Callable

import uvicorn

from fluent_pipe.mirror import Root
from fluent_pipe.serving.listening import Server, address, bound
from fluent_pipe.ui.app import Pages
from fluent_pipe.ui.history import History

LAST_ANSWERS_SECONDS = 3


def serve(
    root: Root,
    metadata: str | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    started: Callable[[str], None],
) -> None:
    """Show the runs of a root until SIGINT or SIGTERM.

    Parameters
    ----------
    root
        Where the pipelines lie.
    metadata
        URL of the metadata store, where it is not in the root.
    host, port
        Where to listen; port 0 for a free one.
    started
        Called with the URL when it answers.

    Raises
    ------
    ServingError
        If the port cannot be had.
    StoreError
        If there is no store, or it cannot be read.
    KeyboardInterrupt
        After SIGINT.
    """
    with bound(host, port) as listening:
        pages = Pages(History(root, metadata))
        url = address(host, listening.getsockname()[1])
        config = uvicorn.Config(
            pages.app(host),
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
        )
        server = Server(config, f"{host}:{port}", lambda: started(url), graceful=True)
        server.run(sockets=[listening])
    if signal.SIGINT in server.stopped_by:
        raise KeyboardInterrupt
