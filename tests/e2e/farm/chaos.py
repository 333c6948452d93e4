"""Faults by chance: each strikes, lasts some seconds, and is over."""

from __future__ import annotations

import contextlib
import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.farm.help import fill
from tests.support.lab import Host, wait_for
from tests.support.machine import Machine, Plotter
from tests.support.machines import OWN, Machines
from tests.support.waiting import eventually
from tests.support.wrong_clock import DAY_S, HOUR_S

_CLOCKS_S = (0.0, 0.0, 0.0, -2 * HOUR_S, 5 * 60.0, DAY_S)
_FLUSHED_S = 3  # fsync of a few MB on a busy machine
_DATE = re.compile(r"-\d{4}-\d\d-\d\d-\d\d-\d\d-")

Fault = Callable[[], str]


def _done_just_now(plotter: Plotter) -> bool:
    plots = plotter.host.seen(plotter.dst).glob("*.plot")
    return any(time.time() - plot.stat().st_mtime < _FLUSHED_S for plot in plots)


class Chaos:
    """farm: where it strikes. dice: what strikes, where and for how long; the same seed rolls the same."""

    def __init__(self, farm: Machines, dice: random.Random) -> None:
        self._farm = farm
        self._dice = dice
        self._faults: list[Fault] = [
            self._kill,
            self._kill,
            self._freeze,
            self._silence,
            self._unplug,
            self._reset,
            self._half_open,
            self._power_cut,
            self._pull,
            self._redis,
            self._hang,
            self._full,
            self._rename,
        ]

    def strike(self) -> str:
        """One fault, from its beginning to its end; what it was."""
        return self._dice.choice(self._faults)()

    def _machine(self) -> Machine:
        return self._dice.choice(list(self._farm.machines))

    def _child(self, machine: Machine) -> str:
        """Name of one of a machine's processes, of those that it is to run."""
        if machine.name in self._farm.schedulers:
            return "beat"
        names = ["plotter", "archiver"] if machine.name in self._farm.plotters else ["harvester"]
        return self._dice.choice(names)

    def _last(self, longest_s: float = 15) -> float:
        seconds = self._dice.uniform(1, longest_s)
        wait_for(seconds)
        return seconds

    def _kill(self) -> str:
        machine = self._machine()
        name = self._child(machine)
        machine.signal(name, signal.SIGKILL)
        return f"{name} of {machine.name} killed"

    def _freeze(self) -> str:
        machine = self._machine()
        name = self._child(machine)
        machine.signal(name, signal.SIGSTOP)
        lasted_s = self._last(20)
        machine.signal(name, signal.SIGCONT)
        return f"{name} of {machine.name} frozen for {lasted_s:.0f} s"

    def _network(self, what: str, harm: Callable[[Host], None]) -> str:
        host = self._machine().host
        harm(host)
        lasted_s = self._last()
        host.heal()
        return f"{host.name} {what} for {lasted_s:.0f} s"

    def _silence(self) -> str:
        return self._network("reaches nobody, unknowingly,", Host.silence)

    def _unplug(self) -> str:
        return self._network("unplugged", Host.unplug)

    def _half_open(self) -> str:
        return self._network("has dead connections", Host.half_open)

    def _reset(self) -> str:
        host = self._machine().host
        host.reset()
        return f"connections of {host.name} reset"

    def _power_cut(self) -> str:
        machine = self._dice.choice([*self._farm.plotters.values(), *self._farm.harvesters.values()])
        if isinstance(machine, Plotter):
            # A plot of this very second may go with the power: it is not on the disk yet.
            eventually(lambda: not _done_just_now(machine), "no plot is done just now", 60)
        machine.power_cut()
        lasted_s = self._last(8)
        ahead_s = self._dice.choice(_CLOCKS_S)
        machine.boot(ahead_s)
        clock = f"; its clock is {ahead_s:+.0f} s wrong now" if ahead_s else ""
        return f"power of {machine.name} cut for {lasted_s:.0f} s{clock}"

    def _pull(self) -> str:
        harvester = self._dice.choice(list(self._farm.harvesters.values()))
        drive = self._dice.choice(list(harvester.drives))
        harvester.host.pull(drive)
        lasted_s = self._last()
        harvester.host.push(drive)
        return f"drive {drive} of {harvester.name} pulled for {lasted_s:.0f} s"

    def _hang(self) -> str:
        machine = self._dice.choice([*self._farm.plotters.values(), *self._farm.harvesters.values()])
        name = self._dice.choice(list(machine.host.drives))
        machine.host.freeze(name, True)
        lasted_s = self._last()
        machine.host.freeze(name, False)
        return f"drive {name} of {machine.name} hangs for {lasted_s:.0f} s"

    def _full(self) -> str:
        """The disk with plotman's own files and the plotters' logs."""
        machine = self._dice.choice([*self._farm.plotters.values(), *self._farm.harvesters.values()])
        litter = fill(machine.host.seen(machine.host.drives[OWN].path), leave_bytes=0)
        lasted_s = self._last()
        litter.unlink()
        return f"plotman's own disk of {machine.name} is full for {lasted_s:.0f} s"

    def _rename(self) -> str:
        """A user gives plots in a dst directory other dates in their names."""
        plotter = self._dice.choice(list(self._farm.plotters.values()))
        plots: list[Path] = []
        deadline_s = time.monotonic() + 15
        while not plots and time.monotonic() < deadline_s:
            plots = sorted(plotter.host.seen(plotter.dst).glob("plot-*.plot"))
        for plot in plots:
            other = _DATE.sub(f"-20{self._dice.randint(10, 25)}-01-01-00-00-", plot.name, count=1)
            with contextlib.suppress(FileNotFoundError):  # it has just been delivered
                plot.rename(plot.with_name(other))
        return f"{len(plots)} plots in dst of {plotter.name} renamed"

    def _redis(self) -> str:
        empty = self._dice.random() < 0.5
        self._farm.kill_broker()
        lasted_s = self._last(8)
        self._farm.start_broker(empty)
        return f"Redis gone for {lasted_s:.0f} s, back {'empty' if empty else 'as it was'}"
