"""Keeps one process running: starts it, waits for its end, starts it again with growing pauses."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from asyncio.subprocess import Process
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.names import SUPERVISOR_VARIABLE
from common.system import child_signal
from common.system.output import FULL
from plotman.supervisor import broker
from plotman.supervisor.logs import empty_log, last_lines, log_file, open_log
from plotman.supervisor.processes import PYTHON_MODULE, Child

Say = Callable[[str], None]
_SHARE_CHECK_S = 0.5  # between two checks of a shared process
_LOG_CHECK_S = 60.0  # between two checks of the size of the log


@dataclass(frozen=True)
class Pauses:
    """Pauses before a process is started again, in seconds."""

    first_s: float = 0.5
    longest_s: float = 30.0
    settled_s: float = 60.0  # after a life of this length the pauses begin anew

    def after(self, pause_s: float | None, lived_s: float) -> float:
        """The pause after a life of `lived_s`. pause_s: before that life; None if it was the first."""
        if pause_s is None or lived_s >= self.settled_s:
            return self.first_s
        return min(self.longest_s, pause_s * 2)


def how_it_ended(returncode: int) -> str:
    """`exit code 1`, or `signal SIGKILL` (asyncio gives the negative of a signal's number)."""
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"signal {signal.Signals(-returncode).name}"
    except ValueError:
        return f"signal {-returncode}"


class SupervisedProcess:
    """Keeps one process running, from the supervisor's start to its stop."""

    def __init__(
        self, child: Child, state_dir: Path, say: Say, changed: Callable[[], None], pauses: Pauses
    ) -> None:
        """Make a supervisor; `keep` starts the process, in the state folder.

        say: prints a line for the operator. changed: called after each start and end. pauses: before
        restarts.
        """
        self.child = child
        self.ready = asyncio.Event()
        self._state_dir = state_dir
        self._log = log_file(state_dir, child.name)
        self._say = say
        self._changed = changed
        self._pauses = pauses
        self._stopping = asyncio.Event()
        self._starting = asyncio.Lock()  # `stop` must not miss a process that is just being started
        self._process: Process | None = None
        self._yielded = False
        self._unneeded = False

    @property
    def pid(self) -> int | None:
        """Pid of the process while it runs."""
        return self._process.pid if self._process is not None else None

    async def keep(self) -> None:
        """Run the process until `stop`. Reports every failure and tries again; never raises."""
        pause_s: float | None = None
        while not self._stopping.is_set():
            if not await self._turn():
                break
            began = time.monotonic()
            log_size = self._log.stat().st_size if self._log.exists() else 0
            try:
                returncode = await self._live(restarted=pause_s is not None)
                what = f"{self.child.name} ended ({how_it_ended(returncode or 0)})"
            except OSError as error:  # no such program, no memory, log folder not writable
                what = f"{self.child.name} cannot be started: {error}"
            if self._stopping.is_set():
                break
            if self._unneeded:
                self._unneeded, pause_s = False, None
                continue
            if self._yielded:
                self._say(f"The other terminal now runs {self.child.name}.")
                self._yielded, pause_s = False, None
                continue
            lived_s = time.monotonic() - began
            pause_s = self._pauses.after(pause_s, lived_s)
            self._report_end(what, lived_s, pause_s, log_size)
            await self._pause(pause_s)
        if self.child.share is not None:
            self.child.share.release()

    async def _turn(self) -> bool:
        """Wait for the right, and the need, to run the process; False if `stop` comes first. While another
        supervisor has it, the process counts as ready as soon as it answers."""
        while not self._needed():
            self.ready.set()
            await self._pause(_SHARE_CHECK_S)
            if self._stopping.is_set():
                return False
        share, reported = self.child.share, False
        while share is not None and not share.take():
            share.release()
            if not reported:
                reported = True
                self._say(f"Another terminal runs {self.child.name}; this one takes over when that ends.")
            url = self.child.ready_url
            if url is None or await asyncio.to_thread(broker.answers, url):
                self.ready.set()
            await self._pause(_SHARE_CHECK_S)
            if self._stopping.is_set():
                return False
        return True

    def _needed(self) -> bool:
        return self.child.needed_while is None or self.child.needed_while.exists()

    async def _yield(self, process: Process) -> None:
        """End the process when it is not needed any more, or a supervisor with precedence wants it."""
        while self.child.needed_while is not None:
            await asyncio.sleep(_SHARE_CHECK_S)
            if not self._needed():
                self._unneeded = True
                child_signal.send(process, signal.SIGTERM)
                return
        share = self.child.share
        while share is not None and share.yields_to is not None:
            await asyncio.sleep(_SHARE_CHECK_S)
            if share.wanted_elsewhere():
                self._yielded = True
                child_signal.send(process, signal.SIGTERM)
                return

    async def stop(self, deadline_s: float, hurry: asyncio.Event) -> None:
        """Send SIGTERM, and SIGKILL after `deadline_s` or when `hurry` is set, to this pid only."""
        self._stopping.set()
        async with self._starting:
            process = self._process
        if process is None:
            return
        child_signal.send(process, signal.SIGTERM)
        gone = asyncio.create_task(process.wait())
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait({gone, hurried}, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not gone.done():
            self._say(f"{self.child.name} does not stop; killing it (pid {process.pid}).")
            child_signal.send(process, signal.SIGKILL)
        await gone

    async def _live(self, restarted: bool) -> int | None:
        """Run the process once. Returns its exit status; None if `stop` came first. Raises OSError."""
        async with self._starting:
            if self._stopping.is_set():
                return None
            process = self._process = await self._start()
        self._changed()
        probe = asyncio.create_task(self._until_ready(process.pid, restarted))
        yielding = asyncio.create_task(self._yield(process))
        ended = asyncio.Event()
        tending = asyncio.create_task(self._tend_log(ended))
        try:
            return await process.wait()
        finally:
            probe.cancel()
            yielding.cancel()
            self._process = None
            self._changed()
            ended.set()
            await tending  # the next start rotates the log itself

    async def _start(self) -> Process:
        log = self._open_log()
        try:
            return await asyncio.create_subprocess_exec(
                *(*PYTHON_MODULE, "plotman.supervisor.exec_with_pdeathsig", str(os.getpid())),
                *self.child.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._state_dir,
                env={**os.environ, **self.child.env, SUPERVISOR_VARIABLE: str(os.getpid())},
                start_new_session=True,  # a terminal's Ctrl-C reaches only the supervisor
            )
        finally:
            os.close(log)

    def _open_log(self) -> int:
        """Raises OSError. Where the disk is full the process runs without a log."""
        try:
            return open_log(self._log)
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._say(f"{self.child.name} runs without a log: {error}")
            return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    async def _until_ready(self, pid: int, restarted: bool) -> None:
        url = self.child.ready_url
        while url is not None and not await asyncio.to_thread(broker.answers, url):
            await asyncio.sleep(0.05)
        self._say(f"{self.child.name} started{' again' if restarted else ''} (pid {pid})")
        self.ready.set()

    async def _tend_log(self, ended: asyncio.Event) -> None:
        """Rotate the log whenever it is too large, until `ended`. A full disk does not end the process: the
        log then grows, which is reported once."""
        reported = False
        while not await _within(_LOG_CHECK_S, ended):
            try:
                await asyncio.to_thread(empty_log, self._log)
            except OSError as error:
                if not reported:
                    self._say(f"The log of {self.child.name} cannot be rotated and grows: {error}")
                reported = True

    def _report_end(self, what: str, lived_s: float, pause_s: float, log_size: int) -> None:
        self._say(f"{what} after {lived_s:.1f} s; starting it again in {pause_s:g} s. Its log: {self._log}")
        # A log that was rotated meanwhile is shorter than before.
        since = log_size if self._log.exists() and self._log.stat().st_size >= log_size else 0
        for line in last_lines(self._log, since_byte=since):
            self._say(f"    {line}")

    async def _pause(self, pause_s: float) -> None:
        await _within(pause_s, self._stopping)


async def _within(timeout_s: float, event: asyncio.Event) -> bool:
    """Whether the event is set within that time."""
    try:
        return await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return False
