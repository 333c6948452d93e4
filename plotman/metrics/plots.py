"""Metrics of plots: running ones, transfers, finished ones, what waits, and what happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from common.model.snapshot import Job, PlotState, age_s
from common.names import Role
from plotman.control.queries import scheduler_status
from plotman.metrics.reading import MetricsReading

# Names without units, as in `plotman prometheus` of 0.5.3: dashboards use them.
_LABELS = ("host", "plot_id", "tmp_dir", "dst_dir", "run_status", "phase")
_OLD = {
    "phase_major": "Phase of the plot, 1-4; 5: it is copied to dst",
    "phase_minor": "Step within the phase",
    "phase_major_minor": "Phase and step as one number, 2:1 as 2.1",
    "tmp_usage": "Bytes of the plot in tmp now",
    "mem_usage": "Bytes of memory of its plotter",
    "user_time": "Seconds of CPU of its plotter in user mode",
    "sys_time": "Seconds of CPU of its plotter in the kernel",
    "iowait_time": "Seconds its plotter waited for disks",
}


def jobs(view: MetricsReading) -> Iterator[Metric]:
    old = {
        name: GaugeMetricFamily(f"plotman_plot_{name}", text, labels=_LABELS) for name, text in _OLD.items()
    }
    percent = GaugeMetricFamily("plotman_plot_progress_ratio", "Progress of the plot, 0 to 1", labels=_LABELS)
    eta = GaugeMetricFamily(
        "plotman_plot_eta_seconds", "Until the plot is expected to be done", labels=_LABELS
    )
    at = GaugeMetricFamily(
        "plotman_jobs",
        "Running plots, by phase; unknown: a plotter without a log",
        labels=("host", "tmp_dir", "phase"),
    )
    stalled = GaugeMetricFamily("plotman_jobs_stalled", "Plots that are stalled", labels=("host",))
    for host, snapshot in view.farm.alive(Role.PLOTTER).items():
        counts = Counter({(tmp.path, "unknown"): 0 for tmp in snapshot.tmp_dirs})
        for job in snapshot.jobs:
            labels = _labels(host, job)
            for name, value in _values(job).items():
                if value is not None:
                    old[name].add_metric(labels, value)
            if job.percent is not None:
                percent.add_metric(labels, job.percent / 100)
            if job.eta_s is not None:
                eta.add_metric(labels, job.eta_s)
            counts[job.tmp or "", str(job.phase.major) if job.phase else "unknown"] += 1
        for (tmp, phase), count in counts.items():
            at.add_metric((host, tmp, phase), count)
        stalled.add_metric((host,), sum(job.stalled is not None for job in snapshot.jobs))
    yield from (*old.values(), percent, eta, at, stalled)


def _labels(host: str, job: Job) -> tuple[str, ...]:
    # Two plots without an id must be two series.
    plot_id = job.plot_id[:8] if job.plot_id else f"pid {job.pid}"
    phase = str(job.phase) if job.phase else "?:?"
    return (host, plot_id, job.tmp or "", job.dst or "", job.status.value, phase)


def _values(job: Job) -> dict[str, float | None]:
    phase = job.phase
    return {
        "phase_major": phase.major if phase else None,
        "phase_minor": phase.minor if phase else None,
        # A step beyond the ninth must not look like the next phase.
        "phase_major_minor": phase.major + min(phase.minor, 9) / 10 if phase else None,
        "tmp_usage": job.tmp_used_bytes,
        "mem_usage": job.mem_bytes,
        "user_time": job.user_s,
        "sys_time": job.sys_s,
        "iowait_time": job.iowait_s,
    }


def transfers(view: MetricsReading) -> Iterator[Metric]:
    labels = ("host", "plot_id", "harvester", "drive")

    def gauge(name: str, text: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"plotman_transfer_{name}", text, labels=labels)

    size = gauge("size_bytes", "Size of a plot that is being sent")
    sent = gauge("sent_bytes", "Sent of it so far")
    rate = gauge("rate_bytes_per_second", "How fast it is being sent")
    count = GaugeMetricFamily("plotman_transfers", "Plots being sent", labels=("host",))
    limit = GaugeMetricFamily(
        "plotman_bandwidth_limit_bytes_per_second", "Limit of all transfers together", labels=("host",)
    )
    for host, snapshot in view.farm.alive(Role.ARCHIVER).items():
        count.add_metric((host,), len(snapshot.transfers))
        if snapshot.bandwidth_bytes_s is not None:
            limit.add_metric((host,), snapshot.bandwidth_bytes_s)
        for each in {each.path: each for each in snapshot.transfers}.values():
            plot_id = each.plot_id[:8] if each.plot_id else each.path.rpartition("/")[2]
            values = (host, plot_id, each.harvester, each.drive)
            size.add_metric(values, each.size_bytes)
            sent.add_metric(values, each.sent_bytes)
            if each.rate_bytes_s is not None:
                rate.add_metric(values, each.rate_bytes_s)
    yield from (count, limit, size, sent, rate)


def finished(view: MetricsReading) -> Iterator[Metric]:
    count = GaugeMetricFamily(
        "plotman_finished_plots", "Files in dst that have a plot's name", labels=("host", "state")
    )
    size = GaugeMetricFamily("plotman_finished_plots_bytes", "Their size", labels=("host", "state"))
    oldest = GaugeMetricFamily(
        "plotman_finished_plots_oldest_age_seconds",
        "How long the oldest ready plot has waited to be moved; 0: none waits",
        labels=("host",),
    )
    for host, snapshot in view.farm.alive(Role.PLOTTER).items():
        for state in PlotState:
            plots = [plot for plot in snapshot.plots if plot.state is state]
            count.add_metric((host, state.value), len(plots))
            size.add_metric((host, state.value), sum(plot.size_bytes for plot in plots))
        ages = (age_s(plot.since, view.farm.at) for plot in snapshot.plots if plot.state is PlotState.READY)
        oldest.add_metric((host,), max(ages, default=0.0) if snapshot.archiving else 0.0)
    yield from (count, size, oldest)


def decisions(view: MetricsReading) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "plotman_beat_up", "1: a beat decides; 0: none does, nothing starts", view.farm.leader is not None
    )
    waits = view.farm.waits
    if waits is not None:
        yield GaugeMetricFamily(
            "plotman_beat_last_word_age_seconds",
            "Age of beat's last decision",
            age_s(waits.at, view.farm.at),
        )
    counted = Counter((wait.host, wait.rule) for wait in scheduler_status.waits(view.farm))
    waiting = GaugeMetricFamily(
        "plotman_waits", "Hosts, tmp directories and plots that wait, by rule", labels=("host", "rule")
    )
    for labels, count in counted.items():
        waiting.add_metric(labels, count)
    orders = GaugeMetricFamily("plotman_orders", "Ordered plots that no snapshot shows yet", labels=("host",))
    moves = GaugeMetricFamily("plotman_moves", "Plots on their way, by step", labels=("host", "step"))
    failing = GaugeMetricFamily(
        "plotman_moves_failing", "Plots whose last step failed and is tried again", labels=("host",)
    )
    for host in view.farm.plotters:
        orders.add_metric((host,), len(view.orders.get(host, ())))
        steps = Counter(move.step.value for move in view.moves.get(host, ()))
        for step, count in steps.items():
            moves.add_metric((host, step), count)
        failed = [move for move in view.moves.get(host, ()) if move.attempts > 0 or move.retry_at is not None]
        failing.add_metric((host,), len(failed))
    queues = GaugeMetricFamily(
        "plotman_queue_length", "Messages that wait for their worker", labels=("queue",)
    )
    for name, length in view.queues.items():
        queues.add_metric((name,), length)
    yield from (waiting, orders, moves, failing, queues)


def totals(view: MetricsReading) -> Iterator[Metric]:
    """Yield the counters.

    Redis counts events, so that a restart of this process or of a worker resets none. If Redis loses its
    data, they begin at 0 again, which Prometheus handles as a reset.
    """
    farm, events, bytes_ = view.farm, view.counts.events, view.counts.bytes_
    takers = {host for kind, host in events if kind == "archived"} | set(farm.harvesters)
    for name, text, kind, hosts in (
        ("plots_made", "Plots that were completed", "plot-done", set(farm.plotters)),
        ("plots_failed", "Plots whose plotter ended without them", "plot-failed", set(farm.plotters)),
        ("plots_archived", "Plots that reached their drive, by the host that reports it", "archived", takers),
    ):
        family = CounterMetricFamily(f"plotman_{name}", text, labels=("host",))
        for host in sorted(hosts):  # also hosts without one: the first plot is an increase from 0
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
