"""Room: tmp and dst directories of the plotters, farming drives, targets of plotman 0.5."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from common.model.snapshot import Directory, DirState, Drive
from common.model.targets import label
from common.names import Role
from plotman.metrics.reading import MetricsReading


def directories(view: MetricsReading) -> Iterator[Metric]:
    yield from _room("tmp", "tmp directory", _of_plotters(view, "tmp"))
    yield from _room("dst", "dst directory", _of_plotters(view, "dst"))


def _of_plotters(view: MetricsReading, kind: str) -> Iterator[tuple[str, Directory]]:
    for host, snapshot in view.farm.plotters.items():
        if view.alive(Role.PLOTTER, host):
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

    up = gauge("up", "1: the drive is as it should be (or its owner disabled it); 0: it is lost")
    takes = gauge("takes_plots", "1: new plots may go there as far as they fit")
    full = gauge("full", "1: not even the smallest plot fits")
    free = gauge("free_bytes", "Free, without what is reserved")
    reserved = gauge("reserved_bytes", "Held by plots on their way in")
    total = gauge("size_bytes", "Size of the drive")
    plots = gauge("plots", "Plots on the drive")
    incoming = gauge("incoming", "Plots on their way in")
    state = GaugeMetricFamily(
        "plotman_drive_state", "1: the drive is in this state", labels=(*labels, "state")
    )
    for host, snapshot in view.farm.harvesters.items():
        if not view.alive(Role.HARVESTER, host):
            continue
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
    """Whether something befell it: neither unknown yet nor out of use by its owner's word."""
    return drive.word not in (*_WELL, DirState.UNKNOWN.value)


_WELL = ("active", "full", "draining", "disabled")


def targets(view: MetricsReading) -> Iterator[Metric]:
    free = GaugeMetricFamily(
        "plotman_target_free_bytes",
        "Free in a folder of an archiving target of plotman 0.5, as its script says",
        labels=("host", "target", "folder"),
    )
    up = GaugeMetricFamily(
        "plotman_target_up", "1: the free space of the target is known", labels=("host", "target")
    )
    for host, snapshot in view.farm.archivers.items():
        if snapshot.target is None or not view.alive(Role.ARCHIVER, host):
            continue
        name = label(snapshot.target.name)
        up.add_metric((host, name), snapshot.target.trouble is None)
        for space in snapshot.target.spaces:
            free.add_metric((host, name, space.path), space.free_bytes)
    yield from (up, free)


def _add_known(family: GaugeMetricFamily, labels: tuple[str, ...], value: float | None) -> None:
    """What is not known is no figure: neither zero nor plenty."""
    if value is not None:
        family.add_metric(labels, value)
