"""Plots in the making: each by the names and labels of plotman 0.5.3, and their number by place and phase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from common.model.snapshot import Job
from common.names import Role
from plotman.metrics.reading import MetricsReading

# Names without units, as `plotman prometheus` of 0.5.3 has them: dashboards stand on them.
_LABELS = ("host", "plot_id", "tmp_dir", "dst_dir", "run_status", "phase")
_OLD = {
    "phase_major": "Phase of the plot, 1-4; 5: it is copied to its dst",
    "phase_minor": "Step within the phase",
    "phase_major_minor": "Phase and step as one number, 2:1 as 2.1",
    "tmp_usage": "Bytes the plot takes in tmp now",
    "mem_usage": "Bytes of memory of its plotter",
    "user_time": "Seconds of CPU of its plotter in user mode",
    "sys_time": "Seconds of CPU of its plotter in the kernel",
    "iowait_time": "Seconds its plotter waited for disks",
}


def jobs(view: MetricsReading) -> Iterator[Metric]:
    old = {
        name: GaugeMetricFamily(f"plotman_plot_{name}", text, labels=_LABELS) for name, text in _OLD.items()
    }
    percent = GaugeMetricFamily(
        "plotman_plot_progress_ratio", "Share of the plot that is made", labels=_LABELS
    )
    eta = GaugeMetricFamily(
        "plotman_plot_eta_seconds", "Until the plot is expected to be done", labels=_LABELS
    )
    at = GaugeMetricFamily(
        "plotman_jobs",
        "Plots in the making, by the phase they are in; unknown: a plotter without a log",
        labels=("host", "tmp_dir", "phase"),
    )
    stalled = GaugeMetricFamily("plotman_jobs_stalled", "Plots that get no further", labels=("host",))
    for host, snapshot in view.farm.plotters.items():
        if not view.alive(Role.PLOTTER, host):
            continue
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
    # Two plots without an id must not be one series.
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
