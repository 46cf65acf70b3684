"""The HTTP server of the page in the browser, and its access control.

Bound to a loopback address, requests of another origin, or under a host name that is not local, are
refused (cross-site request forgery, DNS rebinding). Bound to any other address, every request also needs the
token of the printed URL. No path ever comes from the browser: backgrounds are chosen by index, uploads get
generated names in a private folder, and downloads are found by name in the list of files that this
session wrote.
"""

from __future__ import annotations

import secrets
import socket
import tempfile
import threading
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from autohair_video.errors import AutohairError, OptionError, OutputError
from autohair_video.live.session import LiveSession
from autohair_video.live.web.handlers import (
    HEADERS,
    FrameFeed,
    Handlers,
    app_error_response,
    http_error_response,
)

_COOKIE: Final = "autohair-token"
_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``.

    >>> parse_address("127.0.0.1:8000"), parse_address("[::1]:80")
    (('127.0.0.1', 8000), ('::1', 80))

    Raises:
        OptionError: it is none.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise OptionError(f"address {text!r} is not HOST:PORT, like 127.0.0.1:8000")
    return host.strip("[]"), int(port)


def is_local(host: str) -> bool:
    """Whether a bound host is reachable from this machine only.

    >>> is_local("localhost"), is_local("127.0.0.2"), is_local("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _public_host(host: str) -> str:
    """The host of the page's URL: for 0.0.0.0, the address of the default route's interface."""
    if host != "0.0.0.0":
        return socket.gethostname() if host == "::" else f"[{host}]" if ":" in host else host
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # an address from the range reserved for documentation; connecting UDP sends nothing
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
    return socket.gethostname()


class Server:
    """Serves the page of a session on a thread of its own until `close`.

    Raises:
        OptionError: ``address`` is not HOST:PORT.
        OutputError: the port is taken or not allowed.
    """

    def __init__(self, live: LiveSession, address: str) -> None:
        host, port = parse_address(address)
        token = None if is_local(host) else secrets.token_urlsafe(16)
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family)
        except OSError as exc:
            raise OutputError(f"cannot serve at {address} ({exc.strerror}): choose another port") from exc
        self._folder = tempfile.TemporaryDirectory(prefix="autohair-live-")
        self.url = f"http://{_public_host(host)}:{self._socket.getsockname()[1]}/" + (
            f"?token={token}" if token else ""
        )
        live.settings.add_background("blur")
        feed = FrameFeed(live)
        live.viewers.append(feed.put)
        app = Starlette(
            routes=Handlers(live, feed, Path(self._folder.name)).routes(),
            middleware=[Middleware(_AccessGuard, token=token, host=host)],
            exception_handlers={HTTPException: http_error_response, AutohairError: app_error_response},
        )
        config = uvicorn.Config(
            app, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="server", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop the server and remove the uploads."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
        self._folder.cleanup()


class _AccessGuard:
    """ASGI middleware: accepts requests with the token or, without one, local requests of the same origin."""

    def __init__(self, app: ASGIApp, *, token: str | None, host: str) -> None:
        self._app, self._token = app, token
        self._names = _LOCAL_NAMES | {host}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        refusal = self._refusal(request)
        if refusal is not None:
            await PlainTextResponse(refusal, status_code=403, headers=HEADERS)(scope, receive, send)
        elif self._token is not None and request.url.path == "/" and "token" in request.query_params:
            answer = RedirectResponse("/", headers=HEADERS)
            answer.set_cookie(_COOKIE, self._token, httponly=True, samesite="strict")
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, request: Request) -> str | None:
        host = request.headers.get("host", "")
        origin = request.headers.get("origin")
        foreign = request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        followed = request.headers.get("sec-fetch-mode") == "navigate" and request.method == "GET"
        if (foreign and not followed) or (origin is not None and urlsplit(origin).netloc != host):
            return "This page may be used from its own address only."
        if self._token is None:
            local = urlsplit(f"//{host}").hostname in self._names
            return None if local else "Open this page under the address that the program printed."
        given = request.query_params.get("token") or request.cookies.get(_COOKIE) or ""
        if secrets.compare_digest(given.encode(), self._token.encode()):
            return None
        return "The token is missing or wrong: open the address that the program printed."
