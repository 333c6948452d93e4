"""Metrics of machines: hosts, their directories, farming drives, targets of plotman 0.5."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from common.model.snapshot import Directory, DirState, Drive, age_s
from common.model.targets import label
from common.names import Role
from plotman.metrics.reading import MetricsReading


def hosts(view: MetricsReading) -> Iterator[Metric]:
    labels = ("host", "role")
    up = GaugeMetricFamily("plotman_host_up", "1: the worker is alive; 0: it is silent", labels=labels)
    age = GaugeMetricFamily(
        "plotman_host_last_word_age_seconds", "Age of the worker's last snapshot", labels=labels
    )
    problems = GaugeMetricFamily("plotman_host_problems", "Problems that its owner should fix", labels=labels)
    for role, snapshots in view.farm.snapshots.items():
        for host, snapshot in snapshots.items():
            values = (host, role.value)
            up.add_metric(values, (role, host) not in view.farm.stale)
            age.add_metric(values, age_s(snapshot.at, view.farm.at))
            problems.add_metric(values, len(snapshot.problems))
    yield from (up, age, problems)


def plotters(view: MetricsReading) -> Iterator[Metric]:
    def gauge(name: str, text: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"plotman_plotter_{name}", text, labels=("host",))

    enabled = gauge("enabled", "1: plots may start there; 0: plotting is paused")
    stopped = gauge("stopped", "1: no plot starts, since plotters in a row died at once")
    failures = gauge("failures_in_a_row", "Plotters that died at once since the last one that worked")
    most = gauge("max_jobs", "Most running plots at a time (global_max_jobs)")
    last = gauge("last_start_timestamp_seconds", "When a plot was last started there")
    for host, snapshot in view.farm.alive(Role.PLOTTER).items():
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


def directories(view: MetricsReading) -> Iterator[Metric]:
    yield from _room("tmp", "tmp directory", _of_plotters(view, "tmp"))
    yield from _room("dst", "dst directory", _of_plotters(view, "dst"))


def _of_plotters(view: MetricsReading, kind: str) -> Iterator[tuple[str, Directory]]:
    for host, snapshot in view.farm.alive(Role.PLOTTER).items():
        found: tuple[Directory, ...] = snapshot.tmp_dirs if kind == "tmp" else snapshot.dst_dirs
        if kind == "tmp" and snapshot.tmp2 is not None:
            found = (*found, snapshot.tmp2)
        yield from ((host, each) for each in {each.path: each for each in found}.values())


def _room(name: str, text: str, found: Iterable[tuple[str, Directory]]) -> Iterator[Metric]:
    labels = ("host", f"{name}_dir")
    up = GaugeMetricFamily(f"plotman_{name}_up", f"1: the {text} can be written to", labels=labels)
    free = GaugeMetricFamily(f"plotman_{name}_free_bytes", f"Free on the {text}", labels=labels)
    total = GaugeMetricFamily(f"plotman_{name}_size_bytes", f"Size of the {text}'s drive", labels=labels)
    for host, each in found:
        up.add_metric((host, each.path), each.state is DirState.OK)
        _add_known(free, (host, each.path), each.free_bytes)
        _add_known(total, (host, each.path), each.total_bytes)
    yield from (up, free, total)


def drives(view: MetricsReading) -> Iterator[Metric]:
    labels = ("host", "drive")

    def gauge(name: str, text: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"plotman_drive_{name}", text, labels=labels)

    up = gauge("up", "1: the drive works, or its owner disabled it; 0: it is lost")
    takes = gauge("takes_plots", "1: the drive accepts new plots that fit")
    full = gauge("full", "1: not even the smallest plot fits")
    free = gauge("free_bytes", "Free, without what is reserved")
    reserved = gauge("reserved_bytes", "Reserved for plots on their way to it")
    total = gauge("size_bytes", "Size of the drive")
    plots = gauge("plots", "Plots on the drive")
    incoming = gauge("incoming", "Plots on their way to it")
    state = GaugeMetricFamily(
        "plotman_drive_state", "1: the drive is in this state", labels=(*labels, "state")
    )
    for host, snapshot in view.farm.alive(Role.HARVESTER).items():
        for drive in snapshot.drives:
            values = (host, drive.path)
            up.add_metric(values, not lost(drive))
            takes.add_metric(values, drive.takes_plots)
            full.add_metric(values, drive.full)
            _add_known(free, values, drive.free_bytes)
            reserved.add_metric(values, drive.reserved_bytes)
            _add_known(total, values, drive.total_bytes)
            plots.add_metric(values, drive.plots)
            incoming.add_metric(values, drive.incoming)
            state.add_metric((*values, drive.word), 1)
    yield from (up, takes, full, free, reserved, total, plots, incoming, state)


def lost(drive: Drive) -> bool:
    """Whether the drive is lost: its state is known, and neither a working one nor set by its owner."""
    return drive.word not in (*_WELL, DirState.UNKNOWN.value)


_WELL = ("active", "full", "draining", "disabled")


def targets(view: MetricsReading) -> Iterator[Metric]:
    free = GaugeMetricFamily(
        "plotman_target_free_bytes",
        "Free in a folder of an archiving target of plotman 0.5, by its script",
        labels=("host", "target", "folder"),
    )
    up = GaugeMetricFamily(
        "plotman_target_up", "1: the free space of the target is known", labels=("host", "target")
    )
    for host, snapshot in view.farm.alive(Role.ARCHIVER).items():
        if snapshot.target is None:
            continue
        name = label(snapshot.target.name)
        up.add_metric((host, name), snapshot.target.trouble is None)
        for space in snapshot.target.spaces:
            free.add_metric((host, name, space.path), space.free_bytes)
    yield from (up, free)


def _add_known(family: GaugeMetricFamily, labels: tuple[str, ...], value: float | None) -> None:
    """Add the value if it is known: unknown is neither zero nor plenty."""
    if value is not None:
        family.add_metric(labels, value)
