"""The endpoint that Prometheus scrapes: prometheus_client's own server, a thread for each scrape."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server

from common.errors import PlotmanError
from common.store import Board
from plotman.metrics.collector import registry


class CannotListen(PlotmanError):
    """The address is not ours, or the port is taken."""


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
