"""The farm's metrics: each function yields the families of one kind, with a sample for each known value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from common.model.pending import PendingMove, PendingOrder
from common.model.plot_class import ClassSum, InventorySums
from common.model.snapshot import Directory, DirState, Drive, Job, PlotState, PlotterSnapshot, Transfer, age_s
from common.model.targets import label
from common.names import Role, queue
from common.store import Board
from common.store.counts import Counts
from plotman.control.farm import FarmState, read_farm
from plotman.control.queries import scheduler_status

Labels = tuple[str, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class MetricsReading:
    """One reading of the board. queues: messages that wait, by queue. orders, moves: by plotter."""

    farm: FarmState
    queues: dict[str, int] = field(default_factory=dict)
    orders: dict[str, list[PendingOrder]] = field(default_factory=dict)
    moves: dict[str, list[PendingMove]] = field(default_factory=dict)
    counts: Counts = field(default_factory=lambda: Counts({}, {}))


def read(board: Board) -> MetricsReading:
    """Read the board. Raises BrokerError."""
    farm = read_farm(board)
    plotters = list(farm.plotters)
    return MetricsReading(
        farm=farm,
        queues=board.queue_lengths([queue(role, host) for role in Role for host in farm.snapshots[role]]),
        orders=board.orders(plotters),
        moves=board.moves(plotters),
        counts=_of_the_farm(board.counts(), farm),
    )


# Above what a farm of a thousand hosts has. Any worker's user may add counters, and to write 100,000 takes
# longer than Prometheus waits.
_COUNTERS_MAX = 20_000


def _of_the_farm(counts: Counts, farm: FarmState) -> Counts:
    """Of far too many counters, keep the ones that have a metric of their own, for the hosts on the board."""
    if len(counts.events) + len(counts.bytes_) <= _COUNTERS_MAX:
        return counts
    kept = [(kind, host) for kind in _COUNTED for host in {*farm.plotters, *farm.harvesters}]
    return Counts(
        {each: counts.events[each] for each in kept if each in counts.events},
        {each: counts.bytes_[each] for each in kept if each in counts.bytes_},
    )


def _gauge(name: str, text: str, labels: Labels, samples: Iterable[tuple[Labels, float | None]]) -> Metric:
    """Make a gauge of the known values: unknown is neither zero nor plenty."""
    made = GaugeMetricFamily(f"plotman_{name}", text, labels=labels)
    for values, value in samples:
        if value is not None:
            made.add_metric(values, value)
    return made


def _gauges(
    prefix: str,
    labels: Labels,
    rows: Mapping[Labels, T],
    measures: dict[str, tuple[str, Callable[[T], float | None]]],
) -> Iterator[Metric]:
    """Yield a gauge for each measure: end of the metric's name -> (help, value; None: unknown).

    rows: values of the labels -> what is measured.
    """
    for name, (text, value_of) in measures.items():
        yield _gauge(prefix + name, text, labels, ((values, value_of(row)) for values, row in rows.items()))


# The first eight without units, as in `plotman prometheus` of 0.5.3: dashboards use these names.
_JOB: dict[str, tuple[str, Callable[[Job], float | None]]] = {
    "phase_major": ("Phase of the plot, 1-4; 5: it is copied to dst", lambda job: _step(job)[0]),
    "phase_minor": ("Step within the phase", lambda job: _step(job)[1]),
    "phase_major_minor": ("Phase and step as one number, 2:1 as 2.1", lambda job: _step(job)[2]),
    "tmp_usage": ("Bytes of the plot in tmp now", lambda job: job.tmp_used_bytes),
    "mem_usage": ("Bytes of memory of its plotter", lambda job: job.mem_bytes),
    "user_time": ("Seconds of CPU of its plotter in user mode", lambda job: job.user_s),
    "sys_time": ("Seconds of CPU of its plotter in the kernel", lambda job: job.sys_s),
    "iowait_time": ("Seconds its plotter waited for disks", lambda job: job.iowait_s),
    "progress_ratio": ("Progress of the plot, 0 to 1", lambda job: job.percent and job.percent / 100),
    "eta_seconds": ("Until the plot is expected to be done", lambda job: job.eta_s),
}


def _step(job: Job) -> tuple[int | None, int | None, float | None]:
    """Phase, step, and both as one number, in which a step beyond the ninth is not the next phase."""
    if job.phase is None:
        return None, None, None
    return job.phase.major, job.phase.minor, job.phase.major + min(job.phase.minor, 9) / 10


def jobs(view: MetricsReading) -> Iterator[Metric]:
    plotters = view.farm.alive(Role.PLOTTER)
    rows = {_job_labels(host, job): job for host, snapshot in plotters.items() for job in snapshot.jobs}
    labels = ("host", "plot_id", "tmp_dir", "dst_dir", "run_status", "phase")
    yield from _gauges("plot_", labels, rows, _JOB)
    counts = Counter({(host, tmp.path, "unknown"): 0 for host in plotters for tmp in plotters[host].tmp_dirs})
    for host, snapshot in plotters.items():
        counts.update(
            (host, job.tmp or "", str(job.phase.major) if job.phase else "unknown") for job in snapshot.jobs
        )
    text = "Running plots, by phase; unknown: a plotter without a log"
    yield _gauge("jobs", text, ("host", "tmp_dir", "phase"), counts.items())
    stalled = (((host,), sum(job.stalled is not None for job in plotters[host].jobs)) for host in plotters)
    yield _gauge("jobs_stalled", "Plots that are stalled", ("host",), stalled)


def _job_labels(host: str, job: Job) -> Labels:
    # Two plots without an id must be two series.
    plot_id = job.plot_id[:8] if job.plot_id else f"pid {job.pid}"
    phase = str(job.phase) if job.phase else "?:?"
    return (host, plot_id, job.tmp or "", job.dst or "", job.status.value, phase)


def hosts(view: MetricsReading) -> Iterator[Metric]:
    farm = view.farm
    workers: dict[Labels, tuple[Any, bool]] = {
        (host, role.value): (snapshot, (role, host) not in farm.stale)
        for role, snapshots in farm.snapshots.items()
        for host, snapshot in snapshots.items()
    }
    yield from _gauges("host_", ("host", "role"), workers, {
        "up": ("1: the worker is alive; 0: it is silent", lambda worker: worker[1]),
        "last_word_age_seconds": (
            "Age of the worker's last snapshot", lambda worker: age_s(worker[0].at, farm.at),
        ),
        "problems": ("Problems that its owner should fix", lambda worker: len(worker[0].problems)),
        "clock_skew_seconds": (
            "How far its clock is ahead of Redis'", lambda worker: worker[0].clock_skew_s,
        ),
    })  # fmt: skip


def plotters(view: MetricsReading) -> Iterator[Metric]:
    found: dict[str, PlotterSnapshot] = view.farm.alive(Role.PLOTTER)
    rows: dict[Labels, PlotterSnapshot] = {(host,): snapshot for host, snapshot in found.items()}
    yield from _gauges("plotter_", ("host",), rows, {
        "enabled": ("1: plots may start there; 0: plotting is paused", lambda host: host.plotting),
        "stopped": (
            "1: no plot starts, since plotters in a row died at once",
            lambda host: host.failures.consecutive >= host.failure_limit,
        ),
        "failures_in_a_row": (
            "Plotters that died at once since the last one that worked",
            lambda host: host.failures.consecutive,
        ),
        "max_jobs": ("Most running plots at a time (global_max_jobs)", lambda host: host.global_max_jobs),
        "last_start_timestamp_seconds": ("When a plot was last started there", _last_start),
    })  # fmt: skip


def _last_start(snapshot: PlotterSnapshot) -> float | None:
    starts = [job.started_at for job in snapshot.jobs]
    if snapshot.last_start_at is not None:
        starts.append(snapshot.last_start_at)
    return max(starts).timestamp() if starts else None


def directories(view: MetricsReading) -> Iterator[Metric]:
    found: dict[str, dict[Labels, Directory]] = {"tmp": {}, "dst": {}}
    for host, snapshot in view.farm.alive(Role.PLOTTER).items():
        tmp2 = () if snapshot.tmp2 is None else (snapshot.tmp2,)
        found["tmp"] |= {(host, each.path): each for each in (*snapshot.tmp_dirs, *tmp2)}
        found["dst"] |= {(host, each.path): each for each in snapshot.dst_dirs}
    for name, rows in found.items():
        yield from _gauges(f"{name}_", ("host", f"{name}_dir"), rows, {
            "up": (f"1: the {name} directory can be written to", lambda each: each.state is DirState.OK),
            "free_bytes": (f"Free on the {name} directory", lambda each: each.free_bytes),
            "size_bytes": (f"Size of the {name} directory's drive", lambda each: each.total_bytes),
        })  # fmt: skip


def drives(view: MetricsReading) -> Iterator[Metric]:
    harvesters = view.farm.alive(Role.HARVESTER)
    rows: dict[Labels, Drive] = {
        (host, drive.path): drive for host, snapshot in harvesters.items() for drive in snapshot.drives
    }
    labels = ("host", "drive")
    yield from _gauges("drive_", labels, rows, {
        "up": ("1: the drive works, or its owner disabled it; 0: it is lost", lambda drive: not drive.lost),
        "takes_plots": ("1: the drive accepts new plots that fit", lambda drive: drive.takes_plots),
        "full": ("1: not even the smallest plot fits", lambda drive: drive.full),
        "free_bytes": ("Free, without what is reserved", lambda drive: drive.free_bytes),
        "reserved_bytes": ("Reserved for plots on their way to it", lambda drive: drive.reserved_bytes),
        "size_bytes": ("Size of the drive", lambda drive: drive.total_bytes),
        "plots": ("Plots on the drive", lambda drive: drive.plots),
        "incoming": ("Plots on their way to it", lambda drive: drive.incoming),
    })  # fmt: skip
    disks = {row: drive.disk for row, drive in rows.items() if drive.disk is not None}
    yield from _gauges("disk_", labels, disks, {
        "fails": ("1: the drive's disk says by S.M.A.R.T. that it is about to fail", lambda disk: disk.fails),
        "temperature_celsius": ("Temperature of the drive's disk", lambda disk: disk.temperature_c),
        "powered_on_seconds": (
            "How long the drive's disk was powered on",
            lambda disk: None if disk.powered_on_h is None else 3600 * disk.powered_on_h,
        ),
    })  # fmt: skip
    states = (((*values, drive.word), 1) for values, drive in rows.items())
    yield _gauge("drive_state", "1: the drive is in this state", (*labels, "state"), states)


def inventory(view: MetricsReading) -> Iterator[Metric]:
    """Yield what the harvesters found on their drives; each has a bounded number of classes."""
    found = {
        host: snapshot.inventory
        for host, snapshot in view.farm.alive(Role.HARVESTER).items()
        if snapshot.inventory is not None
    }
    classes: dict[Labels, ClassSum] = {
        (host, *_class_labels(one)): one
        for host, sums in found.items()
        for one in (*sums.classes, *([sums.others] if sums.others else []))
    }
    labels = ("host", "format", "k", "compression", "strength", "pool", "pool_key")
    yield from _gauges("inventory_", labels, classes, {
        "plots": ("Plots on the drives, by class", lambda one: one.plots),
        "bytes": ("Their size", lambda one: one.bytes),
    })  # fmt: skip
    hosts: dict[Labels, InventorySums] = {(host,): sums for host, sums in found.items()}
    yield from _gauges("inventory_", ("host",), hosts, {
        "faults": ("Files on the drives that look like plots and are no whole plots", lambda one: one.faults),
        "duplicates": ("Plots that are in several files of the host", lambda one: one.duplicates),
        "unread_files": ("Files that are still to be read", lambda one: max(0, one.listed - one.read)),
    })  # fmt: skip


def _class_labels(one: ClassSum) -> Labels:
    known = (one.k, one.compression, one.strength, one.pool, one.pool_key)
    return (one.format, *("" if value is None else str(value) for value in known))


def targets(view: MetricsReading) -> Iterator[Metric]:
    archivers = view.farm.alive(Role.ARCHIVER)
    found = {
        (host, label(archiver.target.name)): archiver.target
        for host, archiver in archivers.items()
        if archiver.target is not None
    }
    up = ((values, target.trouble is None) for values, target in found.items())
    yield _gauge("target_up", "1: the free space of the target is known", ("host", "target"), up)
    free = (
        ((*values, space.path), space.free_bytes)
        for values, target in found.items()
        for space in target.spaces
    )
    text = "Free in a folder of an archiving target of plotman 0.5, by its script"
    yield _gauge("target_free_bytes", text, ("host", "target", "folder"), free)


def transfers(view: MetricsReading) -> Iterator[Metric]:
    archivers = view.farm.alive(Role.ARCHIVER)
    count = (((host,), len(archiver.transfers)) for host, archiver in archivers.items())
    yield _gauge("transfers", "Plots being sent", ("host",), count)
    limits = (((host,), archiver.bandwidth_bytes_s) for host, archiver in archivers.items())
    text = "Limit of all transfers together"
    yield _gauge("bandwidth_limit_bytes_per_second", text, ("host",), limits)
    rows: dict[Labels, Transfer] = {}
    for host, archiver in archivers.items():
        for each in {each.path: each for each in archiver.transfers}.values():
            plot_id = each.plot_id[:8] if each.plot_id else each.path.rpartition("/")[2]
            rows[host, plot_id, each.harvester, each.drive] = each
    yield from _gauges("transfer_", ("host", "plot_id", "harvester", "drive"), rows, {
        "size_bytes": ("Size of a plot that is being sent", lambda each: each.size_bytes),
        "sent_bytes": ("Sent of it so far", lambda each: each.sent_bytes),
        "rate_bytes_per_second": ("How fast it is being sent", lambda each: each.rate_bytes_s),
    })  # fmt: skip


def finished(view: MetricsReading) -> Iterator[Metric]:
    plotters = view.farm.alive(Role.PLOTTER)
    rows: dict[Labels, list[int]] = {
        (host, state.value): [plot.size_bytes for plot in snapshot.plots if plot.state is state]
        for host, snapshot in plotters.items()
        for state in PlotState
    }
    yield from _gauges("finished_plots", ("host", "state"), rows, {
        "": ("Files in dst that have a plot's name", len),
        "_bytes": ("Their size", sum),
    })  # fmt: skip

    def oldest_s(snapshot: PlotterSnapshot) -> float:
        ready = (plot for plot in snapshot.plots if plot.state is PlotState.READY and snapshot.archiving)
        return max((age_s(plot.since, view.farm.at) for plot in ready), default=0.0)

    text = "How long the oldest ready plot has waited to be moved; 0: none waits"
    oldest = (((host,), oldest_s(snapshot)) for host, snapshot in plotters.items())
    yield _gauge("finished_plots_oldest_age_seconds", text, ("host",), oldest)


def decisions(view: MetricsReading) -> Iterator[Metric]:
    farm = view.farm
    text = "1: Redis takes writes; 0: it does not, or soon will not"
    yield GaugeMetricFamily("plotman_broker_writable", text, farm.redis_trouble is None)
    text = "1: a beat decides; 0: none does, nothing starts"
    yield GaugeMetricFamily("plotman_beat_up", text, farm.leader is not None)
    if farm.waits is not None:
        age = age_s(farm.waits.at, farm.at)
        yield GaugeMetricFamily("plotman_beat_last_word_age_seconds", "Age of beat's last decision", age)
    waits = Counter((wait.host, wait.rule) for wait in scheduler_status.waits(farm))
    text = "Hosts, tmp directories and plots that wait, by rule"
    yield _gauge("waits", text, ("host", "rule"), waits.items())
    orders = (((host,), len(view.orders.get(host, ()))) for host in farm.plotters)
    yield _gauge("orders", "Ordered plots that no snapshot shows yet", ("host",), orders)
    moves = {host: view.moves.get(host, []) for host in farm.plotters}
    steps = Counter((host, move.step.value) for host, listed in moves.items() for move in listed)
    yield _gauge("moves", "Plots on their way, by step", ("host", "step"), steps.items())
    failing = (
        ((host,), sum(move.attempts > 0 or move.retry_at is not None for move in listed))
        for host, listed in moves.items()
    )
    yield _gauge("moves_failing", "Plots whose last step failed and is tried again", ("host",), failing)
    lengths = (((name,), length) for name, length in view.queues.items())
    yield _gauge("queue_length", "Messages that wait for their worker", ("queue",), lengths)


_COUNTED = ("plot-done", "plot-failed", "archived")  # events
_ALSO_MADE = "plot-made"  # of jobs that make several plots, whose last one is `plot-done`


def totals(view: MetricsReading) -> Iterator[Metric]:
    """Yield the counters.

    Redis counts events, so that a restart of this process or of a worker resets none. If Redis loses its
    data, they begin at 0 again, which Prometheus handles as a reset.
    """

    def counter(name: str, text: str, labels: Labels, samples: Iterable[tuple[Labels, int]]) -> Metric:
        family = CounterMetricFamily(f"plotman_{name}", text, labels=labels)
        for values, value in samples:
            family.add_metric(values, value)
        return family

    farm, events, bytes_ = view.farm, view.counts.events, view.counts.bytes_
    seen = {kind: {host for each, host in events if each == kind} for kind in _COUNTED}
    made, failed = (set(farm.plotters) | seen[kind] for kind in ("plot-done", "plot-failed"))
    takers = seen["archived"] | set(farm.harvesters)
    for name, text, kind, hosts in (
        ("plots_made", "Plots that were completed", "plot-done", made),
        ("plots_failed", "Plots whose plotter ended without them", "plot-failed", failed),
        ("plots_archived", "Plots that reached their drive, by the host that reports it", "archived", takers),
    ):
        # Also hosts without one: the first plot is an increase from 0.
        kinds = (kind, _ALSO_MADE) if kind == "plot-done" else (kind,)
        counts = (((host,), sum(events.get((one, host), 0) for one in kinds)) for host in sorted(hosts))
        yield counter(name, text, ("host",), counts)
    sizes = (((host,), bytes_.get(("archived", host), 0)) for host in sorted(takers))
    yield counter("archived_bytes", "Their size", ("host",), sizes)
    every = (((host, kind), number) for (kind, host), number in events.items())
    yield counter("events", "All that happened, by kind", ("host", "kind"), every)


ALL = (jobs, hosts, plotters, directories, drives, inventory, targets, transfers, finished, decisions, totals)
