"""A job as the watcher follows it: its process, what its log told so far, how it ended."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from common.model.phase import Phase
from common.model.snapshot import Job, RunStatus
from plotter_worker.jobs.records import JobRecord, Outcome
from plotter_worker.plotters.base import CommandLine, LogReader, Mode, Plotter, Progress, SizeEstimate
from plotter_worker.processes.table import open_output, pid_of

_CHUNK_BYTES = 1 << 20
# Who ended a job, in `TrackedJob.killed_by`: its task is then revoked, and has not failed.
A_PERSON = "a person"
# A plotter that dies within this time has died at once, even if its log came as far as phase 1: one that
# crashes in its second table would else be started without end.
_AT_ONCE = timedelta(seconds=120)


@dataclass(frozen=True)
class Brief:
    """How far a job is; None where its log does not tell."""

    phase: Phase | None
    percent: float | None
    eta_s: float | None
    stalled: str | None


class _Bell:
    """Wakes those who wait for something; from any thread."""

    def __init__(self) -> None:
        self._rung = 0
        self._condition = threading.Condition()

    def ring(self) -> None:
        with self._condition:
            self._rung += 1
            self._condition.notify_all()

    def wait(self, seen: int, timeout_s: float) -> int:
        """Until it has rung other than `seen` times; returns how often it has."""
        with self._condition:
            if self._rung == seen:
                self._condition.wait(timeout_s)
            return self._rung


class TrackedJob:
    """Changed by the watcher's thread only; read by all.

    record: what is remembered on disk. progress: what the log told. The task that stands for this job
    in Celery waits in `wait_change`, whoever reads its log on in `wait_line`.
    """

    def __init__(self, record: JobRecord, plotter: Plotter, command: CommandLine | None) -> None:
        self.record = record
        self.plotter = plotter
        self.command = command
        self.reader: LogReader = plotter.reader(command)
        self.offset_bytes = 0
        self.usage = Usage()
        self.claimed = False  # a task of this process stands for it
        self.adopt_after_s = 0.0  # monotonic; not asked for a task before
        self.killed_by: str | None = None
        self.killing = threading.Lock()  # held by the thread that ends it
        self.stall: str | None = None  # why it gets no further (stall_watch)
        self.log_seen = False  # False while there is no log to learn the phase from
        self._log: BinaryIO | None = None
        self._bell, self._line_bell = _Bell(), _Bell()
        self._standing: tuple[object, ...] = ()

    @property
    def task_id(self) -> str:
        return self.record.task_id

    @property
    def outcome(self) -> Outcome | None:
        return self.record.outcome

    @property
    def progress(self) -> Progress:
        return self.reader.progress

    @property
    def tmp(self) -> str | None:
        return self.record.tmp or self.progress.details.tmp

    @property
    def tmp2(self) -> str | None:
        return self.record.tmp2 or self.progress.details.tmp2

    @property
    def dst(self) -> str | None:
        return self.record.dst or self.progress.details.dst

    def proven(self, now: datetime) -> bool:
        """Whether the set-up works, whatever befalls this job: it plots, and has for a while or made one."""
        started = self.record.started_at
        lived = started is not None and now - started >= _AT_ONCE
        return bool(self.progress.plots_done) or (self.progress.proven and lived)

    def read_log(self) -> bool:
        """Read on from where the last look ended; True when there was something.

        The log is kept open, so that it is read to its end also when somebody deletes it. One that cannot
        be read now says nothing new.
        """
        try:
            if self._log is None and (log := self._open_log()) is not None:
                self._log, self.log_seen = log, True
                log.seek(self.offset_bytes)
            if self._log is None:
                return False
            grew = False
            while chunk := self._log.read(_CHUNK_BYTES):
                self.offset_bytes += len(chunk)
                self.reader.feed(chunk)
                grew = True
            return grew
        except OSError:
            return False

    def close_log(self) -> None:
        """The job has ended, and its log is read."""
        if self._log is not None:
            self._log.close()
            self._log = None

    def _open_log(self) -> BinaryIO | None:
        """None for a plotter without a log. Raises OSError."""
        if self.record.log is None:
            return None
        try:
            return Path(self.record.log).open("rb", buffering=0)
        except FileNotFoundError:
            output = open_output(self.record.process) if self.record.process else None
            if output is None:
                raise
            return output.open("rb", buffering=0)  # deleted, and written on

    def changed(self) -> None:
        """Wake the task that stands for this job, and who reads its log."""
        self._bell.ring()
        self._line_bell.ring()

    def log_grew(self) -> None:
        """Wake who reads its log; the task only where people would see a difference: plotters write
        thousands of lines, and each wake of a thread costs more than the reading of a line."""
        progress = self.progress
        standing = (progress.plot_id, progress.phase, round(progress.percent), progress.stalled)
        if standing == self._standing:
            self._line_bell.ring()
        else:
            self._standing = standing
            self.changed()

    def wait_change(self, seen: int, timeout_s: float) -> int:
        """Wait for another phase, percent or end; returns how often there was one, to be given as `seen`."""
        return self._bell.wait(seen, timeout_s)

    def wait_line(self, seen: int, timeout_s: float) -> int:
        """The same for any line of its log, and its end."""
        return self._line_bell.wait(seen, timeout_s)

    def wait_end(self, timeout_s: float) -> bool:
        """Wait until the watcher has seen its end; whether it has."""
        deadline = time.monotonic() + timeout_s
        seen = -1
        while self.outcome is None and (left_s := deadline - time.monotonic()) > 0:
            seen = self.wait_change(seen, left_s)
        return self.outcome is not None

    def brief(self) -> Brief:
        """How far it is, as its log tells; nothing is known without a log."""
        progress = self.progress
        if not self.log_seen:
            return Brief(None, None, None, None)
        return Brief(progress.phase, progress.percent, self._eta_s(), self.stall or progress.stalled)

    def notice(self, usual: SizeEstimate) -> Job:
        """This job for the snapshot; `usual` is the room taken where its own kind is not known."""
        progress = self.progress
        record = self.record
        command = self.command
        brief = self.brief()
        room = (self.plotter.size_estimate(command) if command else None) or usual
        taken = self.usage.taken(progress.plot_id)
        return Job(
            task_id=record.task_id,
            plotter=record.plotter,
            pid=pid_of(record.process) if record.process else 0,
            started_at=record.began_at,
            ours=record.ours,
            plot_id=progress.plot_id,
            k=progress.details.k or (command.k if command else None),
            phase=brief.phase,
            percent=brief.percent,
            eta_s=brief.eta_s,
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

    def _no_tmp(self) -> str | None:
        """The empty text for a plotter that needs no tmp directory; None where it is not known."""
        in_memory = self.command is not None and self.command.mode in (Mode.RAM, Mode.CUDA)
        return "" if in_memory else None

    def _dst_to_come_bytes(self, room: SizeEstimate, taken: Taken) -> int:
        if self.dst is not None and self.dst in (self.tmp, self.tmp2):
            # Renamed where it was made: it takes no more than the peak that is counted already.
            return max(0, room.dst_bytes - max(room.tmp_bytes, room.tmp2_bytes))
        return max(0, room.dst_bytes - taken.dst_bytes)

    def _eta_s(self) -> float | None:
        """By the share that is done in the time that it took."""
        percent = self.progress.percent
        started = self.record.started_at
        if started is None or percent < 1:
            return None
        spent_s = (datetime.now(UTC) - started).total_seconds()
        if self.progress.plots_done:
            return None  # a later plot of the same job: its own start is not known
        return max(0.0, spent_s * (100 - percent) / percent)


@dataclass(frozen=True)
class Taken:
    """Bytes that one plot's files take, as last looked at. most: that they ever took; what was given back is
    not taken again by the same plot: it grows to a peak and shrinks."""

    plot_id: str | None = None
    tmp_bytes: int = 0
    tmp2_bytes: int = 0
    dst_bytes: int = 0
    most_tmp_bytes: int = 0
    most_tmp2_bytes: int = 0


class Usage:
    """What a job takes of the machine, refreshed every few seconds."""

    def __init__(self) -> None:
        self.status = RunStatus.OTHER
        self.mem_bytes = 0
        self.user_s = 0.0
        self.sys_s = 0.0
        self.iowait_s = 0.0
        self.io_bytes: int | None = None  # read and written so far; None: not told
        self._taken = Taken()

    def taken(self, plot_id: str | None) -> Taken:
        """By this plot; nothing yet where the last look was for another one of the same job."""
        return self._taken if self._taken.plot_id == plot_id else Taken(plot_id)

    def files(self, plot_id: str | None, tmp_bytes: int, tmp2_bytes: int, dst_bytes: int) -> None:
        """What the files of this plot take now."""
        before = self.taken(plot_id)
        self._taken = Taken(
            plot_id,
            tmp_bytes,
            tmp2_bytes,
            dst_bytes,
            most_tmp_bytes=max(before.most_tmp_bytes, tmp_bytes),
            most_tmp2_bytes=max(before.most_tmp2_bytes, tmp2_bytes),
        )
