"""The content of the page of the farm as plain values: cards, charts, bars and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from beat.policy.remedies import Harm
from common.model.disk_usage import used_share
from common.model.notification_kinds import Severity, severity
from common.model.snapshot import DriveUse, Event, RunStatus
from common.model.text import one_line
from common.model.units import counted, human_bytes
from common.names import FREQUENT_EVENTS, Role
from plotman.control.farm import FarmState
from plotman.control.queries import attention, evacuations, inventory, reports, scheduler_status, tables
from plotman.control.queries.event_text import event_text
from plotman.control.queries.forecast import Pace, forecast
from plotman.control.queries.tables import PlainTable
from plotman.flower import charts
from plotman.flower.trends import Trends

EVENTS = 100  # to be read; the newest without steps of plots are shown
_SHOWN_EVENTS = 20
_TIB = 2**40
_HOUR_S = 3600
_LONG_FOLDER = 12  # characters


@dataclass(frozen=True)
class Card:
    """kind: end of Flower's CSS class metric-card-...; "" for none. more: a line below the value."""

    label: str
    value: str
    kind: str = ""
    more: str = ""


@dataclass(frozen=True)
class Chart:
    """svg: made by `charts`, not to be escaped. legend: names of the lines, in the order of their colours."""

    title: str
    figure: str
    svg: str
    legend: tuple[str, ...] = ()


@dataclass(frozen=True)
class Button:
    """A button that sends an order (orders.Order). question: what is asked before; "": nothing."""

    label: str
    action: str
    host: str
    task_id: str = ""
    place: str = ""
    question: str = ""


@dataclass(frozen=True)
class HostLine:
    """A machine. duties: of it; state: in words; kind: "", warning or danger."""

    name: str
    duties: str
    state: str
    kind: str
    buttons: tuple[Button, ...]


@dataclass(frozen=True)
class DriveBar:
    """A farming drive. percent: used; None: not known. kind: "", full, warning or danger."""

    host: str
    path: str
    percent: int | None
    state: str
    plots: str
    free: str
    full_in: str
    kind: str
    buttons: tuple[Button, ...]


@dataclass(frozen=True)
class EventLine:
    """at: ISO 8601, for the browser's own time."""

    at: str
    text: str
    kind: str


@dataclass(frozen=True)
class NeedLine:
    """What needs a hand. remedy: what to do about it; "": not known. kind: warning or danger."""

    text: str
    remedy: str
    kind: str


@dataclass(frozen=True)
class PageSection:
    """A table. empty: text in place of rows. links: ids of tasks, one for each row, for its first cell.
    buttons: for each row."""

    title: str
    table: PlainTable
    empty: str
    links: Sequence[str] = ()
    buttons: Sequence[tuple[Button, ...]] = ()


@dataclass(frozen=True)
class Page:
    """The page. orders: whether buttons are shown. trend_note: what the charts lack; "": nothing."""

    needs: tuple[NeedLine, ...]
    cards: tuple[Card, ...]
    charts: tuple[Chart, ...]
    trend_note: str
    events: tuple[EventLine, ...]
    hosts: tuple[HostLine, ...]
    drives: tuple[DriveBar, ...]
    running: PageSection
    moving: PageSection
    sections: tuple[PageSection, ...]
    orders: bool


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
    running = tables.jobs_table(farm).without("pid")  # `plotman details` has it
    jobs = farm.jobs()
    unknown = scheduler_status.nobody_decides(farm)
    no_waits = f"Not known: {scheduler_status.NOBODY}." if unknown else "Nothing waits."
    buttons = [_plot_buttons(farm, host, job.task_id, job.status) for host, job in jobs] if orders else ()
    plots = _section("Running plots", running, "None.", [job.task_id for _, job in jobs])
    needs = tuple(_needs(farm))
    # A phone shows neither directory: the host and the progress matter more.
    plots = replace(
        plots, table=replace(plots.table, spare=(*plots.table.spare, "dst", "tmp")), buttons=buttons
    )
    return Page(
        needs=needs,
        cards=tuple(_cards(farm, len(needs))),
        charts=tuple(_charts(trends)) if trends.known else (),
        trend_note=one_line(trends.note or ""),
        events=tuple(map(_event, shown[-_SHOWN_EVENTS:][::-1])),
        hosts=tuple(_hosts(farm, orders)),
        drives=(*_drives(farm, trends, orders), *_targets(farm)),
        running=plots,
        moving=_section("Transfers", tables.moves_table(farm), "None."),
        sections=(
            _section("Why nothing starts or moves", tables.waits_table(farm), no_waits),
            _section("tmp directories", tables.tmp_table(farm), "No plotter has reported yet."),
            _section("dst directories", tables.dst_table(farm), "None: plots stay where they are made."),
            _inventory(farm),
            _section("Plots that are not archived", tables.plots_table(farm), "None."),
        ),
        orders=orders,
    )


def _needs(farm: FarmState) -> Iterable[NeedLine]:
    """That nobody decides; what `plotman status` lists; then the notes that tell more."""
    nobody = scheduler_status.note(farm)
    if nobody is not None:
        yield NeedLine(one_line(nobody), "", "danger")
    listed = {nobody}
    for need in attention.needs(farm):
        host, _, folder = need.place.partition(":")
        # A host's own sentence on a directory of it says the same.
        listed |= {f"{need.place}: {need.reason}", f"{host}: {folder} is {need.reason}"}
        kind = "danger" if need.harm is Harm.STOPS else "warning"
        yield NeedLine(one_line(f"{need.place}: {need.reason}"), one_line(need.remedy), kind)
    for note in reports.notes(farm):
        if not {note, note.removesuffix(".")} & listed:
            yield NeedLine(one_line(note), "", "warning")


def _inventory(farm: FarmState) -> PageSection:
    found = inventory.by_snapshots(farm)
    made = inventory.table(found, inventory.By.CLASS)
    section = _section("On the drives", made, "No harvester has an inventory yet.")
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
            one_line(host, 255), ", ".join(role.value for role in roles), one_line(state, 300), kind, buttons
        )


def _host_buttons(farm: FarmState, host: str) -> Iterable[Button]:
    shown = one_line(host, 255)
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


def _drives(farm: FarmState, trends: Trends, orders: bool) -> Iterable[DriveBar]:
    rates = trends.bytes_per_day()
    for host, snapshot in farm.harvesters.items():
        stale = (Role.HARVESTER, host) in farm.stale
        for drive in snapshot.drives:
            share = used_share(drive.free_bytes, drive.total_bytes, drive.reserved_bytes)
            percent = None if share is None else round(100 * share)
            word = farm.absence(Role.HARVESTER, host) if stale else evacuations.word(snapshot, drive, farm.at)
            kind = "danger" if stale or drive.lost else "warning" if not drive.takes_plots else ""
            rate = rates.get((host, drive.path), 0)
            full_in = ""
            if drive.takes_plots and not drive.full and not stale and drive.free_bytes and rate:
                full_in = f"full in {_days(drive.free_bytes / rate)}"
            free = "" if drive.free_bytes is None else f"{human_bytes(drive.free_bytes)} free"
            plots = counted(drive.plots, "plot")
            plots += f", {human_bytes(drive.reserved_bytes)} reserved" if drive.reserved_bytes else ""
            yield DriveBar(
                host=one_line(host, 255), path=one_line(drive.path), percent=percent,
                state=one_line(word, 100),
                plots=plots, free=free, full_in=full_in, kind=kind or ("full" if drive.full else ""),
                buttons=_drive_buttons(host, drive.path, drive.use) if orders and not stale else (),
            )  # fmt: skip


def _targets(farm: FarmState) -> Iterable[DriveBar]:
    """Folders of the targets of plotman 0.5, whose sizes and plots are not known."""
    for host, archiver in farm.archivers.items():
        if archiver.target is not None:
            for space in archiver.target.spaces:
                yield DriveBar(
                    one_line(host, 255), one_line(space.path), None,
                    one_line(f"target {archiver.target.name}", 100),
                    "", f"{human_bytes(space.free_bytes)} free", "", "", (),
                )  # fmt: skip


def _drive_buttons(host: str, path: str, use: DriveUse) -> tuple[Button, ...]:
    where = f"{one_line(host, 255)}:{one_line(path)}"
    if use is DriveUse.DISABLED:
        return ()
    if use is DriveUse.DRAINING:
        return (
            Button("Undrain", "undrain", host, place=path, question=f"Let new plots go to {where} again?"),
        )
    return (Button("Drain", "drain", host, place=path, question=f"Let no new plots go to {where}?"),)


_EVENT_KINDS = {Severity.SUCCESS: "success", Severity.WARNING: "danger", Severity.CRITICAL: "danger"}


def _event(event: Event) -> EventLine:
    text = one_line(f"{event.host}: {event_text(event)}")
    return EventLine(event.at.isoformat(), text, _EVENT_KINDS.get(severity(event.kind), ""))


def _section(title: str, table: PlainTable, empty: str, links: Sequence[str] = ()) -> PageSection:
    """Make a section. Long paths are relative to their common folder, which the title names."""
    folder = table.shared_folder()
    if folder is not None and len(folder) > _LONG_FOLDER:
        title, table = f"{title}, below {folder}", table.below(folder)
    shown = replace(table, rows=tuple(tuple(map(one_line, row)) for row in table.rows))
    return PageSection(one_line(title), shown, empty, links)
