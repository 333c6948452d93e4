"""The Prometheus collector and its HTTP endpoint. Each scrape reads the notice board; nothing is cached."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from common.errors import BrokerError, PlotmanError
from common.model.address import is_loopback_address, is_loopback_host
from common.store import Board
from plotman.metrics.families import ALL, MetricsReading, read

log = logging.getLogger(__name__)


def families(view: MetricsReading | None) -> Iterator[Metric]:
    """Yield all metrics of one reading. view: None: the broker did not answer."""
    yield GaugeMetricFamily("plotman_broker_up", "1: Redis answers", view is not None)
    info = GaugeMetricFamily("plotman_build_info", "Version of plotman", labels=("version",))
    info.add_metric((version("plotman"),), 1)
    yield info
    if view is not None:
        for family in ALL:
            yield from family(view)


class FarmCollector(Collector):
    """The farm's collector for a registry of prometheus_client."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def describe(self) -> list[Metric]:
        """Return nothing: registering must not read Redis."""
        return []

    def collect(self) -> Iterator[Metric]:
        try:
            view = read(self._board)
        except BrokerError as error:
            log.warning("%s", error)
            view = None
        yield from families(view)


def registry(board: Board) -> CollectorRegistry:
    """Make a registry with the farm's metrics only, without this process's."""
    made = CollectorRegistry()
    made.register(FarmCollector(board))
    return made


def as_text(board: Board) -> str:
    """Return the metrics in Prometheus' text format."""
    return generate_latest(registry(board)).decode()


class CannotListen(PlotmanError):
    """The address is not this machine's, or the port is in use."""


def _for_this_machine(app: Any) -> Any:
    """Refuse requests under a foreign name, which pages of other sites send by DNS rebinding."""

    def guarded(environ: dict[str, Any], start_response: Any) -> Any:
        if is_loopback_host(environ.get("HTTP_HOST", "localhost")):
            return app(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"These metrics are for this machine only (farm.metrics_address).\n"]

    return guarded


@contextmanager
def serving(board: Board, host: str, port: int) -> Iterator[None]:
    """Serve the metrics while the body runs, a thread for each scrape. Raises CannotListen."""
    try:
        server, thread = start_http_server(port, host, registry(board))
        if is_loopback_address(host):
            server.set_app(_for_this_machine(server.get_app()))
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
