"""Select running plots of the farm by what an operator types. Pure."""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from common.errors import ExitCode, ManyPlots, NoSuchPlot, PlotmanError
from common.model.plot_name import EVERY, fits
from common.model.snapshot import Job, age_s
from common.model.units import human_duration
from common.names import Role
from plotman.control.farm import FarmState

_SHOWN = 20  # candidates
_SHORT = 8  # digits of a plot id that operators see


class HostIsLost(PlotmanError):
    """The plot is on a host that does not answer."""

    exit_code = ExitCode.UNREACHABLE


@dataclass(frozen=True)
class PlotSelection:
    """A running plot and its host."""

    host: str
    job: Job

    @property
    def name(self) -> str:
        """Short name; also valid as a selector."""
        return self.job.plot_id[:_SHORT] if self.job.plot_id else f"{self.host}:{self.job.pid}"

    def __str__(self) -> str:
        where = f" in {self.job.tmp}" if self.job.tmp else ""
        return f"plot {self.name} on {self.host}{where}"


def resolve(
    farm: FarmState, selectors: Sequence[str], host: str | None = None, tmp: str | None = None
) -> list[PlotSelection]:
    """Return the plots that the selectors name, each once. Raises NoSuchPlot, HostIsLost, ManyPlots.

    selectors: each is the start of a plot id, HOST:PID, the start of a task id (8 digits or more), or `all`,
    which leaves silent hosts out. host, tmp: only on this plotter, only in this directory.
    """
    if host is not None and host not in farm.plotters:
        known = ", ".join(sorted(farm.plotters)) or "none"
        raise NoSuchPlot(f"No plotter is called {host}.", f"Plotters: {known}.")
    folder = None if tmp is None else os.path.normpath(tmp)
    jobs = [
        PlotSelection(name, job)
        for name, job in farm.jobs()
        if host in (None, name) and (folder is None or (job.tmp and folder == os.path.normpath(job.tmp)))
    ]
    found: dict[tuple[str, str], PlotSelection] = {}
    for selector in selectors:
        for target in _meant(farm, selector, jobs):
            found[target.host, target.job.task_id] = target
    return list(found.values())


def silent_hosts(farm: FarmState) -> frozenset[str]:
    """Return the silent plotters."""
    return frozenset(name for role, name in farm.stale if role is Role.PLOTTER)


def _meant(farm: FarmState, selector: str, jobs: list[PlotSelection]) -> list[PlotSelection]:
    silent = silent_hosts(farm)
    if selector.lower() == EVERY:
        reachable = [target for target in jobs if target.host not in silent]
        if not reachable:
            raise NoSuchPlot("No plot is running there.", "`plotman status` shows all running plots.")
        return reachable
    fitting = [
        target
        for target in jobs
        if fits(selector, target.host, target.job.pid, target.job.task_id, target.job.plot_id)
    ]
    if not selector:
        cure = "`plotman status` shows all running plots."
        raise NoSuchPlot("No plot is named: give the start of its id.", cure)
    if not fitting:
        raise NoSuchPlot(f"No plot {selector} is running.", _nearest(selector, jobs))
    if len(fitting) > 1:
        raise ManyPlots(
            f"{selector} names {len(fitting)} plots, and nothing was done. Give more of the id of one:\n"
            + "\n".join(candidates(fitting))
        )
    (target,) = fitting
    if target.host in silent:
        age = human_duration(age_s(farm.plotters[target.host].at, farm.at))
        raise HostIsLost(
            f"{target}: that host has been silent for {age}.", f"Start `plotman up` on {target.host}."
        )
    return fitting


def _nearest(selector: str, jobs: list[PlotSelection]) -> str:
    """Name the plots with the longest common start, or the verb that lists all."""
    alike = [
        (len(os.path.commonprefix([selector.lower(), target.job.plot_id or ""])), target)  # noqa: RUF071  digits
        for target in jobs
    ]
    most = max((length for length, _ in alike), default=0)
    if most == 0:
        return "`plotman status` shows all running plots, `plotman history` those that have ended."
    near = ", ".join(f"{target.name} on {target.host}" for length, target in alike if length == most)
    return f"Nearest: {near}."


def candidates(targets: Iterable[PlotSelection]) -> list[str]:
    """Format a line for each: plot id, host, tmp directory and phase, in columns."""
    rows = [
        (
            (target.job.plot_id or target.name)[:16],
            target.host,
            target.job.tmp or "?",
            str(target.job.phase) if target.job.phase else "?:?",
        )
        for target in targets
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    ]
    more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return [line.rstrip() for line in lines[:_SHOWN]] + more
