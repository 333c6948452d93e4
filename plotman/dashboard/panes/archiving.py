"""Panes of drives, and of plots that move or wait to move. Pure."""

from __future__ import annotations

from collections.abc import Callable

from common.model.disk_usage import above_margin
from common.model.snapshot import Drive, DriveUse, FinishedPlot, HarvesterSnapshot, PlotState, Transfer
from common.model.units import human_bytes
from plotman.control.farm import FarmState
from plotman.control.queries import disks, evacuations
from plotman.control.queries.scheduler_status import WaitReasons
from plotman.control.queries.tables import STEP_WORDS
from plotman.dashboard.model import Cell, CellLevel, Column, Row, RowKind, RowSubject, Table
from plotman.dashboard.panes import cells

_STATE = Column("state")
_FREE = Column("free", right=True)
_DRIVE: dict[Column, Callable[[str, Drive], Cell]] = {
    Column("host", spare=2): lambda host, _: Cell(host),
    Column("archive dir", path=True, stretch=True, tone="id"): lambda _, drive: Cell(drive.path),
    Column("plots", right=True, spare=3): lambda _, drive: cells.number(drive.counted_plots),
    _FREE: lambda _, drive: cells.size(drive.free_bytes),
    Column("used", right=True, bar=True): lambda _, drive: cells.used(
        drive.free_bytes, drive.total_bytes, drive.reserved_bytes
    ),
    Column("reserved", right=True, spare=4): lambda _, drive: Cell(
        human_bytes(drive.reserved_bytes) if drive.reserved_bytes else "", drive.reserved_bytes
    ),
    Column("disk", right=True, spare=5): lambda _, drive: _disk(drive),
    _STATE: lambda _, drive: Cell(drive.word),
}
_USE_LEVELS = {DriveUse.DISABLED: CellLevel.QUIET, DriveUse.DRAINING: CellLevel.NOTICE}


def drives(farm: FarmState) -> Table:
    """Drives of the harvesters, and folders of archiving targets: of these only the free space is known."""
    rows = []
    for host, snapshot in farm.harvesters.items():

        def left(_: str, drive: Drive, margin_bytes: int = snapshot.margin_bytes) -> Cell:
            return cells.size(above_margin(drive.free_bytes, margin_bytes))

        def state(_: str, drive: Drive, of: HarvesterSnapshot = snapshot) -> Cell:
            word = evacuations.word(of, drive, farm.at)
            return Cell(f"disk fails, {word}" if _fails(drive) else word)

        for drive in snapshot.drives:
            level = _USE_LEVELS.get(drive.use, cells.state_level(drive.state))
            if _fails(drive):  # amber where an operator has acted
                level = CellLevel.BAD if drive.use is DriveUse.ACTIVE else CellLevel.NOTICE
            subject = RowSubject(RowKind.DRIVE, host, drive.path)
            rows.append(cells.row(subject, _DRIVE | {_FREE: left, _STATE: state}, level, host, drive))
    for host, archiver in farm.archivers.items():
        for space in archiver.target.spaces if archiver.target else ():
            word = Cell(f"target {archiver.target.name if archiver.target else ''}")
            free, unknown = cells.size(space.free_bytes), Cell("?")
            shown = (Cell(host), Cell(space.path), unknown, free, unknown, Cell(""), Cell(""), word)
            rows.append(Row(RowSubject(RowKind.DRIVE, host, space.path), shown))
    return Table("drives", "Drives", tuple(_DRIVE), tuple(rows), "no archive drives")


def _fails(drive: Drive) -> bool:
    """Whether its disk says that it is about to fail."""
    return drive.disk is not None and bool(drive.disk.fails)


def _disk(drive: Drive) -> Cell:
    """Health and temperature; empty if the disk says nothing. By temperature, those that fail first."""
    if drive.disk is None:
        return Cell("")
    hot = drive.disk.temperature_c or 0
    text = f"{disks.health(drive.disk)} {disks.temperature(drive.disk)}"
    return Cell(text, hot - 1000 if _fails(drive) else hot)


def _from(path: str) -> Cell:
    """The folder: the first column names the file."""
    return Cell(path.rpartition("/")[0], path)


_TRANSFER: dict[Column, Callable[[str, Transfer], Cell]] = {
    Column("plot id", tone="id"): lambda _, sent: Cell(cells.plot_name(sent.plot_id, sent.path)),
    Column("host", spare=2): lambda host, _: Cell(host),
    Column("from", path=True, spare=5): lambda _, sent: _from(sent.path),
    Column("size", right=True, spare=6): lambda _, sent: cells.size(sent.size_bytes),
    Column("state"): lambda _, sent: Cell("comparing" if sent.compares else "sending"),
    Column("%", right=True, bar=True): lambda _, sent: cells.percent(
        100 * sent.sent_bytes / sent.size_bytes if sent.size_bytes else None
    ),
    Column("rate", right=True, spare=3): lambda _, sent: cells.rate(sent.rate_bytes_s),
    Column("ETA", right=True, spare=4): lambda _, sent: cells.duration(sent.eta_s),
    Column("to, or reason", stretch=True, reason=True): lambda _, sent: Cell(
        f"to {sent.harvester}:{sent.drive}"
    ),
}


def moves(farm: FarmState, reasons: WaitReasons) -> Table:
    """Moving plots first, then finished ones that wait or are not archived."""
    sent = {
        RowSubject(RowKind.PLOT, host, each.path): each
        for host, archiver in farm.archivers.items()
        for each in archiver.transfers
    }
    rows = [cells.row(it, _TRANSFER, CellLevel.PLAIN, it.host, each) for it, each in sent.items()]
    for host, snapshot in farm.plotters.items():
        for plot in snapshot.plots:
            subject = RowSubject(RowKind.PLOT, host, plot.path)
            if subject not in sent:
                word, why = _state(farm, reasons, host, plot)
                name, size = cells.plot_name(plot.plot_id, plot.path), cells.size(plot.size_bytes)
                # Its name, too, where that is not the plot's.
                is_misnamed = plot.state is PlotState.MISNAMED
                where = Cell(plot.path) if is_misnamed else _from(plot.path)
                known = (Cell(name), Cell(host), where, size, Cell(word))
                level = _PLOT_LEVELS.get(plot.state, CellLevel.PLAIN)
                rows.append(Row(subject, (*known, Cell(""), Cell(""), Cell(""), Cell(why)), level))
    return Table("moves", "Files in dst", tuple(_TRANSFER), tuple(rows), "no finished plots here")


def _state(farm: FarmState, reasons: WaitReasons, host: str, plot: FinishedPlot) -> tuple[str, str]:
    """Return (state, where to or why not)."""
    move = farm.moves.get((host, plot.path))
    if move is not None:
        return STEP_WORDS[move.step], f"to {move.harvester}{f': {move.doing}' if move.doing else ''}"
    why = plot.reason or reasons.reason(host, plot.path)
    return ("waits" if plot.state is PlotState.READY and why else plot.state.value), why


_PLOT_LEVELS = {
    PlotState.REFUSED: CellLevel.BAD,
    PlotState.TRUNCATED: CellLevel.BAD,
    PlotState.FOREIGN: CellLevel.NOTICE,
    PlotState.MISNAMED: CellLevel.NOTICE,
}
