"""A plotting job while it is watched: its record, process, log, figures and end."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar

from common.history.rows import END_STEP
from common.model.gpu_slots import UNKNOWN
from common.model.phase import Phase
from common.model.snapshot import Job, RunStatus
from common.system.probe import LOOK_DEADLINE_S, Hanging, Probe
from plotter_worker.directories.monitor import DirectorySurvey
from plotter_worker.jobs.estimate import Kind, LearnedPlots, Shown, estimate, estimate_batch
from plotter_worker.jobs.records import JobRecord, Outcome
from plotter_worker.jobs.resources import SpaceTaken, Usage
from plotter_worker.plotters.base import (
    MOST_PLOTS,
    NOT_BEGUN,
    CommandLine,
    Mode,
    PlotDetails,
    Progress,
    SizeEstimate,
)
from plotter_worker.plotters.log_parser import LogReader
from plotter_worker.plotters.plotter import Plotter
from plotter_worker.plotters.registry import recognise
from plotter_worker.processes.table import age_s, open_output, pid_of

_CHUNK_BYTES = 64 << 10
# Value of `TrackedJob.killed_by`: the job's task is then revoked, and has not failed.
AN_OPERATOR = "an operator"
# A plotter that ends within this time died at once, even if its log reached phase 1: one that crashes in its
# second table would otherwise be started again and again.
_AT_ONCE = timedelta(seconds=120)
# A job that is older when its log is read first has passed its steps at unknown times.
_NEW_S = 5.0
_CLOCK_STEP = timedelta(seconds=2)  # a launch, and a new clock, take less

T = TypeVar("T")

_probe = Probe()
_NOTHING_LEARNED = LearnedPlots()


def in_log_folder(log: str, func: Callable[[], T]) -> T:
    """Run `func`, which may hang with the folder of this log. Raises Hanging, or what `func` raises."""
    return _probe.run(Path(log).parent, func, LOOK_DEADLINE_S)


class _Changes:
    """Counts changes, and wakes threads that wait for the next one."""

    def __init__(self) -> None:
        self._count = 0
        self._condition = threading.Condition()

    def notify(self) -> None:
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def wait(self, seen: int, timeout_s: float) -> int:
        """Wait until the count differs from `seen`; returns the count."""
        with self._condition:
            if self._count == seen:
                self._condition.wait(timeout_s)
            return self._count


class TrackedJob:
    """Changed by the watcher's thread only, but for what is shown of its progress; read by all.

    Args:
        command: its command line; None if it is not understood.

    Attributes:
        claimed: a Celery task of this process represents the job.
        adopt_after_s: monotonic time before which no task is requested for it.
        kill_lock: held by the thread that ends it.
        stall: why it makes no progress (host.stall_monitor).
        log_seen: False while it has no log that can be read.
    """

    def __init__(self, record: JobRecord, plotter: Plotter, command: CommandLine | None) -> None:
        self.record = record
        self.plotter = plotter
        self.command = command
        # A program with a name of its own is not recognised.
        asks = command
        if record.asked is not None:
            # Of a packaged plotter's command line plotman may not know how many plots it makes.
            asks = replace(command or CommandLine(record.plotter), n=record.asked)
        self.reader: LogReader = plotter.reader(asks)
        self.offset_bytes = 0
        self.usage = Usage()
        self.claimed = False
        self.adopt_after_s = 0.0
        self.kill_lock = threading.Lock()
        self.stall: str | None = None
        self.log_seen = False
        self._log: BinaryIO | None = None
        self._changes, self._lines = _Changes(), _Changes()
        self._shown: tuple[object, ...] = ()
        self._steps: dict[Phase, float] = {}  # of the first plot: when each began, by `active_s`
        self._untimed: Phase | None = None  # up to this step they began at unknown times
        self._first_done_s: float | None = None
        self._made, self._last_made_s = 0, 0.0  # complete plots; when the last was seen, by `active_s`
        # Each snapshot advances it, in the thread that asks.
        self._showing = threading.Lock()
        self._shown_of_plot = Shown(record.shown_plot_id, record.shown_percent)
        self._behind = record.shown_percent > 0  # until its log is read again

    @classmethod
    def of_record(cls, record: JobRecord, plotter: Plotter) -> Self:
        """A job of a former worker, with the command line that its record holds."""
        recognised = recognise(record.argv, "/")
        return cls(record, plotter, recognised[1] if recognised else None)

    @property
    def task_id(self) -> str:
        return self.record.task_id

    @property
    def killed_by(self) -> str | None:
        """Who ends or ended it; None: nobody."""
        return self.record.killed_by

    @property
    def outcome(self) -> Outcome | None:
        return self.record.outcome

    @property
    def progress(self) -> Progress:
        return self.reader.progress

    @property
    def made(self) -> int:
        """Plots that are complete."""
        return max(len(self.progress.plots_done), self.progress.counted)

    @property
    def tmp(self) -> str | None:
        return self.record.tmp or self.progress.details.tmp

    @property
    def tmp2(self) -> str | None:
        return self.record.tmp2 or self.progress.details.tmp2

    @property
    def dst(self) -> str | None:
        return self.record.dst or self.progress.details.dst

    @property
    def began_at(self) -> datetime:
        """When it started, by this machine's clock as it is set now; as it was recorded, for a job that has
        ended."""
        known, process = self.record.began_at, self.record.process
        since_s = None if process is None or self.outcome is not None else age_s(process)
        began = known if since_s is None else datetime.now(UTC) - timedelta(seconds=since_s)
        return known if abs(known - began) < _CLOCK_STEP else began

    def proven(self, now: datetime) -> bool:
        """Whether the job shows that plotting works here: it made a plot, or has plotted for two minutes."""
        lived = self.record.started_at is not None and now - self.began_at >= _AT_ONCE
        return bool(self.progress.plots_done) or (self.progress.proven and lived)

    def read_log(self) -> bool:
        """Read the new part of the log; False if there is none, or if the log cannot be read.

        The log stays open, so that it can be read to its end after it was deleted.
        """
        try:
            if self.record.log is None:
                return False
            if self._log is None:
                self._log, self.log_seen = in_log_folder(self.record.log, self._open_log), True
            first, grew = self.offset_bytes == 0, False
            while chunk := self._next_chunk(self._log):
                self.offset_bytes += len(chunk)
                self.reader.feed(chunk)
                if not first:
                    self._time_step(first)
                grew = True
            if first and grew:
                self._time_step(first)
            if self.made > self._made:
                self._made, self._last_made_s = self.made, self.active_s(datetime.now(UTC))
            self._behind = False
            return grew
        except (OSError, Hanging):
            return False

    def close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    def _next_chunk(self, log: BinaryIO) -> bytes:
        """Raises OSError, or Hanging where the log's drive does not answer."""
        fd, at = log.fileno(), self.offset_bytes
        try:
            # Bytes that the kernel has in memory, without waiting for a drive (preadv2(2)).
            chunk = bytearray(_CHUNK_BYTES)
            return bytes(chunk[: os.preadv(fd, [chunk], at, os.RWF_NOWAIT)])
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EOPNOTSUPP):
                raise
        # They must come from the drive, or this file system cannot tell (NFS, FUSE, tmpfs).
        assert self.record.log is not None
        return in_log_folder(self.record.log, lambda: os.pread(fd, _CHUNK_BYTES, at))

    def _open_log(self) -> BinaryIO:
        """Raises OSError."""
        assert self.record.log is not None
        # What the plotter writes to, before the path: logrotate may have moved the log and created another.
        output = open_output(self.record.process) if self.record.process else None
        return (output or Path(self.record.log)).open("rb", buffering=0)

    def refresh(self, surveys: Mapping[str, DirectorySurvey]) -> None:
        """Read the process' figures, and add up the job's files in the last surveys of its directories."""
        if self.record.process is not None:
            self.usage.refresh_process(self.record.process)
        self.usage.refresh_space(self.progress.plot_id, self.tmp, self.tmp2, self.dst, surveys)

    def changed(self) -> None:
        """Wake the job's task and all readers of its log."""
        self._changes.notify()
        self._lines.notify()

    def log_grew(self) -> None:
        """Wake readers of the log; the task only if its text would differ.

        Plotters write thousands of lines, and to wake a thread costs more than to read a line.
        """
        progress = self.progress
        shown = (progress.plot_id, progress.phase, round(progress.percent), progress.stalled)
        if shown == self._shown:
            self._lines.notify()
        else:
            self._shown = shown
            self.changed()

    def wait_change(self, seen: int, timeout_s: float) -> int:
        """Wait for another phase, percent or the end.

        Args:
            seen: the last return value, -1 at first.

        Returns:
            The number of changes so far.
        """
        return self._changes.wait(seen, timeout_s)

    def wait_line(self, seen: int, timeout_s: float) -> int:
        """As `wait_change`, for each line of the log and the end."""
        return self._lines.wait(seen, timeout_s)

    def wait_end(self, timeout_s: float) -> bool:
        """Wait until the watcher has seen the end; whether it has."""
        deadline = time.monotonic() + timeout_s
        seen = -1
        while self.outcome is None and (left_s := deadline - time.monotonic()) > 0:
            seen = self.wait_change(seen, left_s)
        return self.outcome is not None

    def snapshot(self, default: SizeEstimate, learned: LearnedPlots = _NOTHING_LEARNED) -> Job:
        """The job as the snapshot shows it; phase, percent and ETA are None without a log.

        Args:
            default: space that a plot takes if the command line does not tell it.
            learned: how long plots take on this host.
        """
        progress = self.progress
        percent, eta_s = self._percent_and_eta_s(learned)
        record = self.record
        command = self.command
        room = (self.plotter.size_estimate(command) if command else None) or default
        taken = self.usage.taken(progress.plot_id)
        return Job(
            task_id=record.task_id,
            plotter=record.plotter,
            pid=pid_of(record.process) if record.process else 0,
            started_at=self.began_at,
            ours=record.ours,
            plot_id=progress.plot_id,
            k=progress.details.k or (command.k if command else None),
            gpu=self._gpu(),
            phase=progress.phase if self.log_seen else None,
            percent=percent if self.log_seen else None,
            eta_s=eta_s if self.log_seen else None,
            tmp=self.tmp if self.tmp is not None else self._no_tmp(),
            tmp2=self.tmp2,
            dst=self.dst,
            log=record.log,
            proven=self.proven(datetime.now(UTC)),
            stalled=self.stall or progress.stalled,
            status=self.usage.status,
            tmp_used_bytes=taken.tmp_bytes + taken.tmp2_bytes,
            tmp_to_come_bytes=max(0, room.tmp_bytes - taken.most_tmp_bytes),
            tmp2_to_come_bytes=max(0, room.tmp2_bytes - taken.most_tmp2_bytes),
            dst_to_come_bytes=self._dst_to_come_bytes(room, taken),
            mem_bytes=self.usage.mem_bytes,
            user_s=self.usage.user_s,
            sys_s=self.usage.sys_s,
            iowait_s=self.usage.iowait_s,
        )

    def _gpu(self) -> str | None:
        """The record has none, too, for a job that began without `plotting.gpus`."""
        mode = self.command.mode if self.command else Mode.CPU
        if self.record.gpu is None and self.plotter.uses_gpu(mode):
            return UNKNOWN
        return self.record.gpu

    def _no_tmp(self) -> str | None:
        """Empty for a plotter that needs no tmp directory; None if its tmp directory is unknown."""
        in_memory = self.command is not None and self.command.mode in (Mode.RAM, Mode.CUDA)
        return "" if in_memory else None

    def _dst_to_come_bytes(self, room: SizeEstimate, taken: SpaceTaken) -> int:
        """Of the current plot; of a batch of all that come, since none may be moved away meanwhile."""
        if self.plotter.batch and (asked := self.progress.asked or 0) > 0:
            to_come = min(asked, MOST_PLOTS) - self.made
            current = self.progress.plot_id in {plot.plot_id for plot in self.progress.plots_done}
            return max(0, room.dst_bytes * to_come - (0 if current else taken.dst_bytes))
        if self.dst is not None and self.dst in (self.tmp, self.tmp2):
            # The plot is renamed where it was made: it takes no more than the peak, which is counted already.
            return max(0, room.dst_bytes - max(room.tmp_bytes, room.tmp2_bytes))
        return max(0, room.dst_bytes - taken.dst_bytes)

    def _percent_and_eta_s(self, learned: LearnedPlots) -> tuple[float, float | None]:
        """What is done of the current plot, and seconds to its end; None if that is not known: while the job
        is stalled or suspended, and for a later plot of the same job, whose start is not known. Of a batch:
        of the whole job."""
        progress, now = self.progress, datetime.now(UTC)
        if self._behind:
            return self._shown_of_plot.percent, None
        percent, eta_s, timeline = progress.percent, None, None
        complete, plot_id = progress.percent >= 100, progress.plot_id
        if self.plotter.batch and (asked := progress.asked or 0) > 0:
            timeline = learned.of(self._kind())
            one_s, spent_s = timeline.end_s if timeline else None, self.active_s(now)
            all_ = estimate_batch(self._made, asked, spent_s, self._last_made_s, one_s)
            percent, eta_s = (all_.percent, all_.eta_s) if all_ else (0.0, None)
            complete, plot_id = self._made >= asked, None
        elif self.record.started_at is not None and not progress.plots_done:
            spent_s = self.active_s(now)
            timeline = learned.of(self._kind())
            if timeline is not None:
                # None before the first plot of this kind is finished.
                found = estimate(timeline, self._steps.copy(), progress.phase, spent_s)
                percent, eta_s = found.percent, found.eta_s
            elif percent >= 1:
                eta_s = max(0.0, spent_s * (100 - percent) / percent)
        with self._showing:
            shown = self._shown_of_plot = self._shown_of_plot.then(plot_id, timeline, percent, complete)
        waits = self.stall or progress.stalled or self.usage.status is RunStatus.STOPPED
        return shown.percent, None if waits else eta_s

    def facts_of(self, details: PlotDetails) -> dict[str, Any]:
        """What the history's rows hold of a plot of this job: from its log, or else from the command line.
        Its directories are from the order, or else from the log."""
        command, record = self.command, self.record
        return details.as_row() | {
            "k": details.k or (command.k if command else None),
            "compression": details.compression or (command.compression if command else None),
            "tmp": record.tmp or details.tmp,
            "tmp2": record.tmp2 or details.tmp2,
            "dst": record.dst or details.dst,
        }

    def _kind(self) -> Kind:
        facts = self.facts_of(self.progress.details)
        return Kind(self.record.plotter, *(facts[name] for name in ("mode", "k", "compression", "tmp")))

    def active_s(self, now: datetime) -> float:
        """Seconds since its start, without those while it was suspended or waited for space."""
        until = self.record.idle_since or now
        return max(0.0, (until - self.began_at).total_seconds() - self.record.idle_s)

    def record_with_idle_time(self, now: datetime) -> JobRecord:
        """Its record, with the idle time since or until `now`; the same record if nothing changed."""
        record = self.record
        idle = self.usage.status is RunStatus.STOPPED or self.progress.stalled is not None
        if self.outcome is not None or idle == (record.idle_since is not None):
            return record
        if record.idle_since is None:
            return record.model_copy(update={"idle_since": now})
        idle_s = record.idle_s + max(0.0, (now - record.idle_since).total_seconds())
        return record.model_copy(update={"idle_since": None, "idle_s": idle_s})

    def record_with_percent(self, record: JobRecord) -> JobRecord:
        """The record with the percent that is shown; the same one if that is less than 1 % more."""
        shown = self._shown_of_plot
        known = record.shown_percent if record.shown_plot_id in (None, shown.plot_id) else 0.0
        if record.outcome is not None or shown.percent < known + 1:
            return record
        return record.model_copy(update={"shown_plot_id": shown.plot_id, "shown_percent": shown.percent})

    @property
    def steps_s(self) -> dict[str, float] | None:
        """The steps of its first plot, as `common.history.rows.PlotEnd` has them."""
        if self._untimed is None and self._first_done_s is not None:
            return {str(step): at_s for step, at_s in self._steps.items()} | {END_STEP: self._first_done_s}
        return {} if self.record.idle_s > 0 or self.record.idle_since is not None else None

    def _time_step(self, first: bool) -> None:
        """Note when the first plot's step began. first: all of the log was read at once."""
        progress = self.progress
        if self.outcome is not None or self._first_done_s is not None:
            return
        now_s = self.active_s(datetime.now(UTC))
        if first and now_s > _NEW_S and (progress.plots_done or progress.phase > NOT_BEGUN):
            self._untimed = progress.phase
        elif progress.plots_done:
            self._first_done_s = now_s
        elif progress.phase not in self._steps and (self._untimed is None or progress.phase > self._untimed):
            self._steps[progress.phase] = now_s
