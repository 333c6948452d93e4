"""What is under way and what waits: transfers, finished plots, queues, orders, reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from common.model.snapshot import PlotState, age_s
from common.names import Role
from plotman.control.queries import scheduler_status
from plotman.metrics.reading import MetricsReading


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
    for host, snapshot in view.farm.archivers.items():
        if not view.alive(Role.ARCHIVER, host):
            continue
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
        "plotman_finished_plots", "Files in dst that carry a plot's name", labels=("host", "state")
    )
    size = GaugeMetricFamily("plotman_finished_plots_bytes", "Their size", labels=("host", "state"))
    oldest = GaugeMetricFamily(
        "plotman_finished_plots_oldest_age_seconds",
        "How long the first plot that is ready has waited for its drive; 0: none waits",
        labels=("host",),
    )
    for host, snapshot in view.farm.plotters.items():
        if not view.alive(Role.PLOTTER, host):
            continue
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
            "Since beat last told what waits",
            age_s(waits.at, view.farm.at),
        )
    counted = Counter((wait.host, wait.rule) for wait in scheduler_status.waits(view.farm))
    waiting = GaugeMetricFamily(
        "plotman_waits", "Hosts, tmp directories and plots that wait, by the rule", labels=("host", "rule")
    )
    for labels, count in counted.items():
        waiting.add_metric(labels, count)
    orders = GaugeMetricFamily(
        "plotman_orders", "Starts that were ordered and are not seen yet", labels=("host",)
    )
    moves = GaugeMetricFamily("plotman_moves", "Plots on their way, by step", labels=("host", "step"))
    failing = GaugeMetricFamily(
        "plotman_moves_failing", "Plots whose last step failed, and is tried again", labels=("host",)
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
