"""The dashboard in a browser: textual-serve behind an access check.

textual-serve runs `plotman interactive` for each browser and passes on its keys and mouse; there is no shell.
It has no passwords and accepts connections from pages of other sites, so this module checks both.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import shlex
import signal
import sys
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from common.errors import ConfigError, PlotmanError
from common.model.address import is_loopback_address, is_loopback_host, is_same_site
from common.system import child_signal
from common.system.machine import pip_install
from plotman.dashboard.theme_choice import remembered

try:  # aiohttp comes with textual-serve
    from aiohttp import web
    from aiohttp.typedefs import Handler, Middleware
    from textual_serve.app_service import AppService
    from textual_serve.server import Server, to_int
except ImportError as error:
    raise PlotmanError(
        "The dashboard in a browser needs textual-serve.", f"Install it: {pip_install('web')}"
    ) from error

if TYPE_CHECKING:
    from common.config import Config

BROWSERS_MAX = 8  # each is a process of its own
_HEARTBEAT_S = 5.0  # a browser that does not answer a ping within half of this is disconnected
_LEAVE_S = 2.0  # then a session is killed: it may hang in a write that nothing reads
_WRONG_S = 1.0  # delay of the answer to a wrong password
# -P: a `plotman` that lies in the folder of the start is not imported.
_PYTHON_MODULE = (sys.executable, "-P", "-m")
# The page of textual-serve loads a font from another site, which would learn of the farm.
_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws: wss:; frame-ancestors 'none'"
)
# textual-serve leaves the keyboard to the page; without the focus no key works before a click.
_FOCUS_TERMINAL = """
<script>
  new MutationObserver((changes, observer) => {
    if (!document.body.classList.contains("-first-byte")) return;
    observer.disconnect();
    document.querySelector(".xterm-helper-textarea").focus();
  }).observe(document.body, { attributes: true });
</script>
</body>"""


# textual-serve draws what lies around the terminal, and the end of a session, in colours of its own.
_OUR_COLOURS = """
<style>
  body, .xterm-viewport, .shade { background: %(background)s !important; }
  .intro { background: %(panel)s !important; color: %(foreground)s !important; }
  body Button, body Button:hover { background: %(primary)s !important; color: %(background)s !important; }
</style>
</head>"""


def account(config: Config, address: str) -> str | None:
    """USER:PASSWORD to ask for; None: no password, on a loopback address. Raises ConfigError if other
    machines could connect without a password."""
    secret = config.farm.flower_auth
    if secret is not None:
        return secret.get_secret_value()
    if is_loopback_address(address):
        return None
    raise ConfigError(
        f"The dashboard would listen on {address} without a password.",
        "Write flower_auth: USER:PASSWORD into the section farm of plotman.yaml; it is asked for here, too.",
    )


def is_authorized(headers: Mapping[str, str], expected: str | None) -> bool:
    """Whether a request's `Authorization` is the expected USER:PASSWORD. None: always."""
    if expected is None:
        return True
    kind, _, encoded = headers.get("Authorization", "").partition(" ")
    try:
        given = b64decode(encoded, validate=True)
    except (NotBase64, ValueError):
        return False
    return kind.lower() == "basic" and hmac.compare_digest(given, expected.encode())


def is_of_this_site(headers: Mapping[str, str], protected: bool) -> bool:
    """Whether a request comes from our own page, or from no page.

    Browsers add a known password to requests of other sites' pages, too; only `Origin` shows the difference.
    Without a password, `Host` must be local: another site's name may point to this machine (DNS rebinding).
    """
    host = headers.get("Host", "")
    origin = headers.get("Origin")
    if origin is not None and not is_same_site(origin, host):
        return False
    return protected or is_loopback_host(host)


def access_check(expected: str | None) -> Middleware:
    """Middleware that refuses other sites and wrong passwords. expected: USER:PASSWORD, or None."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_of_this_site(request.headers, expected is not None):
            raise web.HTTPForbidden(text="This page is for its own site only.")
        if not is_authorized(request.headers, expected):
            if "Authorization" in request.headers:
                await asyncio.sleep(_WRONG_S)
            raise web.HTTPUnauthorized(
                headers={"WWW-Authenticate": 'Basic realm="plotman", charset="UTF-8"'},
                text="User and password are farm.flower_auth of plotman.yaml.",
            )
        return await handler(request)

    return check


async def _with_policy(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"


class Session(AppService):
    """A browser's dashboard, in a process of its own that ends with the browser and with this server."""

    async def _open_app_process(self, width: int = 80, height: int = 24) -> asyncio.subprocess.Process:
        """Start it without a shell; the kernel ends it when this server dies."""
        command = [
            *_PYTHON_MODULE,
            "plotman.supervisor.exec_with_pdeathsig",
            str(os.getpid()),
            *shlex.split(self.command),
        ]
        self._process = process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._build_environment(width, height),
        )
        self._stdin = process.stdin
        return process

    async def stop(self) -> None:
        """Ask the process to end, then kill it. It only shows the farm: nothing is lost."""
        if self._process is None or self._task is None:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(super().stop(), _LEAVE_S)
        self._task = None
        child_signal.send(self._process, signal.SIGKILL)
        await self._process.wait()


class Site(Server):
    """textual-serve's server with an access check. expected: USER:PASSWORD, or None without a password."""

    def __init__(self, address: str, port: int, expected: str | None) -> None:
        command = shlex.join((*_PYTHON_MODULE, "plotman", "interactive"))
        super().__init__(command, host=address, port=port, title="plotman")
        self._expected = expected
        self._browsers = 0
        self._sockets: set[web.WebSocketResponse] = set()

    def initialize_logging(self) -> None:
        """Keep the logging of plotman."""

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(access_check(self._expected))
        app.on_response_prepare.append(_with_policy)
        return app

    async def on_startup(self, app: web.Application) -> None:  # noqa: ARG002
        asked = "" if self._expected else ", without a password, for this machine only"
        click.echo(f"plotman interactive: {self.public_url}{asked}. Ctrl-C stops it.", err=True)

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        """Make the page connect to the address of the request: behind a proxy only the browser knows it."""
        scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
        self.public_url = f"{'https' if scheme == 'https' else 'http'}://{request.host}"
        response: web.StreamResponse = await super().handle_index(request)
        if isinstance(response, web.Response) and response.text is not None:
            colours = _OUR_COLOURS % asdict(remembered())
            response.text = response.text.replace("</head>", colours).replace("</body>", _FOCUS_TERMINAL)
        return response

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        if self._browsers >= BROWSERS_MAX:
            raise web.HTTPServiceUnavailable(text=f"{BROWSERS_MAX} browsers are connected already.")
        self._browsers += 1
        try:
            return await self._serve_browser(request)
        finally:
            self._browsers -= 1

    async def _serve_browser(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one browser, as textual-serve does, but give up a browser that sleeps within seconds."""
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, timeout=_LEAVE_S)
        await socket.prepare(request)
        self._sockets.add(socket)

        async def close() -> None:
            await socket.close()

        session = Session(
            self.command,
            write_bytes=socket.send_bytes,
            write_str=socket.send_str,
            close=close,
            download_manager=self.download_manager,
        )
        try:
            await session.start(*_size(request))
            await self._process_messages(socket, session)
        finally:
            self._sockets.discard(socket)
            await session.stop()
        return socket

    async def on_shutdown(self, app: web.Application) -> None:  # noqa: ARG002
        """Close all connections: aiohttp would wait a minute for them."""
        await asyncio.gather(*(socket.close() for socket in tuple(self._sockets)), return_exceptions=True)


def _size(request: web.Request) -> tuple[int, int]:
    """Columns and lines of the browser's terminal."""
    return to_int(request.query.get("width", ""), 80), to_int(request.query.get("height", ""), 24)


def serve(config: Config, address: str, port: int) -> None:
    """Serve until Ctrl-C. Raises ConfigError, and PlotmanError if the port is in use."""
    site = Site(address, port, account(config, address))
    try:
        site.serve()
    except OSError as error:
        raise PlotmanError(
            f"The dashboard cannot listen on {address}:{port}: {error.strerror}.", "Name another port."
        ) from error
