"""Puts the farm into Prometheus' families. Each scrape reads the notice board; nothing is kept in between."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from common.errors import BrokerError
from common.store import Board
from plotman.metrics import drives, hosts, jobs, work
from plotman.metrics.reading import MetricsReading, read
from plotman.metrics.totals import totals

log = logging.getLogger(__name__)

_FAMILIES: tuple[Callable[[MetricsReading], Iterator[Metric]], ...] = (
    jobs.jobs,
    hosts.hosts,
    hosts.plotters,
    drives.directories,
    drives.drives,
    drives.targets,
    work.transfers,
    work.finished,
    work.decisions,
    totals,
)


def families(view: MetricsReading | None) -> Iterator[Metric]:
    """All metrics of a moment. view: None where the broker did not answer: that is all then."""
    yield GaugeMetricFamily("plotman_broker_up", "1: Redis answers", view is not None)
    info = GaugeMetricFamily("plotman_build_info", "Version of what answers here", labels=("version",))
    info.add_metric((version("plotman"),), 1)
    yield info
    if view is not None:
        for family in _FAMILIES:
            yield from family(view)


class FarmCollector(Collector):
    """For a registry of prometheus_client."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def describe(self) -> list[Metric]:
        """Empty: registering must not ask Redis."""
        return []

    def collect(self) -> Iterator[Metric]:
        try:
            view = read(self._board)
        except BrokerError as error:
            log.warning("%s", error)
            view = None
        yield from families(view)


def registry(board: Board) -> CollectorRegistry:
    """With the farm and nothing of this process."""
    made = CollectorRegistry()
    made.register(FarmCollector(board))
    return made


def as_text(board: Board) -> str:
    """The metrics in Prometheus' text format."""
    return generate_latest(registry(board)).decode()
