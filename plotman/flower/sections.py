"""The content of the page of the farm: cards and tables as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from common.model.text import one_line
from common.model.units import counted, human_bytes
from plotman.control.farm import FarmState
from plotman.control.queries import inventory, reports, scheduler_status, tables
from plotman.control.queries.tables import PlainTable


@dataclass(frozen=True)
class Card:
    """kind: end of Flower's CSS class metric-card-...; "" for none."""

    label: str
    value: str
    kind: str = ""


@dataclass(frozen=True)
class PageSection:
    """A table. empty: text in place of rows. links: ids of tasks, one for each row, for its first cell."""

    title: str
    table: PlainTable
    empty: str
    links: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    notes: tuple[str, ...]
    cards: tuple[Card, ...]
    sections: tuple[PageSection, ...]


_LONG_FOLDER = 12  # characters


def page(farm: FarmState) -> Page:
    running = tables.jobs_table(farm).without("pid")  # `plotman details` has it
    unknown = scheduler_status.nobody_decides(farm)
    no_waits = f"Not known: {scheduler_status.NOBODY}." if unknown else "Nothing waits."
    return Page(
        notes=tuple(map(one_line, reports.notes(farm))),
        cards=tuple(_cards(farm)),
        sections=(
            _section("Running plots", running, "None.", [job.task_id for _, job in farm.jobs()]),
            _section("Moving plots", tables.moves_table(farm), "None."),
            _section("Why nothing starts or moves", tables.waits_table(farm), no_waits),
            _section("tmp directories", tables.tmp_table(farm), "No plotter has reported yet."),
            _section("dst directories", tables.dst_table(farm), "None: plots stay where they are made."),
            _section("Farming drives", tables.drives_table(farm), "No harvester has reported yet."),
            _inventory(farm),
            _section("Plots that are not archived", tables.plots_table(farm), "None."),
        ),
    )


def _inventory(farm: FarmState) -> PageSection:
    found = inventory.by_snapshots(farm)
    made = inventory.table(found, inventory.By.CLASS)
    section = _section("On the drives", made, "No harvester has an inventory yet.")
    words = [f"{host.host}: {host.progress}" for host in found.hosts if host.progress]
    if found.faults:
        words.append(f"no whole plots: {counted(found.faults, 'file')}")
    return replace(section, title=one_line(f"{section.title} ({'; '.join(words)})")) if words else section


def _cards(farm: FarmState) -> Iterable[Card]:
    hosts = {*farm.plotters, *farm.archivers, *farm.harvesters}
    silent = {host for _, host in farm.stale}
    transfers = sum(len(archiver.transfers) for archiver in farm.archivers.values())
    free = [
        drive.free_bytes or 0
        for harvester in farm.harvesters.values()
        for drive in harvester.drives
        if drive.takes_plots
    ]
    yield Card("Hosts", f"{len(hosts - silent)} of {len(hosts)}", "danger" if silent else "success")
    yield Card("Running plots", str(len(farm.jobs())), "active")
    yield Card("Transfers", str(transfers))
    yield Card("Free on drives that take plots", human_bytes(sum(free)) if free else "?")


def _section(title: str, table: PlainTable, empty: str, links: Sequence[str] = ()) -> PageSection:
    """Make a section. Long paths are relative to their common folder, which the title names."""
    folder = table.shared_folder()
    if folder is not None and len(folder) > _LONG_FOLDER:
        title, table = f"{title}, below {folder}", table.below(folder)
    shown = replace(table, rows=tuple(tuple(map(one_line, row)) for row in table.rows))
    return PageSection(one_line(title), shown, empty, links)
