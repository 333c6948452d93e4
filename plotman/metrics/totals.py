"""What happened, as counters.

Redis counts events as they are told, so that neither a restart of this nor of a worker sets a counter back. A
Redis that lost its data begins at 0 again, which Prometheus takes for what it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from plotman.metrics.reading import MetricsReading


def totals(view: MetricsReading) -> Iterator[Metric]:
    farm, events, bytes_ = view.farm, view.counts.events, view.counts.bytes_
    takers = {host for kind, host in events if kind == "archived"} | set(farm.harvesters)
    for name, text, kind, hosts in (
        ("plots_made", "Plots that were completed", "plot-done", set(farm.plotters)),
        ("plots_failed", "Plots whose plotter ended without them", "plot-failed", set(farm.plotters)),
        ("plots_archived", "Plots that came to their drive, by the host that says so", "archived", takers),
    ):
        family = CounterMetricFamily(f"plotman_{name}", text, labels=("host",))
        for host in sorted(hosts):  # also those with none yet: a first plot is a rise from 0
            family.add_metric((host,), events.get((kind, host), 0))
        yield family
    archived = CounterMetricFamily("plotman_archived_bytes", "Their size", labels=("host",))
    for host in sorted(takers):
        archived.add_metric((host,), bytes_.get(("archived", host), 0))
    yield archived
    every = CounterMetricFamily("plotman_events", "All that happened, by kind", labels=("host", "kind"))
    for (kind, host), number in events.items():
        every.add_metric((host, kind), number)
    yield every
