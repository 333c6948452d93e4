"""The lines above the tables: plotting and archiving with their reasons, throughput, phases, notes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from common.model.holds import sentence
from common.model.plot_name import with_short_ids
from common.model.snapshot import Job, PlotState, PlotterSnapshot, Tally, age_s
from common.model.units import counted, human_bytes, human_duration
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.queries import reports
from plotman.control.queries.scheduler_status import WaitReasons
from plotman.dashboard.model import CellLevel, Line
from plotman.dashboard.panes.cells import sparkline

_MINORS = 9  # steps shown of a phase; later steps count as the last one


@dataclass(frozen=True)
class Outage:
    """The broker does not answer. since: time of the state shown; None: the farm was never read."""

    error: str
    since: datetime | None
    now: datetime


def status(farm: FarmState) -> tuple[Line, ...]:
    """Plotting and archiving; throughput and phases if known."""
    waiting = WaitReasons(farm)
    lines = [plotting(farm, waiting), archiving(farm, waiting)]
    return (*lines, *throughput(farm), *phases(farm))


def plotting(farm: FarmState, reasons: WaitReasons) -> Line:
    plotters = list(farm.plotters.values())
    if not plotters:
        return Line("Plotting: no plotter has reported yet", CellLevel.NOTICE)
    jobs = sum(len(plotter.jobs) for plotter in plotters)
    held = [(plotter, why) for plotter in plotters if (why := _held(farm, plotter))]
    if len(plotters) == 1:
        word, level = (held[0][1], CellLevel.NOTICE) if held else ("active", CellLevel.PLAIN)
        reason = (
            ""
            if held
            else reasons.reason(plotters[0].host, None, *(tmp.path for tmp in plotters[0].tmp_dirs))
        )
        return Line(f"Plotting: {word}{f' ({reason})' if reason else ''}, {_plots(jobs)}", level)
    words = f"{len(plotters) - len(held)} of {counted(len(plotters), 'plotter')} active"
    if held:
        words += f" ({held[0][0].host}: {held[0][1]}{f'; {len(held) - 1} more' if len(held) > 1 else ''})"
    return Line(f"Plotting: {words}, {_plots(jobs)}", CellLevel.NOTICE if held else CellLevel.PLAIN)


def _held(farm: FarmState, plotter: PlotterSnapshot) -> str:
    """Why the host starts no plots at all; empty if it may."""
    if (Role.PLOTTER, plotter.host) in farm.stale:
        return f"{farm.absence(Role.PLOTTER, plotter.host)} for {human_duration(age_s(plotter.at, farm.at))}"
    if plotter.failures.consecutive >= plotter.failure_limit:
        return f"stopped, {counted(plotter.failures.consecutive, 'plotter')} died at once"
    return plotter.pause_text


def _plots(count: int) -> str:
    return f"{counted(count, 'plot')} running"


def archiving(farm: FarmState, reasons: WaitReasons) -> Line:
    moving = [transfer for archiver in farm.archivers.values() for transfer in archiver.transfers]
    finished = [
        (host, plot) for host, plotter in farm.plotters.items() if plotter.archiving for plot in plotter.plots
    ]
    ready = [one for one in finished if one[1].path not in {transfer.path for transfer in moving}]
    senders = [plotter for plotter in farm.plotters.values() if plotter.archiving]
    if not senders:
        return Line("Archiving: off, plots stay where they are")
    is_paused = all(plotter.archiving_paused for plotter in senders)
    words = []
    if moving:
        rate = sum(transfer.rate_bytes_s or 0 for transfer in moving)
        words.append(f"{len(moving)} moving at {human_bytes(rate)}/s")
    if ready:
        known = (plot.reason or reasons.reason(host, plot.path) for host, plot in ready if not is_paused)
        why = with_short_ids(next(filter(None, known), ""))
        words.append(f"{len(ready)} {'waits' if len(ready) == 1 else 'wait'}{f' ({why})' if why else ''}")
    refused = any(plot.state is PlotState.REFUSED for _, plot in ready)
    level = CellLevel.NOTICE if refused else CellLevel.PLAIN
    hold = senders[0].archiving_paused if is_paused else None
    state = "active" if hold is None else sentence("paused", hold, farm.at, senders[0].utc_offset_s)
    return Line(f"Archiving: {state}, {', '.join(words) or 'nothing to move'}", level)


def throughput(farm: FarmState) -> list[Line]:
    """Plots and bytes of the last 24 hours, by hour; empty if no host reports them."""
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
    """Number of plots in each step of the phases; empty without running plots."""
    jobs = [job for _, job in farm.jobs()]
    return [Line(f"Phases: {histogram(jobs)}")] if jobs else []


def histogram(jobs: Sequence[Job]) -> str:
    """`1:··2·1···· 2:···1·····  ...`: a digit for each step with plots, + for more than nine."""
    count = Counter(
        (job.phase.major, min(job.phase.minor, _MINORS - 1)) for job in jobs if job.phase is not None
    )
    words = [
        f"{major}:" + "".join(_digit(count[major, minor]) for minor in range(_MINORS))
        for major in range(1, 5)
    ]
    unbegun, copying = count[0, 0], sum(number for (major, _), number in count.items() if major > 4)
    unknown = sum(job.phase is None for job in jobs)
    rest = [(unbegun, "not begun"), (copying, "copying"), (unknown, "unknown")]
    return " ".join([*words, *(f"{number} {word}" for number, word in rest if number)])


def _digit(count: int) -> str:
    return "·" if not count else str(count) if count < 10 else "+"


def notes(farm: FarmState, outage: Outage | None = None) -> tuple[Line, ...]:
    """Lines of the banner, the worst first."""
    lines = tuple(Line(note, CellLevel.BAD) for note in reports.notes(farm))
    return ((outage_line(outage),) if outage else ()) + lines


def first_notes(notes: Sequence[Line], most: int) -> Sequence[Line]:
    """At most `most` notes. The last one starts with how many more there are: its end may be cut off."""
    if len(notes) <= most:
        return notes
    more = f"(and {len(notes) - most} more: n) "
    return [*notes[: most - 1], Line(more + notes[most - 1].text, notes[most - 1].level)]


def outage_line(outage: Outage) -> Line:
    state = "nothing is known yet"
    if outage.since is not None:
        state = f"this is the state of {human_duration(age_s(outage.since, outage.now))} ago"
    return Line(f"NO BROKER, {state}: {outage.error}", CellLevel.BAD)


def troubled(farm: FarmState) -> frozenset[str]:
    """Hosts with a problem."""
    silent = {host for _, host in farm.stale}
    with_problems = {
        host
        for snapshots in farm.snapshots.values()
        for host, snapshot in snapshots.items()
        if snapshot.problems
    }
    stopped = {
        host
        for host, plotter in farm.plotters.items()
        if plotter.failures.consecutive >= plotter.failure_limit or any(job.stalled for job in plotter.jobs)
    }
    return frozenset(silent | with_problems | stopped | farm.spoilt.keys())
