"""Starts a plotter: locks the tmp directory, writes the record, opens the log, launches the program."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from common.config import Config
from common.config.sections.plotter_packages import BrokenPackage
from common.errors import OrderRefused
from common.system.output import FULL
from common.system.probe import LOOK_DEADLINE_S, Hanging, Probe
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.order_checks import PlotDirectories
from plotter_worker.jobs.records import JobRecord, Records
from plotter_worker.plotters.options import masked
from plotter_worker.plotters.registry import plotter_for
from plotter_worker.processes.launch import launch
from plotter_worker.processes.table import ProcessTable, identity, is_running, pid_of, shows

T = TypeVar("T")

log = logging.getLogger(__name__)

_LOCK_WAIT_S = 2.0  # another plotman holds it for some milliseconds
_SHOW_WAIT_S = 0.3


class StartFailed(OrderRefused):
    """The plotter's program cannot be started on this machine, by any order."""


class Starter:
    """Starts the plots of one host. For one thread at a time; `settings` may be replaced between starts."""

    def __init__(self, settings: Config, records: Records) -> None:
        self.settings = settings
        self._records = records
        self._table = ProcessTable()
        self._probe = Probe()

    def start(
        self, task_id: str, where: PlotDirectories, known: set[int], now: datetime
    ) -> tuple[TrackedJob, subprocess.Popen[bytes]]:
        """Start one plot and store its record.

        Args:
            known: pids of the plotters that the order was decided on.
            now: when the order was accepted.

        Raises:
            OrderRefused: another plotter has started in the tmp directory meanwhile; nothing was started.
            StartFailed: the program cannot be started; no record is left.
        """
        with self._lock_directory(where.tmp):
            self._must_be_free(where.tmp, known)
            job, child = self._start(task_id, where, now)
            _until_it_shows(job)
            return job, child

    def check_log_folder(self) -> None:
        """Create the folder of the plots' logs where it is missing.

        Raises:
            OrderRefused: its drive hangs.
            StartFailed: it cannot be created.
        """
        folder = self.settings.plots_log_dir
        try:
            self._in_log_folder(lambda: folder.mkdir(parents=True, exist_ok=True))
        except OSError as error:
            raise _cannot_start(error, folder) from error

    def _in_log_folder(self, func: Callable[[], T]) -> T:
        """Raises OrderRefused, or what `func` raises."""
        folder = self.settings.plots_log_dir
        try:
            return self._probe.run(folder, func, LOOK_DEADLINE_S)
        except Hanging as error:
            raise OrderRefused(
                f"The folder of the plots' logs, {folder}, does not answer.",
                "Check its drive or mount, or set logging.plots to another folder.",
            ) from error

    @contextmanager
    def _lock_directory(self, tmp: str) -> Iterator[None]:
        """Keep other plotmans of this machine from starting a plot in `tmp`.

        The lock is on the directory itself: it leaves no file behind and ends with its process. File systems
        without locks are used without.
        """
        try:
            fd = self._probe.run(
                tmp, lambda: os.open(tmp, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), LOOK_DEADLINE_S
            )
        except (OSError, Hanging) as error:
            raise OrderRefused(f"{tmp} cannot be opened: {error}.", "Look at its drive.") from error
        try:
            _lock(fd, tmp)
            yield
        finally:
            os.close(fd)

    def _must_be_free(self, tmp: str, known: set[int]) -> None:
        """Refuse if another plotman started a plotter in `tmp` since the watcher's last scan."""
        for found in self._table.newcomers(known):
            if found.state_dir == str(self.settings.state_dir):
                continue  # our own: a plotter's child, or one of the last worker
            if tmp in (found.command.tmp, found.command.tmp2):
                raise OrderRefused(
                    f"Another plotter (pid {found.pid}) has just been started in {tmp}.",
                    "It is decided anew.",
                )

    def _start(
        self, task_id: str, where: PlotDirectories, now: datetime
    ) -> tuple[TrackedJob, subprocess.Popen[bytes]]:
        # The record is written before the launch: if this worker is killed in between, the next one finds the
        # plotter by the task id in its environment.
        settings = self.settings
        assert settings.plotting is not None
        plotter = plotter_for(settings.plotting.type)
        try:
            argv = plotter.argv(settings.plotting, where.tmp, where.tmp2, where.dst)
        except BrokenPackage as error:
            raise StartFailed(error.what, error.cure) from error
        folder = settings.plots_log_dir
        log_file = folder / f"{now.isoformat(timespec='microseconds').replace(':', '_')}.plot.log"
        record = JobRecord(
            task_id=task_id,
            plotter=plotter.name,
            ours=True,
            accepted_at=now,
            argv=masked(argv, plotter.secret_options),
            log=str(log_file),
            tmp=where.tmp,
            tmp2=where.tmp2,
            dst=where.dst,
            gpu=where.gpu,
            asked=plotter.plots_per_job(settings.plotting),
        )
        try:
            self._records.save(record)
            with self._in_log_folder(lambda: log_file.open("ab")) as output:
                child = launch(argv, output, task_id, settings.state_dir, where.gpu)
        except OrderRefused:
            self._records.remove(task_id)
            raise
        except OSError as error:
            self._records.remove(task_id)
            raise _cannot_start(error, settings.state_dir) from error
        # The stagger counts from after the launch: two starts are never closer than it says.
        started_at = datetime.now(UTC)
        record = record.model_copy(update={"process": identity(child.pid), "started_at": started_at})
        self._records.keep(record)
        return TrackedJob(record, plotter, plotter.recognise(argv, "/")), child


def _cannot_start(error: OSError, where: Path) -> OrderRefused:
    if error.errno in FULL:  # no fault of the program: it starts when there is room
        return OrderRefused(
            f"No plot can be noted in {error.filename or where}: {error.strerror}.",
            "Free space, or inodes, in that folder.",
        )
    return StartFailed(
        f"The plotter cannot be started: {error.strerror} ({error.filename or where}).",
        "Repair that; `plotman config check` checks logs and programs.",
    )


def _until_it_shows(job: TrackedJob) -> None:
    """Wait until other plotmans can see the plotter in the process table.

    A program that never looks like a plotter, such as a script around one, costs the whole wait at each
    start.
    """
    assert job.record.process is not None
    deadline = time.monotonic() + _SHOW_WAIT_S
    try:
        while is_running(job.record.process) and not shows(pid_of(job.record.process)):
            if time.monotonic() >= deadline:
                return
            time.sleep(0.001)
    except OSError:
        return  # it has ended already


def _lock(fd: int, tmp: str) -> None:
    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EINTR):
                log.debug("the file system of %s has no locks: %s", tmp, error)
                return
        else:
            return
        if time.monotonic() >= deadline:
            raise OrderRefused(f"Another plotman is starting a plot in {tmp}.", "It is decided anew.")
        time.sleep(0.005)
