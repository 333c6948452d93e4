"""The lines above the tables: plotting and archiving with their reasons, throughput, phases, notes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from beat.policy.remedies import Harm
from common.model.holds import sentence
from common.model.plot_name import with_short_ids
from common.model.snapshot import PlotState, PlotterSnapshot, Tally, Wait, age_s
from common.model.units import counted, human_bytes, human_duration, sparkline
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.queries import scheduler_status
from plotman.control.queries.attention import attention, is_calm, next_start, plots_running
from plotman.control.queries.forecast import forecast
from plotman.control.queries.replot.progress import farm_line
from plotman.control.queries.scheduler_status import WaitReasons
from plotman.dashboard.model import CellLevel, Line

_PHASE_BAR = 80  # columns of the bar of phases


@dataclass(frozen=True)
class Outage:
    """The broker does not answer. since: time of the state shown; None: the farm was never read."""

    error: str
    since: datetime | None
    now: datetime


def pulse(farm: FarmState, width: int, outage: Outage | None = None) -> Line:
    """The farm in figures, as many as `width` columns have room for, and the time at the right."""
    hosts = {host for snapshots in farm.snapshots.values() for host in snapshots}
    outlook = forecast(farm)
    made, days = outlook.made, outlook.days
    words = [
        (counted(len(hosts), "host")),
        (f"{sum(len(one.jobs) for one in farm.plotters.values())} running"),
    ]
    if any(plotter.tally for plotter in farm.plotters.values()):
        over = "a day" if made.day_span == "24 h" else f"in {made.day_span}"
        words.append(f"{counted(made.day_count, 'plot')} and {human_bytes(made.day_bytes)} {over}")
    if days is not None:
        in_days = counted(round(days), "day") if days >= 1 else "less than a day"
        words.append(f"drives full in {in_days}" if days else "drives full")
    clock = f"{(farm.at if outage is None else outage.now).astimezone():%H:%M:%S}"
    tones = [("plotman", "strong")]
    used = len("plotman") + len(clock) + 3
    for word in words:
        if used + len(word) + 3 > width:
            break
        figure, _, rest = word.partition(" ") if word[0].isdigit() else ("", "", word)
        tones += [
            (" · " if len(tones) > 1 else "   ", "dim"),
            (figure, "strong"),
            (f" {rest}" if figure else rest, ""),
        ]
        used += len(word) + 3
    gap = max(1, width - 2 - sum(len(text) for text, _ in tones) - len(clock))
    return Line.of(*tones, (" " * gap, ""), (clock, "strong"))


def status(farm: FarmState) -> tuple[Line, ...]:
    """Plotting and archiving; replot, throughput and phases if there are any."""
    waiting = WaitReasons(farm)
    lines = [plotting(farm), archiving(farm, waiting)]
    if (replot := farm_line(farm)) is not None:
        lines.append(Line(replot))
    return (*lines, *throughput(farm), *phases(farm))


def plotting(farm: FarmState) -> Line:
    """What runs of what may run, when the next plot starts, and who starts none for a reason that is none of
    the usual ones."""
    plotters = list(farm.plotters.values())
    if not plotters:
        return Line("Plotting: no plotter has reported yet", CellLevel.NOTICE)
    running = plots_running(farm, plotters)
    held = [f"{plotter.host}: {why}" for plotter in plotters if (why := _held(farm, plotter))]
    if held and len(plotters) == 1:
        return Line(f"Plotting: {_held(farm, plotters[0])}, {running}", CellLevel.NOTICE)
    waits = [wait for plotter in plotters if not _held(farm, plotter) for wait in _waits(farm, plotter)]
    if scheduler_status.nobody_decides(farm):
        held.append(scheduler_status.NOBODY)
    held += [f"{wait.host} waits: {wait.reason}" for wait in waits if not is_calm(farm, wait)]
    more = f"; {len(held) - 1} more" if len(held) > 1 else ""
    if held:
        return Line(f"Plotting: {running} ({with_short_ids(held[0])}{more})", CellLevel.NOTICE)
    return Line(f"Plotting: {running}{next_start(farm)}")


def _waits(farm: FarmState, plotter: PlotterSnapshot) -> list[Wait]:
    """Why the plotter starts none now: its wait, or the waits of all its tmp directories."""
    mine = [wait for wait in scheduler_status.waits(farm) if wait.host == plotter.host]
    whole = [wait for wait in mine if wait.subject is None]
    tmps = {tmp.path for tmp in plotter.tmp_dirs}
    each = [wait for wait in mine if wait.subject in tmps]
    return whole[:1] or (each if tmps <= {wait.subject for wait in each} else [])


def _held(farm: FarmState, plotter: PlotterSnapshot) -> str:
    """Why the host starts no plots at all; empty if it may."""
    if (Role.PLOTTER, plotter.host) in farm.stale:
        return f"{farm.absence(Role.PLOTTER, plotter.host)} for {human_duration(age_s(plotter.at, farm.at))}"
    if plotter.failures.consecutive >= plotter.failure_limit:
        return f"stopped, {counted(plotter.failures.consecutive, 'plotter')} died at once"
    return plotter.pause_text


def archiving(farm: FarmState, reasons: WaitReasons) -> Line:
    moving = [transfer for archiver in farm.archivers.values() for transfer in archiver.transfers]
    sent = {(host, transfer.path) for host, one in farm.archivers.items() for transfer in one.transfers}
    left = [
        (host, plot)
        for host, plotter in farm.plotters.items()
        if plotter.archiving
        for plot in plotter.plots
        if (host, plot.path) not in sent
    ]
    senders = [plotter for plotter in farm.plotters.values() if plotter.archiving]
    if not senders:
        return Line("Archiving: off, plots stay where they are")
    is_paused = all(plotter.archiving_paused for plotter in senders)
    ready = [one for one in left if one[1].state in (PlotState.READY, PlotState.OPEN)]
    faulty_count = len(left) - len(ready)
    words = []
    if moving:
        rate = sum(transfer.rate_bytes_s or 0 for transfer in moving)
        words.append(f"{len(moving)} moving at {human_bytes(rate)}/s")
    if ready:
        known = (plot.reason or reasons.reason(host, plot.path) for host, plot in ready if not is_paused)
        why = with_short_ids(next(filter(None, known), ""))
        words.append(f"{len(ready)} {'waits' if len(ready) == 1 else 'wait'}{f' ({why})' if why else ''}")
    if faulty_count:
        words.append(f"{counted(faulty_count, 'file')} in dst {'needs' if faulty_count == 1 else 'need'} you")
    level = CellLevel.NOTICE if faulty_count else CellLevel.PLAIN
    hold = senders[0].archiving_paused if is_paused else None
    state = "active" if hold is None else sentence("paused", hold, farm.at, senders[0].utc_offset_s)
    return Line(f"Archiving: {state}, {', '.join(words) or 'nothing to move'}", level)


def throughput(farm: FarmState) -> list[Line]:
    """Plots of the last 24 hours, by hour; empty if no host reports them."""
    made = [plotter.tally for plotter in farm.plotters.values() if plotter.tally]
    sent = [archiver.tally for archiver in farm.archivers.values() if archiver.tally]
    tones = [("24 hours: ", "")]
    for verb, tallies in (("made", made), ("moved", sent)):
        if tallies:
            hours = _hours(tallies)
            count = sum(tally.day_count for tally in tallies)
            tones += [
                (f"{'; ' if len(tones) > 1 else ''}{verb} {count} ", ""),
                (sparkline(hours), "good"),
                (f" 0-{max(hours, default=0)}/h", "dim"),
            ]
    return [Line.of(*tones)] if len(tones) > 1 else []


def _hours(tallies: Sequence[Tally]) -> list[int]:
    longest = max(len(tally.hours_count) for tally in tallies)
    padded = [[0] * (longest - len(tally.hours_count)) + list(tally.hours_count) for tally in tallies]
    return [sum(hour) for hour in zip(*padded, strict=True)]


def phases(farm: FarmState) -> list[Line]:
    """The running plots as one bar, a part for each phase, as long as it has plots; empty without plots."""
    jobs = [job for _, job in farm.jobs()]
    known = Counter(min(4, job.phase.major) for job in jobs if job.phase is not None and job.phase.major > 0)
    parts = [(f"phase {major}: {count}", f"phase{major}", count) for major, count in sorted(known.items())]
    least = max((len(text) for text, _, _ in parts), default=0) + 2
    spare = max(0, _PHASE_BAR - least * len(parts))
    tones = [("Phases:   ", "")]
    for text, tone, count in parts:
        tones += [(f" {text} ".ljust(least + spare * count // known.total()), tone), (" ", "")]
    begun = (("not begun", sum(job.phase is not None and job.phase.major == 0 for job in jobs)),
             ("of unknown phase", sum(job.phase is None for job in jobs)))  # fmt: skip
    tones += [(f" {count} {word} ", "dim") for word, count in begun if count]
    return [Line.of(*tones)] if jobs else []


def notes(farm: FarmState, outage: Outage | None = None) -> tuple[Line, ...]:
    """Lines of the banner, the worst first; what operators asked for comes last."""
    lines = tuple(
        Line(need.text, CellLevel.BAD if need.harm > Harm.WANTED else CellLevel.NOTICE)
        for need in attention(farm)
    )
    return ((outage_line(outage),) if outage else ()) + lines


def notes_text(farm: FarmState, outage: Outage | None = None) -> str:
    """All notes in full, with what to do; empty if there are none."""
    first = [f"! {outage_line(outage).text}"] if outage else []
    return "\n\n".join([*first, *(f"! {need.text}\n  {need.remedy}".rstrip() for need in attention(farm))])


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
