"""What a job uses of the machine: processor, memory, process state, and space on its drives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from common.model.snapshot import RunStatus
from plotter_worker.directories.monitor import DirectorySurvey
from plotter_worker.processes.table import pid_of

_STATUS = {
    psutil.STATUS_RUNNING: RunStatus.RUNNING,
    psutil.STATUS_SLEEPING: RunStatus.SLEEPING,
    psutil.STATUS_IDLE: RunStatus.SLEEPING,
    psutil.STATUS_DISK_SLEEP: RunStatus.DISK,
    psutil.STATUS_STOPPED: RunStatus.STOPPED,
    psutil.STATUS_TRACING_STOP: RunStatus.STOPPED,
}


@dataclass(frozen=True)
class SpaceTaken:
    """Bytes that one plot's files take, as of the last survey.

    most: the largest figure so far. A plot grows to a peak and shrinks; what it freed it does not take again.
    """

    plot_id: str | None = None
    tmp_bytes: int = 0
    tmp2_bytes: int = 0
    dst_bytes: int = 0
    most_tmp_bytes: int = 0
    most_tmp2_bytes: int = 0


class Usage:
    """Figures of one job, refreshed every few seconds. io_bytes: read and written so far; None: unknown."""

    def __init__(self) -> None:
        self.status = RunStatus.OTHER
        self.mem_bytes = 0
        self.user_s = 0.0
        self.sys_s = 0.0
        self.iowait_s = 0.0
        self.io_bytes: int | None = None
        self._taken = SpaceTaken()

    def taken(self, plot_id: str | None) -> SpaceTaken:
        """Space of this plot; zero if the last survey was for another plot of the same job."""
        return self._taken if self._taken.plot_id == plot_id else SpaceTaken(plot_id)

    def refresh_process(self, process_identity: str) -> None:
        """Read the process' figures; they stay if it has ended, which the watcher reports."""
        try:
            process = psutil.Process(pid_of(process_identity))
            with process.oneshot():
                times = process.cpu_times()
                self.status = _STATUS.get(process.status(), RunStatus.OTHER)
                self.mem_bytes = process.memory_info().rss
                self.user_s, self.sys_s = times.user, times.system
                self.iowait_s = getattr(times, "iowait", 0.0)
                self.io_bytes = io_of(process)
        except psutil.Error:
            return

    def refresh_space(
        self,
        plot_id: str | None,
        tmp: str | None,
        tmp2: str | None,
        dst: str | None,
        surveys: Mapping[str, DirectorySurvey],
    ) -> None:
        """Add up the plot's files in the last surveys of its directories; a directory counts once."""
        tmp_bytes = _own_bytes(plot_id, tmp, surveys)
        tmp2_bytes = _own_bytes(plot_id, tmp2, surveys) if tmp2 != tmp else 0
        dst_bytes = _own_bytes(plot_id, dst, surveys) if dst not in (tmp, tmp2) else 0
        before = self.taken(plot_id)
        self._taken = SpaceTaken(
            plot_id,
            tmp_bytes,
            tmp2_bytes,
            dst_bytes,
            most_tmp_bytes=max(before.most_tmp_bytes, tmp_bytes),
            most_tmp2_bytes=max(before.most_tmp2_bytes, tmp2_bytes),
        )


def io_of(process: psutil.Process) -> int | None:
    """Bytes that a process read and wrote so far, cached or not; None if the kernel does not show them."""
    try:
        io = process.io_counters()
    except psutil.Error:
        return None
    return int(io.read_bytes + io.write_bytes + io.read_chars + io.write_chars)


def _own_bytes(plot_id: str | None, directory: str | None, surveys: Mapping[str, DirectorySurvey]) -> int:
    if directory is None or directory not in surveys or plot_id is None:
        return 0
    # All plotters that name their unfinished files put the plot's id into the name.
    return sum(file.allocated_bytes for file in surveys[directory].files if plot_id in file.name)
