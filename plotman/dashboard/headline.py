"""The lines above the tables: what plotting and archiving do and why not, throughput, phases; and the banner
of what nobody should overlook. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from common.model.snapshot import Job, PlotState, PlotterSnapshot, Tally, age_s
from common.model.units import counted, human_bytes, human_duration
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.queries import reports
from plotman.dashboard.model import CellLevel, Line
from plotman.dashboard.panes.cells import sparkline
from plotman.dashboard.panes.waiting import Waiting

_MINORS = 9  # steps shown of a phase; a later one counts as the last


@dataclass(frozen=True)
class Away:
    """The broker does not answer. since: of what is shown; None: nothing was ever seen."""

    error: str
    since: datetime | None
    now: datetime


def status(farm: FarmState) -> tuple[Line, ...]:
    """Plotting, archiving, and where there is something to tell, throughput and phases."""
    waiting = Waiting(farm)
    lines = [plotting(farm, waiting), archiving(farm, waiting)]
    return (*lines, *throughput(farm), *phases(farm))


def plotting(farm: FarmState, waiting: Waiting) -> Line:
    plotters = list(farm.plotters.values())
    if not plotters:
        return Line("Plotting: no plotter has announced itself", CellLevel.NOTICE)
    jobs = sum(len(plotter.jobs) for plotter in plotters)
    held = [(plotter, why) for plotter in plotters if (why := _held(farm, plotter))]
    if len(plotters) == 1:
        word, level = (held[0][1], CellLevel.NOTICE) if held else ("active", CellLevel.PLAIN)
        reason = "" if held else waiting.reason(plotters[0].host, None, *_tmp_paths(plotters[0]))
        return Line(f"Plotting: {word}{f' ({reason})' if reason else ''}, {_plots(jobs)}", level)
    words = f"{len(plotters) - len(held)} of {counted(len(plotters), 'plotter')} active"
    if held:
        words += f" ({held[0][0].host}: {held[0][1]}{f'; {len(held) - 1} more' if len(held) > 1 else ''})"
    return Line(f"Plotting: {words}, {_plots(jobs)}", CellLevel.NOTICE if held else CellLevel.PLAIN)


def _held(farm: FarmState, plotter: PlotterSnapshot) -> str:
    """Why the host as a whole starts nothing; empty where it would."""
    if (Role.PLOTTER, plotter.host) in farm.stale:
        return f"silent for {human_duration(age_s(plotter.at, farm.at))}"
    if plotter.failures.consecutive >= plotter.failure_limit:
        return f"stopped, {counted(plotter.failures.consecutive, 'plotter')} died at once"
    return "" if plotter.plotting else f"paused: {plotter.pause_reason}"


def _tmp_paths(plotter: PlotterSnapshot) -> list[str]:
    return [tmp.path for tmp in plotter.tmp_dirs]


def _plots(count: int) -> str:
    return f"{counted(count, 'plot')} in the making"


def archiving(farm: FarmState, waiting: Waiting) -> Line:
    moving = [transfer for archiver in farm.archivers.values() for transfer in archiver.transfers]
    finished = [
        (host, plot) for host, plotter in farm.plotters.items() if plotter.archiving for plot in plotter.plots
    ]
    rests = [one for one in finished if one[1].path not in {transfer.path for transfer in moving}]
    senders = [plotter for plotter in farm.plotters.values() if plotter.archiving]
    if not senders:
        return Line("Archiving: off, plots stay where they are")
    words = []
    if moving:
        rate = sum(transfer.rate_bytes_s or 0 for transfer in moving)
        words.append(f"{len(moving)} on the way at {human_bytes(rate)}/s")
    if rests:
        reasons = (plot.reason or waiting.reason(host, plot.path) for host, plot in rests)
        why = next(filter(None, reasons), "")
        words.append(f"{len(rests)} {'waits' if len(rests) == 1 else 'wait'}{f' ({why})' if why else ''}")
    level = CellLevel.NOTICE if any(plot.state is PlotState.REFUSED for _, plot in rests) else CellLevel.PLAIN
    state = "paused" if all(plotter.archiving_paused for plotter in senders) else "active"
    return Line(f"Archiving: {state}, {', '.join(words) or 'nothing to move'}", level)


def throughput(farm: FarmState) -> list[Line]:
    """Plots and bytes of the last 24 hours with their course; nothing where no host tells it."""
    made = [plotter.tally for plotter in farm.plotters.values() if plotter.tally]
    sent = [archiver.tally for archiver in farm.archivers.values() if archiver.tally]
    words = [
        f"{verb} {sum(tally.day_count for tally in tallies)}, "
        f"{human_bytes(sum(tally.day_bytes for tally in tallies))} {sparkline(_hours(tallies))}"
        for verb, tallies in (("made", made), ("moved", sent))
        if tallies
    ]
    return [Line(f"Last 24 hours: {'; '.join(words)}")] if words else []


def _hours(tallies: Sequence[Tally]) -> list[int]:
    longest = max(len(tally.hours_count) for tally in tallies)
    padded = [[0] * (longest - len(tally.hours_count)) + list(tally.hours_count) for tally in tallies]
    return [sum(hour) for hour in zip(*padded, strict=True)]


def phases(farm: FarmState) -> list[Line]:
    """How many plots are in each step of the phases; nothing where no plot is in the making."""
    jobs = [job for _, job in farm.jobs()]
    return [Line(f"Phases: {histogram(jobs)}")] if jobs else []


def histogram(jobs: Sequence[Job]) -> str:
    """`1:··2·1···· 2:···1·····  ...`: a digit for each step that plots are in, + for more than nine."""
    count = Counter(
        (job.phase.major, min(job.phase.minor, _MINORS - 1)) for job in jobs if job.phase is not None
    )
    words = [
        f"{major}:" + "".join(_digit(count[major, minor]) for minor in range(_MINORS))
        for major in range(1, 5)
    ]
    before, copying = count[0, 0], sum(number for (major, _), number in count.items() if major > 4)
    unknown = sum(job.phase is None for job in jobs)
    rest = [(before, "not begun"), (copying, "copying"), (unknown, "unknown")]
    return " ".join([*words, *(f"{number} {word}" for number, word in rest if number)])


def _digit(count: int) -> str:
    return "·" if not count else str(count) if count < 10 else "+"


def notes(farm: FarmState, away: Away | None = None) -> tuple[Line, ...]:
    """The banner, worst first."""
    said = tuple(Line(note, CellLevel.BAD) for note in reports.notes(farm))
    return ((away_line(away),) if away else ()) + said


def away_line(away: Away) -> Line:
    what = "nothing is known yet"
    if away.since is not None:
        what = f"this is how it was {human_duration(age_s(away.since, away.now))} ago"
    return Line(f"NO BROKER, {what}: {away.error}", CellLevel.BAD)


def troubled(farm: FarmState) -> frozenset[str]:
    """Hosts with something that nobody should overlook."""
    silent = {host for _, host in farm.stale}
    told = {
        host
        for snapshots in (farm.plotters, farm.archivers, farm.harvesters)
        for host, snapshot in snapshots.items()
        if snapshot.problems
    }
    stopped = {
        host
        for host, plotter in farm.plotters.items()
        if plotter.failures.consecutive >= plotter.failure_limit or any(job.stalled for job in plotter.jobs)
    }
    return frozenset(silent | told | stopped)
