"""The content of the page of the farm: cards, charts, bars and tables. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from beat.policy.remedies import Harm
from common.model.disk_usage import used_share
from common.model.figures import LONGEST_NAME
from common.model.notification_kinds import Severity, severity
from common.model.snapshot import Drive, DriveUse, Event, RunStatus, TargetSpace
from common.model.text import one_line
from common.model.units import counted, human_bytes
from common.names import FREQUENT_EVENTS, Role
from plotman.control.farm import FarmState
from plotman.control.queries import attention, evacuations, inventory, scheduler_status, tables
from plotman.control.queries.attention import Need
from plotman.control.queries.event_text import event_text
from plotman.control.queries.forecast import Pace, forecast
from plotman.control.queries.tables import PlainTable
from plotman.control.shares import fair_share
from plotman.flower import charts
from plotman.flower.page import (
    Button,
    Card,
    Chart,
    DriveBar,
    EventLine,
    HostLine,
    NeedLine,
    Page,
    PageSection,
)
from plotman.flower.trends import Trends

EVENTS = 100  # to be read; the newest without steps of plots are shown
_SHOWN_EVENTS = 20
_TIB = 2**40
_HOUR_S = 3600
_LONG_FOLDER = 12  # characters
_LONGEST_TEXT = 300  # characters of a cell or a line: a host may write any, in each of hundreds of rows
_MOST_NEEDS = 200
_NO_DST = "None: plots stay where they are made."
# Columns of running plots, by the window that is too narrow for them. A phone shows neither directory: the
# host and the progress matter more.
_HIDDEN = {
    **dict.fromkeys(("process", "memory", "CPU user", "CPU sys", "I/O wait"), "farm-wide"),
    **dict.fromkeys(("plotter", "k", "tmp size", "elapsed"), "farm-medium"),
    **dict.fromkeys(("tmp", "dst"), "farm-spare"),
}
_RANKS = {"danger": 0, "warning": 1, "": 2}


def page(
    farm: FarmState, trends: Trends | None = None, events: Iterable[Event] = (), orders: bool = False
) -> Page:
    """Make the page.

    Args:
        farm: as it is now. trends: of the last 30 days. events: the newest ones, the oldest first.
        orders: whether the viewer may press buttons.
    """
    trends = trends or Trends()
    shown = [event for event in events if event.kind not in FREQUENT_EVENTS]
    listed = attention.attention(farm)
    chosen = fair_share([need.host for need in listed], most=_MOST_NEEDS)
    hosts, drives = list(_hosts(farm, orders)), list(_drives(farm))
    shown_hosts = fair_share([host.name for host in hosts], [_RANKS[host.kind] for host in hosts])
    shown_drives = fair_share([found.host for found in drives], [found.rank for found in drives])
    shown_drives.sort(key=lambda number: drives[number].rank)
    rates = trends.bytes_per_day()
    return Page(
        needs=tuple(_need(listed[number]) for number in chosen),
        cards=tuple(_cards(farm, sum(need.harm > Harm.WANTED for need in listed))),
        charts=tuple(_charts(trends)) if trends.known else (),
        trend_note=_short(trends.note or ""),
        events=tuple(map(_event, shown[-_SHOWN_EVENTS:][::-1])),
        hosts=tuple(sorted((hosts[number] for number in shown_hosts), key=lambda host: _RANKS[host.kind])),
        drives=tuple(_drive_bar(farm, drives[number], rates, orders) for number in shown_drives),
        running=_running(farm, orders),
        moving=_section("Transfers", tables.moves_table(farm), "None.", "status"),
        sections=(
            _waits(farm),
            _tmp_dirs(farm),
            _section(
                "dst directories", tables.dst_table(farm), "None: plots stay where they are made.", "dirs"
            ),
            _inventory(farm),
            _section("Plots that are not archived", tables.plots_table(farm), "None.", "status --classic"),
        ),
        orders=orders,
        more_needs=_more(len(listed) - len(chosen), "status"),
        more_hosts=_more(len(hosts) - len(shown_hosts), "dirs"),
        more_drives=_more(len(drives) - len(shown_drives), "dirs"),
    )


def _more(count: int, verb: str) -> str:
    return f"and {count:,} more; `plotman {verb}` shows all" if count else ""


_NEED_KINDS = {Harm.STOPS: "danger", Harm.FILE: "warning"}


def _short(text: str) -> str:
    """A line as the page shows it; `…` where it is cut."""
    line = one_line(text, _LONGEST_TEXT + 1)
    return line if len(line) <= _LONGEST_TEXT else f"{line[: _LONGEST_TEXT - 1]}…"


def _need(need: Need) -> NeedLine:
    text, remedy = _short(need.text), _short(need.remedy)
    return NeedLine(text, remedy, _NEED_KINDS.get(need.harm, ""))


def _running(farm: FarmState, orders: bool) -> PageSection:
    """Running plots; if they are too many, first those that wait without end and those that are suspended."""
    jobs = farm.jobs()
    ranks = [0 if job.stalled else 1 if job.status is RunStatus.STOPPED else 2 for _, job in jobs]
    table = tables.jobs_table(farm).without("pid")  # `plotman details` has it
    made = _section("Running plots", table, "None.", "status", ranks)
    chosen = [jobs[number] for number in fair_share([host for host, _ in jobs], ranks)]
    buttons = [_plot_buttons(farm, host, job.task_id, job.status) for host, job in chosen] if orders else ()
    return replace(made, links=[job.task_id for _, job in chosen], buttons=buttons, hidden=_HIDDEN)


def _waits(farm: FarmState) -> PageSection:
    """Waits; if they are too many, first those that do not pass by themselves."""
    unknown = scheduler_status.nobody_decides(farm)
    empty = f"Not known: {scheduler_status.NOBODY}." if unknown else "Nothing waits."
    waits = scheduler_status.waits(farm)
    bad = {(wait.host, wait.subject or "") for wait in waits if not attention.is_calm(farm, wait)}
    table = tables.waits_table(farm)
    ranks = [0 if row[:2] in bad else 1 for row in table.rows]
    return _section("Why nothing starts or moves", table, empty, "why", ranks)


def _tmp_dirs(farm: FarmState) -> PageSection:
    """tmp directories; if they are too many, first those that take no plots."""
    table = tables.tmp_table(farm)
    ready = table.columns.index("ready")
    ranks = [0 if row[ready] == "--" else 1 for row in table.rows]
    return _section("tmp directories", table, "No plotter has reported yet.", "dirs", ranks)


def _inventory(farm: FarmState) -> PageSection:
    found = inventory.by_snapshots(farm)
    made = inventory.table(found, inventory.By.CLASS)
    ranks = [*range(1, len(made.rows)), 0]  # the last one is the sum
    section = _section("On the drives", made, "No harvester has an inventory yet.", "inventory", ranks)
    words = [f"{host.host}: {host.progress}" for host in found.hosts if host.progress]
    if found.faults:
        words.append(f"no whole plots: {counted(found.faults, 'file')}")
    return replace(section, title=one_line(f"{section.title} ({'; '.join(words)})")) if words else section


def _cards(farm: FarmState, needs: int) -> Iterable[Card]:
    hosts = {*farm.plotters, *farm.archivers, *farm.harvesters}
    silent = {host for _, host in farm.stale}
    transfers = sum(len(archiver.transfers) for archiver in farm.archivers.values())
    expected = forecast(farm)
    free = expected.free_bytes if expected.drives else None
    full_in = "" if expected.days is None else f"full in {_days(expected.days)}"
    yield Card(
        "Hosts", f"{len(hosts - silent)} of {len(hosts)}", "danger" if silent else "success",
        f"{len(silent)} silent" if silent else "all report",
    )  # fmt: skip
    yield Card("Running plots", str(len(farm.jobs())), "active", counted(transfers, "transfer"))
    made = expected.made
    yield Card("Plots/day", _per_day(made.count_per_day, made.day_count), "", f"{made.day_count} in 24 h")
    yield Card("TiB/day", _tib_per_day(expected.archived), "", "archived")
    yield Card("Free space", human_bytes(free) if free is not None else "?", "", full_in)
    yield Card("Needs a hand", str(needs), "danger" if needs else "success", "" if needs else "all is well")


def _per_day(count: float | None, so_far: int) -> str:
    """The rate; in a farm's first hour what there is."""
    return str(so_far) if count is None else f"{count:.1f}"


def _tib_per_day(pace: Pace) -> str:
    rate = pace.day_bytes if pace.bytes_per_day is None else pace.bytes_per_day
    return f"{rate / _TIB:.2f}"


def _days(days: float) -> str:
    if days > 3650:
        return "more than 10 years"
    return counted(round(days), "day") if days >= 2 else counted(round(days * 24), "hour")


def _charts(trends: Trends) -> Iterable[Chart]:
    labels = [f"{day:%b %d}" for day in trends.days]
    made = [day.made for day in trends.totals]
    tib = [day.archived_bytes / _TIB for day in trends.totals]
    yield Chart(
        "Plots per day", f"{sum(made)} in 30 days",
        charts.bars("Plots per day in the last 30 days", labels, made, "plots"),
    )  # fmt: skip
    yield Chart(
        "TiB archived per day", f"{sum(tib):.2f} TiB in 30 days",
        charts.bars("TiB archived per day in the last 30 days", labels, tib, "TiB"),
    )  # fmt: skip
    kind, means = trends.phase_times()
    if kind is None:
        return
    plotter, k, compression = kind
    most_s = max((value for values in means for value in values if value is not None), default=0)
    unit_s, unit = (_HOUR_S, "h") if most_s >= _HOUR_S else (60, "min") if most_s >= 60 else (1, "s")
    series = [
        (f"phase {number}", [None if value is None else value / unit_s for value in values])
        for number, values in enumerate(means, 1)
    ]
    what = f"{one_line(plotter, 30)} k{k or '?'}" + (f" C{compression}" if compression else "")
    yield Chart(
        f"Mean time of phases, {what}", f"up to {most_s / unit_s:.1f} {unit}",
        charts.lines("Mean time of each phase in the last 30 days", labels, series, unit),
        tuple(name for name, _ in series),
    )  # fmt: skip


def _hosts(farm: FarmState, orders: bool) -> Iterable[HostLine]:
    for host in sorted({*farm.plotters, *farm.archivers, *farm.harvesters}):
        roles = [role for role, snapshots in farm.snapshots.items() if host in snapshots]
        absent = {farm.absence(role, host) for role in roles if (role, host) in farm.stale}
        plotter = farm.plotters.get(host)
        state, kind = "", ""
        if absent:
            state, kind = " and ".join(sorted(absent)), "danger"
        elif plotter is not None:
            count = counted(len(plotter.jobs), "plot")
            state, kind = (
                (f"{plotter.pause_text}; {count}", "warning") if not plotter.plotting else (count, "")
            )
        buttons = tuple(_host_buttons(farm, host)) if orders and not absent else ()
        yield HostLine(
            one_line(host, LONGEST_NAME),
            ", ".join(role.value for role in roles),
            one_line(state, 300),
            kind,
            buttons,
        )


def _host_buttons(farm: FarmState, host: str) -> Iterable[Button]:
    shown = one_line(host, LONGEST_NAME)
    if (plotter := farm.plotters.get(host)) is not None:
        if plotter.paused is not None or plotter.failures.consecutive >= plotter.failure_limit:
            yield Button("Unpause", "unpause", host, question=f"Start plots on {shown} again?")
        else:
            yield Button(
                "Pause", "pause", host, question=f"Start no more plots on {shown}? Those that run go on."
            )
    parts = (farm.plotters.get(host), farm.harvesters.get(host))
    if any(part is not None and part.drained is not None for part in parts):
        yield Button("Undrain", "undrain", host, question=f"End the drain of {shown}?")
    else:
        yield Button(
            "Drain", "drain", host, question=f"Let nothing new begin on {shown}, on none of its drives?"
        )


def _plot_buttons(farm: FarmState, host: str, task_id: str, status: RunStatus) -> tuple[Button, ...]:
    if (Role.PLOTTER, host) in farm.stale:
        return ()
    stopped = status is RunStatus.STOPPED
    change = (
        Button("Resume", "resume", host, task_id) if stopped else Button("Suspend", "suspend", host, task_id)
    )
    return Button("Log", "log", host, task_id), change, Button("Kill", "kill", host, task_id)


@dataclass(frozen=True)
class _Place:
    """A farming drive, or a folder of a target of plotman 0.5. rank: the smallest matter most."""

    host: str
    rank: int
    drive: Drive | None = None
    target: tuple[str, TargetSpace] | None = None


def _drives(farm: FarmState) -> Iterable[_Place]:
    for host, snapshot in farm.harvesters.items():
        stale = (Role.HARVESTER, host) in farm.stale
        for drive in snapshot.drives:
            rank = 0 if stale or drive.lost else 1 if not drive.takes_plots else 3 if drive.full else 2
            yield _Place(host, rank, drive)
    for host, archiver in farm.archivers.items():
        if archiver.target is not None:
            for space in archiver.target.spaces:
                yield _Place(host, 2, target=(archiver.target.name, space))


def _drive_bar(
    farm: FarmState, place: _Place, rates: Mapping[tuple[str, str], float], orders: bool
) -> DriveBar:
    """rates: bytes per day by (host, drive)."""
    host, drive = place.host, place.drive
    shown_host = one_line(host, LONGEST_NAME)
    if place.target is not None:  # its size and plots are not known
        name, space = place.target
        free = f"{human_bytes(space.free_bytes)} free"
        state = one_line(f"target {name}", 100)
        return DriveBar(shown_host, _short(space.path), None, state, "", free, "", "", ())
    assert drive is not None
    snapshot, stale = farm.harvesters[host], (Role.HARVESTER, host) in farm.stale
    share = used_share(drive.free_bytes, drive.total_bytes, drive.reserved_bytes)
    word = farm.absence(Role.HARVESTER, host) if stale else evacuations.word(snapshot, drive, farm.at)
    kind = "danger" if stale or drive.lost else "warning" if not drive.takes_plots else ""
    rate = rates.get((host, drive.path), 0)
    full_in = ""
    if drive.takes_plots and not drive.full and not stale and drive.free_bytes and rate:
        full_in = f"full in {_days(drive.free_bytes / rate)}"
    plots = counted(drive.plots, "plot")
    plots += f", {human_bytes(drive.reserved_bytes)} reserved" if drive.reserved_bytes else ""
    return DriveBar(
        host=shown_host,
        path=_short(drive.path),
        percent=None if share is None else round(100 * share),
        state=one_line(word, 100),
        plots=plots,
        free="" if drive.free_bytes is None else f"{human_bytes(drive.free_bytes)} free",
        full_in=full_in,
        kind=kind or ("full" if drive.full else ""),
        buttons=_drive_buttons(host, drive.path, drive.use) if orders and not stale else (),
    )


def _drive_buttons(host: str, path: str, use: DriveUse) -> tuple[Button, ...]:
    where = f"{one_line(host, LONGEST_NAME)}:{one_line(path)}"
    if use is DriveUse.DISABLED or len(path) > _LONGEST_TEXT:  # the page does not show all of its name
        return ()
    if use is DriveUse.DRAINING:
        return (
            Button("Undrain", "undrain", host, place=path, question=f"Let new plots go to {where} again?"),
        )
    return (Button("Drain", "drain", host, place=path, question=f"Let no new plots go to {where}?"),)


_EVENT_KINDS = {Severity.SUCCESS: "success", Severity.WARNING: "danger", Severity.CRITICAL: "danger"}


def _event(event: Event) -> EventLine:
    text = _short(f"{event.host}: {event_text(event)}")
    return EventLine(event.at.isoformat(), text, _EVENT_KINDS.get(severity(event.kind), ""))


def _section(title: str, table: PlainTable, empty: str, verb: str, ranks: Sequence[int] = ()) -> PageSection:
    """Make a section. Long paths are relative to their common folder, which the title names.

    Args:
        title: of the section. table: all rows. empty: text in place of rows.
        verb: of plotman, which shows all rows. ranks: as for `fair_share`.
    """
    host = table.columns.index("host") if "host" in table.columns else None
    chosen = fair_share([row[host] if host is not None else "" for row in table.rows], ranks)
    more = _more(len(table.rows) - len(chosen), verb)
    table = replace(table, rows=tuple(table.rows[number] for number in chosen))
    folder = table.shared_folder()
    if folder is not None and len(folder) > _LONG_FOLDER:
        title, table = f"{title}, below {folder}", table.below(folder)
    rows = tuple(tuple(_short(cell) for cell in row) for row in table.rows)
    return PageSection(_short(title), replace(table, rows=rows), empty, more)
