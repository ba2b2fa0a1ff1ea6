"""What stands before every page: who may ask, and what a browser may do with the answer."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import socket
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fluent_pipe.display.threshold_slider import slider_script

_SLIDER = base64.b64encode(hashlib.sha256(slider_script().encode()).digest()).decode()
PAGE_POLICY = (
    f"default-src 'none'; script-src 'self' 'sha256-{_SLIDER}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Of our pages: scripts are files of ours, and that of the threshold slider; pictures bring styles of their own."""
REPORT_POLICY = (
    "sandbox allow-scripts allow-popups; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Of a report, which holds its script in itself: it runs as if from nowhere, and cannot read our pages."""
HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses requests that name another host, and adds headers to every answer.

    A page elsewhere can have its own name lead to this machine ("DNS rebinding") and would then be read as if it were
    ours; but its requests carry that name.

    Parameters
    ----------
    app
        What answers.
    host
        The address that is listened on.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._host = host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message)
            await send(message)

        if not is_own(Headers(scope=scope).get("host", ""), self._host):
            refusal = PlainTextResponse("This server answers under its own address alone.", 421)
            await refusal(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)


def _add_headers(message: MutableMapping[str, Any]) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers.setdefault(name, value)


def is_own(given: str, host: str) -> bool:
    """Whether a ``Host`` header names this server.

    Parameters
    ----------
    given
        The header.
    host
        The address that is listened on; where that is all of the machine's, its name and any number are its own.

    Examples
    --------
    >>> [is_own(h, "127.0.0.1") for h in ("localhost:8080", "[::1]:8080", "evil.example:8080", "")]
    [True, True, False, False]
    >>> is_own("10.0.0.7:8080", "127.0.0.1"), is_own("10.0.0.7:8080", "0.0.0.0")
    (False, True)
    """
    name = given.lower().rpartition(":")[0] if given.rpartition(":")[2].isdigit() else given.lower()
    name = name.strip("[]")
    if name in ("localhost", host.strip("[]")):
        return True
    number, listening = _address(name), _address(host)
    if listening is not None and listening.is_unspecified:
        return number is not None or name == socket.gethostname().lower()
    return number is not None and number.is_loopback


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
