"""What a job takes of the machine: processor, memory, state, and room on its drives."""

from __future__ import annotations

from collections.abc import Mapping

import psutil

from common.model.snapshot import RunStatus
from plotter_worker.directories.monitor import DirectorySurvey
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.processes.table import pid_of

_STATUS = {
    psutil.STATUS_RUNNING: RunStatus.RUNNING,
    psutil.STATUS_SLEEPING: RunStatus.SLEEPING,
    psutil.STATUS_IDLE: RunStatus.SLEEPING,
    psutil.STATUS_DISK_SLEEP: RunStatus.DISK,
    psutil.STATUS_STOPPED: RunStatus.STOPPED,
    psutil.STATUS_TRACING_STOP: RunStatus.STOPPED,
}


def refresh(job: TrackedJob, seen: Mapping[str, DirectorySurvey]) -> None:
    """Read the process' figures, and add up its files in the directories last seen."""
    _refresh_process(job)
    plot_id = job.progress.plot_id
    tmp_bytes = _own_bytes(plot_id, job.tmp, seen)
    tmp2_bytes = _own_bytes(plot_id, job.tmp2, seen) if job.tmp2 != job.tmp else 0
    dst_bytes = _own_bytes(plot_id, job.dst, seen) if job.dst not in (job.tmp, job.tmp2) else 0
    job.usage.files(plot_id, tmp_bytes, tmp2_bytes, dst_bytes)


def _refresh_process(job: TrackedJob) -> None:
    if job.record.process is None:
        return
    try:
        process = psutil.Process(pid_of(job.record.process))
        with process.oneshot():
            times = process.cpu_times()
            job.usage.status = _STATUS.get(process.status(), RunStatus.OTHER)
            job.usage.mem_bytes = process.memory_info().rss
            job.usage.user_s, job.usage.sys_s = times.user, times.system
            job.usage.iowait_s = getattr(times, "iowait", 0.0)
            job.usage.io_bytes = io_of(process)
    except psutil.Error:
        return  # it ends: the watcher will tell


def io_of(process: psutil.Process) -> int | None:
    """Bytes read and written so far, from the page cache and the drives; None where that is not told."""
    try:
        io = process.io_counters()
    except psutil.Error:
        return None
    return int(io.read_bytes + io.write_bytes + io.read_chars + io.write_chars)


def _own_bytes(plot_id: str | None, directory: str | None, seen: Mapping[str, DirectorySurvey]) -> int:
    if directory is None or directory not in seen or plot_id is None:
        return 0
    # Every unfinished file of a plotter that names them carries the plot's id.
    return sum(file.allocated_bytes for file in seen[directory].files if plot_id in file.name)
