"""Starts this machine's processes in order, keeps them running, and stops them in reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from plotman.supervisor.locks import STOP_S, InstanceLock, record_of
from plotman.supervisor.processes import Child, Stage
from plotman.supervisor.supervised_process import Pauses, Say, SupervisedProcess

# Runs beside the processes until they stop, for example to print events.
Companion = Callable[[], Awaitable[None]]


class Supervisor:
    """The process tree of one state folder. Use once."""

    def __init__(
        self,
        children: Sequence[Child],
        state_dir: Path,
        say: Say,
        *,
        companions: Sequence[Companion] = (),
        pauses: Pauses | None = None,
        stop_s: float = STOP_S,
    ) -> None:
        self._state_dir = state_dir
        self._say = say
        self._companions = companions
        self._stop_s = stop_s
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._claim: InstanceLock | None = None
        pauses = pauses or Pauses()
        self._processes = [
            SupervisedProcess(child, state_dir, say, self._record, pauses) for child in children
        ]

    def stop(self) -> None:
        """Stop in order; a second call stops at once."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def run(self, claim: InstanceLock) -> None:
        """Run everything until `stop`, which SIGINT, SIGTERM and SIGHUP call too.

        claim: lock of the state folder, which records the processes; it is not released here.
        """
        self._claim = claim
        self._listen()
        keeping: dict[SupervisedProcess, asyncio.Task[None]] = {}
        companions: list[asyncio.Task[None]] = []
        try:
            for stage in Stage:
                await self._start(stage, keeping)
            companions = [asyncio.ensure_future(companion()) for companion in self._companions]
            await self._stop.wait()
        finally:
            for task in companions:
                task.cancel()
            await self._stop_all(keeping)
            for task in companions:
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _start(self, stage: Stage, keeping: dict[SupervisedProcess, asyncio.Task[None]]) -> None:
        """Start the processes of a stage; wait until each is ready, or until `stop`."""
        processes = [one for one in self._processes if one.child.stage is stage]
        if self._stop.is_set():
            return
        for one in processes:
            keeping[one] = asyncio.create_task(one.keep())
        ready = asyncio.create_task(_all_ready(processes))
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({ready, stopped}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        stopped.cancel()

    async def _stop_all(self, keeping: dict[SupervisedProcess, asyncio.Task[None]]) -> None:
        self._say("Stopping; running plots continue.")
        for stage in reversed(Stage):
            processes = [one for one in keeping if one.child.stage is stage]
            await asyncio.gather(*(one.stop(self._stop_s, self._hurry) for one in processes))
            await asyncio.gather(*(keeping[one] for one in processes))

    def _record(self) -> None:
        assert self._claim is not None
        running = [(one.child.name, one.pid) for one in self._processes]
        records = [record_of(name, pid) for name, pid in running if pid is not None]
        try:
            self._claim.record(record for record in records if record is not None)
        except OSError as error:  # a full disk; the kernel still stops the processes if we die
            self._say(f"The running processes cannot be recorded: {error}")

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP for us
                loop.add_signal_handler(number, self.stop)


async def _all_ready(processes: Sequence[SupervisedProcess]) -> bool:
    for one in processes:
        await one.ready.wait()
    return True
