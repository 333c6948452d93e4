"""The pane of the machines, a row for each. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from common.model.clock import wrong_clock
from common.model.snapshot import ArchiverSnapshot, Tally
from common.model.units import human_bytes, sparkline
from plotman.control.farm import FarmState
from plotman.control.queries.scheduler_status import WaitReasons
from plotman.dashboard.model import Cell, CellLevel, Column, Row, RowKind, RowSubject, Table
from plotman.dashboard.panes.cells import used

_COLUMNS = (
    Column("machine", tone="id"),
    Column("roles", spare=4),
    Column("jobs", right=True),
    Column("sends", right=True, spare=2),
    Column("drives", right=True, spare=6),
    Column("used", right=True, bar=True, spare=3),
    Column("plots/day", right=True, spare=5),
    Column("24 hours", spare=7),
    Column("state", stretch=True, reason=True),
)


def hosts_of(farm: FarmState) -> list[str]:
    return sorted({*farm.plotters, *farm.archivers, *farm.harvesters})


def machines(farm: FarmState, reasons: WaitReasons) -> Table:
    skews = farm.clock_skews()
    rows = tuple(_row(farm, reasons, host, skews) for host in hosts_of(farm))
    return Table("machines", "Machines", _COLUMNS, rows, "no machine has reported yet")


def _row(farm: FarmState, reasons: WaitReasons, host: str, skews: Mapping[str, float]) -> Row:
    plotter, archiver = farm.plotters.get(host), farm.archivers.get(host)
    word, level = _word(farm, reasons, host)
    wrong = wrong_clock(skews.get(host))
    cells = (
        Cell(host),
        Cell(" ".join(role.value for role, known in farm.snapshots.items() if host in known)),
        Cell(f"{len(plotter.jobs)}/{plotter.global_max_jobs}", len(plotter.jobs)) if plotter else Cell(""),
        _sends(archiver),
        *_drives(farm, host),
        *_made(plotter.tally if plotter else None),
        Cell(word if wrong is None else f"{word}; its clock is {wrong}"),
    )
    level = CellLevel.NOTICE if wrong is not None and level is CellLevel.PLAIN else level
    return Row(RowSubject(RowKind.HOST, host), cells, level)


def _word(farm: FarmState, reasons: WaitReasons, host: str) -> tuple[str, CellLevel]:
    """Its most important state."""
    silent = sorted(role for role, name in farm.stale if name == host)
    if silent and farm.redis_trouble is not None:
        return "does not report, perhaps due to Redis", CellLevel.BAD
    absent: dict[str, list[str]] = {}
    for role in silent:
        absent.setdefault(farm.absence(role, host), []).append(role)
    if absent:
        text = "; ".join(f"{word}: {', '.join(roles)}" for word, roles in sorted(absent.items()))
        return text, CellLevel.BAD
    plotter = farm.plotters.get(host)
    if plotter is None:
        return "up", CellLevel.PLAIN
    if plotter.failures.consecutive >= plotter.failure_limit:
        return "stopped: plotters died at once", CellLevel.BAD
    if not plotter.plotting:
        return plotter.pause_text, CellLevel.NOTICE
    reason = reasons.reason(host, None)
    return (f"waits: {reason}" if reason else "plots" if plotter.jobs else "up"), CellLevel.PLAIN


def _sends(archiver: ArchiverSnapshot | None) -> Cell:
    if archiver is None or not archiver.transfers:
        return Cell("")
    rate = sum(transfer.rate_bytes_s or 0 for transfer in archiver.transfers)
    return Cell(f"{len(archiver.transfers)}: {human_bytes(rate)}/s", rate)


def _drives(farm: FarmState, host: str) -> tuple[Cell, Cell]:
    """(drives that take plots, share used of the drives whose size is known)."""
    harvester = farm.harvesters.get(host)
    if harvester is None:
        return Cell(""), Cell("")
    taking = sum(drive.takes_plots and not drive.full for drive in harvester.drives)
    known = [drive for drive in harvester.drives if drive.free_bytes is not None and drive.total_bytes]
    free = sum(drive.free_bytes or 0 for drive in known)
    bar = used(
        free if known else None,
        sum(drive.total_bytes or 0 for drive in known),
        sum(drive.reserved_bytes for drive in known),
    )
    return Cell(f"{taking}/{len(harvester.drives)}", taking), bar


def _made(tally: Tally | None) -> tuple[Cell, Cell]:
    if tally is None:
        return Cell(""), Cell("")
    return Cell(str(tally.day_count), tally.day_count), Cell(sparkline(tally.hours_count))
