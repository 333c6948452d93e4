"""The content of the page of the farm. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from beat.policy.remedies import Harm
from common.model.notification_kinds import Severity, severity
from common.model.plot_name import with_short_ids
from common.model.snapshot import Event
from common.model.text import one_line
from common.model.units import counted
from common.names import FREQUENT_EVENTS
from plotman.control.farm import FarmState
from plotman.control.queries import attention, inventory, scheduler_status, tables
from plotman.control.queries.attention import Need
from plotman.control.queries.event_text import event_text
from plotman.control.queries.tables import PlainTable
from plotman.control.shares import fair_share
from plotman.flower import summary, tiles
from plotman.flower.limits import more, short
from plotman.flower.page import EventLine, NeedLine, Needs, Page, PageSection
from plotman.flower.trends import Trends

EVENTS = 100  # to be read; the newest without steps of plots are shown
_SHOWN_EVENTS = 20
_LONG_FOLDER = 12  # characters
_MOST_NEEDS = 200
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
    urgent = [need for need in listed if need.harm > Harm.WANTED]
    hosts, drives = list(tiles.hosts(farm, orders)), list(tiles.drives(farm))
    shown_hosts = fair_share([host.name for host in hosts], [_RANKS[host.kind] for host in hosts])
    shown_drives = fair_share([found.host for found in drives], [found.rank for found in drives])
    shown_drives.sort(key=lambda number: drives[number].rank)
    rates = trends.bytes_per_day()
    return Page(
        needs=_needs(urgent),
        asked=_needs([need for need in listed if need.harm <= Harm.WANTED]),
        cards=tuple(summary.cards(farm, len(urgent))),
        charts=tuple(summary.draw_charts(trends)) if trends.known else (),
        trend_note=short(trends.note or ""),
        events=tuple(map(_event, shown[-_SHOWN_EVENTS:][::-1])),
        hosts=tuple(sorted((hosts[number] for number in shown_hosts), key=lambda host: _RANKS[host.kind])),
        drives=tuple(tiles.drive_bar(farm, drives[number], rates, orders) for number in shown_drives),
        running=_running(farm, orders),
        moving=_section("Transfers", tables.moves_table(farm), "None.", "status"),
        sections=(
            _waits(farm),
            _tmp_dirs(farm),
            _section(
                "dst directories", tables.dst_table(farm), "None: plots stay where they are made.", "dirs"
            ),
            _inventory(farm),
            _section(
                "Files in dst that are left alone", tables.plots_table(farm), "None.", "status --classic"
            ),
        ),
        orders=orders,
        more_hosts=more(len(hosts) - len(shown_hosts), "dirs"),
        more_drives=more(len(drives) - len(shown_drives), "dirs"),
    )


_NEED_KINDS = {Harm.STOPS: "danger", Harm.FILE: "warning"}


def _needs(listed: Sequence[Need]) -> Needs:
    chosen = [listed[number] for number in fair_share([need.host for need in listed], most=_MOST_NEEDS)]
    lines = (
        NeedLine(short(need.text), short(need.remedy), _NEED_KINDS.get(need.harm, "")) for need in chosen
    )
    return Needs(tuple(lines), more(len(listed) - len(chosen), "status"))


def _running(farm: FarmState, orders: bool) -> PageSection:
    """Running plots; if they are too many, first those that wait without end and those that are suspended."""
    jobs = farm.jobs()
    ranks = [tables.job_rank(job) for _, job in jobs]
    table = tables.jobs_table(farm).without("pid")  # `plotman details` has it
    made = _section("Running plots", table, "None.", "status", ranks)
    chosen = [jobs[number] for number in fair_share([host for host, _ in jobs], ranks)]
    buttons = [tiles.plot_buttons(farm, host, job) for host, job in chosen] if orders else ()
    return replace(made, links=[job.task_id for _, job in chosen], buttons=buttons, hidden=_HIDDEN)


def _waits(farm: FarmState) -> PageSection:
    """Waits; if they are too many, first those that do not pass by themselves."""
    unknown = scheduler_status.nobody_decides(farm)
    empty = f"Not known: {scheduler_status.NOBODY}." if unknown else "Nothing waits."
    waits = scheduler_status.waits(farm)
    bad = {(wait.host, wait.subject or "") for wait in waits if not attention.is_calm(farm, wait)}
    table = tables.waits_table(farm)
    ranks = [0 if row[:2] in bad else 1 for row in table.rows]
    return _section("What waits, and why", table, empty, "why", ranks)


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


_EVENT_KINDS = {Severity.SUCCESS: "success", Severity.WARNING: "danger", Severity.CRITICAL: "danger"}


def _event(event: Event) -> EventLine:
    words = event_text(event)
    # Sentences about the host itself begin with its name.
    text = short(words if re.match(rf"{re.escape(event.host)}\b", words) else f"{event.host}: {words}")
    return EventLine(event.at.isoformat(), text, _EVENT_KINDS.get(severity(event.kind), ""))


def _section(title: str, table: PlainTable, empty: str, verb: str, ranks: Sequence[int] = ()) -> PageSection:
    """Make a section. Long paths are relative to their common folder, which the title names; plots are named
    by the first 8 digits of their ids.

    Args:
        title: of the section. table: all rows. empty: text in place of rows.
        verb: of plotman, which shows all rows. ranks: as for `fair_share`.
    """
    host = table.columns.index("host") if "host" in table.columns else None
    chosen = fair_share([row[host] if host is not None else "" for row in table.rows], ranks)
    left_out = more(len(table.rows) - len(chosen), verb)
    table = replace(table, rows=tuple(table.rows[number] for number in chosen))
    folder = table.shared_folder()
    if folder is not None and len(folder) > _LONG_FOLDER:
        title, table = f"{title}, below {folder}", table.below(folder)
    rows = tuple(tuple(short(with_short_ids(cell)) for cell in row) for row in table.rows)
    return PageSection(short(title), replace(table, rows=rows), empty, left_out)
