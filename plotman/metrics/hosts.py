"""Hosts: who is there, what each may start, and what its owner should mend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric

from common.model.snapshot import ArchiverSnapshot, HarvesterSnapshot, PlotterSnapshot, age_s
from common.names import Role
from plotman.metrics.reading import MetricsReading

_ANY = Mapping[str, PlotterSnapshot | ArchiverSnapshot | HarvesterSnapshot]


def hosts(view: MetricsReading) -> Iterator[Metric]:
    labels = ("host", "role")
    up = GaugeMetricFamily("plotman_host_up", "1: the worker tells of itself; 0: it is silent", labels=labels)
    age = GaugeMetricFamily(
        "plotman_host_last_word_age_seconds", "Since the worker last told of itself", labels=labels
    )
    problems = GaugeMetricFamily("plotman_host_problems", "Things its owner should mend", labels=labels)
    farm = view.farm
    told: dict[Role, _ANY] = {
        Role.PLOTTER: farm.plotters,
        Role.ARCHIVER: farm.archivers,
        Role.HARVESTER: farm.harvesters,
    }
    for role, snapshots in told.items():
        for host, snapshot in snapshots.items():
            values = (host, role.value)
            up.add_metric(values, view.alive(role, host))
            age.add_metric(values, age_s(snapshot.at, farm.at))
            problems.add_metric(values, len(snapshot.problems))
    yield from (up, age, problems)


def plotters(view: MetricsReading) -> Iterator[Metric]:
    def gauge(name: str, text: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"plotman_plotter_{name}", text, labels=("host",))

    enabled = gauge("enabled", "1: plots may start there; 0: somebody paused it")
    stopped = gauge("stopped", "1: no plot starts, for plotters died at once, one after the other")
    failures = gauge("failures_in_a_row", "Plotters that died at once since the last one that worked")
    most = gauge("max_jobs", "Most plots in the making at a time (global_max_jobs)")
    last = gauge("last_start_timestamp_seconds", "When a plot was last started there")
    for host, snapshot in view.farm.plotters.items():
        if not view.alive(Role.PLOTTER, host):
            continue
        enabled.add_metric((host,), snapshot.plotting)
        stopped.add_metric((host,), snapshot.failures.consecutive >= snapshot.failure_limit)
        failures.add_metric((host,), snapshot.failures.consecutive)
        most.add_metric((host,), snapshot.global_max_jobs)
        starts = [job.started_at for job in snapshot.jobs]
        if snapshot.last_start_at is not None:
            starts.append(snapshot.last_start_at)
        if starts:
            last.add_metric((host,), max(starts).timestamp())
    yield from (enabled, stopped, failures, most, last)
