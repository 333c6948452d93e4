"""The endpoint that Prometheus scrapes: prometheus_client's own server, a thread for each scrape."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server

from common.errors import ExitCode, PlotmanError
from common.store import Board
from plotman.metrics.collector import registry


class CannotListen(PlotmanError):
    """The address is not ours, or the port is taken."""


class NoAddress(PlotmanError):
    exit_code = ExitCode.USAGE


def address(text: str) -> tuple[str, int]:
    """(address, port) of PORT, ADDRESS:PORT or [V6]:PORT; 127.0.0.1 where no address is said. Raises
    NoAddress."""
    matched = re.fullmatch(r"(?:(?:\[([0-9A-Fa-f:]+)\]|([A-Za-z0-9._-]+)):)?(\d{1,5})", text)
    port = int(matched[3]) if matched else 0
    if matched is None or not 0 < port < 65536:
        raise NoAddress(
            f"{text!r} is no address to listen on.", "Write PORT or ADDRESS:PORT; 0.0.0.0 is everywhere."
        )
    return matched[1] or matched[2] or "127.0.0.1", port


@contextmanager
def serving(board: Board, host: str, port: int) -> Iterator[None]:
    """Answer while the body runs. Raises CannotListen."""
    try:
        server, thread = start_http_server(port, host, registry(board))
    except OSError as error:
        raise CannotListen(
            f"Metrics cannot be served on {host}:{port}: {error.strerror or error}.",
            "Choose another (farm.metrics_port, farm.metrics_address).",
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=2)


def serve(board: Board, host: str, port: int, stop: threading.Event) -> None:
    """Answer until `stop` is set. Raises CannotListen."""
    with serving(board, host, port):
        stop.wait()
