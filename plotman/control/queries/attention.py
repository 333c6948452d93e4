"""What of the farm is as it should be, in a line each, and what needs a hand. Pure.

A farm at full load waits all the time: for a slot, for the stagger, for a drive's turn. These waits are no
trouble, and are summed up in the calm lines.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from beat.policy.remedies import Harm, harm, remedy
from common.model.disk_usage import free_bytes_once
from common.model.plot_name import PlotName, with_short_ids
from common.model.snapshot import FinishedPlot, PlotState, PlotterSnapshot, Wait
from common.model.units import counted, human_bytes, human_duration
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.queries import reports, scheduler_status
from plotman.control.queries.eta import expected
from plotman.control.queries.replot.progress import farm_line


@dataclass(frozen=True)
class Need:
    """What is unexpected, or waits for an operator; or, with Harm.WANTED, what an operator asked for.

    place: HOST, HOST:DIR, or what names plots, as the verbs take it; empty if the reason names it.
    remedy: what to do about it, or how to end it; empty if not known. host: whose it is; empty: the farm's.
    """

    harm: Harm
    place: str
    reason: str
    remedy: str
    host: str = ""

    @property
    def text(self) -> str:
        return f"{self.place}: {self.reason}" if self.place else self.reason


def needs(farm: FarmState) -> list[Need]:
    """List what needs a hand, the most harmful first. Plots of a host that wait by one rule are one need."""
    return [need for need in attention(farm) if need.harm > Harm.WANTED]


def attention(farm: FarmState) -> list[Need]:
    """List what needs a hand, the farm's own first and then the most harmful; and then what operators asked
    for. Every front end shows this list."""
    notes = reports.noted(farm)
    known = {(note.host, note.rule, note.subject) for note in notes if note.rule and note.harm > Harm.WANTED}
    found = [Need(note.harm, "", note.text, note.remedy, note.host) for note in notes]
    found += [*_of_drives(farm), *_of_waits(farm, known), *_of_files(farm)]
    of_farm = [need for need in found if not need.host]
    of_hosts = [need for need in dict.fromkeys(found) if need.host]
    return [*of_farm, *sorted(of_hosts, key=lambda need: (-need.harm, need.host, need.text))]


def calm_lines(farm: FarmState) -> list[str]:
    """Say in a line each how plotting, archiving, the drives and the replot are; nothing on what the farm has
    not."""
    return [line for line in (_plotting(farm), _archiving(farm), _drives(farm), farm_line(farm)) if line]


def is_calm(farm: FarmState, wait: Wait) -> bool:
    """Whether a wait is part of a farm's usual work, and ends by itself."""
    return _harm(farm, wait) is Harm.NONE or wait.rule == "windows"


def _harm(farm: FarmState, wait: Wait) -> Harm:
    plotter = farm.plotters.get(wait.host)
    return harm(wait, 0 if plotter is None else len(plotter.jobs))


def _of_drives(farm: FarmState) -> Iterator[Need]:
    for host, harvester in farm.alive(Role.HARVESTER).items():
        evacuated = {entry.drive for entry in harvester.evacuations}  # has a note of its own
        for drive in harvester.drives:
            if drive.lost and drive.path not in evacuated:
                text = remedy("drive", host, drive.path)
                yield Need(Harm.STOPS, f"{host}:{drive.path}", drive.word, text, host)


def _of_waits(farm: FarmState, known: Container[tuple[str, str, str | None]]) -> Iterator[Need]:
    """Waits besides the ones of files that are left alone, which their snapshot describes better.

    Args:
        known: (host, rule, subject) of waits that a note describes better.
    """
    states = {state.value for state in PlotState}
    of_plots: dict[tuple[str, str], list[Wait]] = {}
    for wait in scheduler_status.waits(farm):
        how = _harm(farm, wait)
        is_known = wait.rule in states or (wait.host, wait.rule, wait.subject) in known
        if how <= Harm.WANTED or is_known:
            continue
        if wait.subject is not None and PlotName.parse(wait.subject.rpartition("/")[2]) is not None:
            of_plots.setdefault((wait.host, wait.rule), []).append(wait)
            continue
        place = wait.host if wait.subject is None else f"{wait.host}:{wait.subject}"
        text = remedy(wait.rule, wait.host, wait.subject)
        yield Need(how, place, with_short_ids(wait.reason), text, wait.host)
    for (host, rule), waits in of_plots.items():
        yield _of_plots(_harm(farm, waits[0]), host, rule, [(one.subject or "", one.reason) for one in waits])


def _of_files(farm: FarmState) -> Iterator[Need]:
    """Files that are left alone. Refused plots have a note of their own."""
    elsewhere = (PlotState.READY, PlotState.OPEN, PlotState.REFUSED)
    for host, snapshot in farm.plotters.items():
        by_state: dict[str, list[FinishedPlot]] = {}
        for plot in snapshot.plots:
            if plot.state not in elsewhere:
                by_state.setdefault(plot.state.value, []).append(plot)
        for state, plots in by_state.items():
            files = [(plot.path, plot.reason or state) for plot in plots]
            yield _of_plots(Harm.FILE, host, state, files, "file")


def _of_plots(how: Harm, host: str, rule: str, files: Sequence[tuple[str, str]], noun: str = "plot") -> Need:
    """Make one need of files that wait by one rule. files: path and reason each."""
    path, reason = files[0]
    folder, _, name = path.rpartition("/")
    plot = PlotName.parse(name)
    # The name of a misnamed file is pasted to rename it, and has another plot's id.
    shown = name if plot is None or rule == PlotState.MISNAMED else plot.plot_id[:8]
    first = f"{shown} in {folder}" if len(files) == 1 else f"{counted(len(files), noun)}, the first {shown}"
    return Need(how, f"{host}: {first}", with_short_ids(reason), remedy(rule, host, shown), host)


def plots_running(farm: FarmState, hosts: Iterable[PlotterSnapshot]) -> str:
    """`5 of 6 running`: plots on these hosts, and how many may be at a time."""
    hosts = list(hosts)
    running, most = _counts(farm, hosts)
    # Plots that are started by hand count, and no limit stops them.
    return f"{running} of {most} running" if running <= most else f"{running} running (limit: {most})"


def next_start(farm: FarmState) -> str:
    """`, next start in 16s`; empty if that is not known, or needs a hand."""
    plotters = farm.alive(Role.PLOTTER)
    if farm.waits is None or scheduler_status.nobody_decides(farm):
        return ""
    of_host: dict[str, list[Wait]] = {}
    for wait in scheduler_status.waits(farm):
        of_host.setdefault(wait.host, []).append(wait)
    ends = [_next_start_s(farm, one, of_host.get(host, [])) for host, one in plotters.items() if one.plotting]
    starts = [start for start in ends if start is not None]
    running, most = _counts(farm, plotters.values())
    if not starts or (running >= most and not min(starts)):  # no scheduler has seen the latest plots yet
        return ""
    return f", next start {f'in {human_duration(min(starts))}' if min(starts) else 'now'}"


def _counts(farm: FarmState, hosts: Iterable[PlotterSnapshot]) -> tuple[int, int]:
    """Running plots of the hosts, and their most."""
    hosts = list(hosts)
    most = sum(min(one.global_max_jobs, sum(tmp.max_jobs for tmp in one.tmp_dirs)) for one in hosts)
    waits = scheduler_status.waits(farm)
    limits = [int(wait.numbers.get("limit", 0)) for wait in waits if wait.rule == "farm max jobs"]
    return sum(len(one.jobs) for one in hosts), min([most, *limits])


def _plotting(farm: FarmState) -> str | None:
    plotters = farm.alive(Role.PLOTTER)
    if not plotters:
        return None
    hosts = f" on {len(plotters)} hosts" if len(plotters) > 1 else ""
    line = f"Plotting: {plots_running(farm, plotters.values())}{hosts}"
    if not any(one.plotting for one in plotters.values()):
        return f"{line}, no more are started"
    return f"{line}{next_start(farm)}"


def _next_start_s(farm: FarmState, snapshot: PlotterSnapshot, waits: Sequence[Wait]) -> float | None:
    """Seconds until the host may start a plot by itself; None: not known, or it needs a hand. waits: its."""

    def end_s(wait: Wait) -> float | None:
        at, _ = expected(wait, snapshot, farm.at)
        return None if at is None or not is_calm(farm, wait) else max(0.0, (at - farm.at).total_seconds())

    of_subject: dict[str | None, list[float | None]] = {}
    for wait in waits:
        of_subject.setdefault(wait.subject, []).append(end_s(wait))
    of_host = of_subject.get(None, [])
    of_tmp = []
    for tmp in snapshot.tmp_dirs:
        ends = of_subject.get(tmp.path, [])
        if None not in ends and tmp.drained is None:
            of_tmp.append(max((end for end in ends if end is not None), default=0.0))
    if None in of_host or not of_tmp:
        return None
    starts = [min(of_tmp), *(end for end in of_host if end is not None)]
    if len(snapshot.jobs) >= snapshot.global_max_jobs:  # its scheduler may name the stagger only
        etas_s = [job.eta_s for job in snapshot.jobs if job.eta_s is not None]
        if not etas_s:
            return None
        starts.append(max(0.0, min(etas_s)))
    return max(starts)


def _archiving(farm: FarmState) -> str | None:
    archivers = farm.alive(Role.ARCHIVER)
    transfers = [(host, one) for host, archiver in archivers.items() for one in archiver.transfers]
    moving = {(host, one.path) for host, one in transfers} | set(farm.moves)
    sources = [one for one in farm.plotters.values() if one.archiving]
    if not archivers and not sources and not moving:
        return None
    ready = {(one.host, plot.path) for one in sources for plot in one.plots if plot.state is PlotState.READY}
    paused = [one.host for one in sources if one.archiving_paused is not None]
    hold = "" if not paused else "paused" if len(paused) == len(sources) else f"paused on {', '.join(paused)}"
    state = f", {hold}" if hold else ""
    if not (ready | moving):
        return f"Archiving: nothing to move{state}"
    rate_bytes_s = sum(one.rate_bytes_s or 0 for _, one in transfers)
    rate = f" at {human_bytes(rate_bytes_s)}/s" if rate_bytes_s else ""
    return f"Archiving: {len(moving)} of {len(ready | moving)} moving{rate}{state}"


def _drives(farm: FarmState) -> str | None:
    drives = [(one, drive) for one in farm.alive(Role.HARVESTER).values() for drive in one.drives]
    if not drives:
        return None
    taking = [(one, drive) for one, drive in drives if drive.takes_plots and not drive.full]
    free = human_bytes(free_bytes_once(taking))
    return f"Drives: {len(taking)} of {len(drives)} take plots, {free} free"
