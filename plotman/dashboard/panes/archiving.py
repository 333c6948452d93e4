"""Panes of drives, and of plots that move or wait to move. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from common.model.snapshot import DriveUse, FinishedPlot, PlotState, Transfer
from common.model.units import human_bytes
from plotman.control.farm import FarmState
from plotman.control.queries.scheduler_status import WaitReasons
from plotman.control.queries.tables import STEP_WORDS
from plotman.dashboard.model import Cell, CellLevel, Column, Row, RowKind, RowSubject, Table
from plotman.dashboard.panes.cells import (
    duration,
    number,
    percent,
    plot_name,
    shares,
    size,
    state_level,
)

_DRIVE_COLUMNS = (
    Column("host", spare=2),
    Column("archive dir", path=True, stretch=True),
    Column("plots", right=True, spare=3),
    Column("free", right=True),
    Column("used", right=True, bar=True),
    Column("reserved", right=True, spare=4),
    Column("state"),
)


def drives(farm: FarmState) -> Table:
    """Drives of the harvesters, and folders of archiving targets: of these only the free space is known."""
    rows = []
    for host, snapshot in farm.harvesters.items():
        for drive in snapshot.drives:
            used, reserved = shares(drive.free_bytes, drive.total_bytes, drive.reserved_bytes)
            cells = (
                Cell(host),
                Cell(drive.path),
                number(drive.plots),
                size(drive.free_bytes),
                Cell(f"{100 * used:.0f}%", used, used, reserved) if used is not None else Cell("?"),
                Cell(human_bytes(drive.reserved_bytes) if drive.reserved_bytes else "", drive.reserved_bytes),
                Cell(drive.word),
            )
            level = state_level(drive.state)
            if drive.use is not DriveUse.ACTIVE:
                level = CellLevel.QUIET if drive.use is DriveUse.DISABLED else CellLevel.NOTICE
            rows.append(Row(RowSubject(RowKind.DRIVE, host, drive.path), cells, level))
    rows += _target_rows(farm)
    return Table("drives", "Drives", _DRIVE_COLUMNS, tuple(rows), "no archive drives")


def _target_rows(farm: FarmState) -> Iterator[Row]:
    for host, archiver in farm.archivers.items():
        for space in archiver.target.spaces if archiver.target else ():
            name = archiver.target.name if archiver.target else ""
            word = Cell(f"target {name}")
            free = size(space.free_bytes)
            cells = (Cell(host), Cell(space.path), Cell("?"), free, Cell("?"), Cell(""), word)
            yield Row(RowSubject(RowKind.DRIVE, host, space.path), cells, CellLevel.PLAIN)


_MOVE_COLUMNS = (
    Column("plot id"),
    Column("host", spare=2),
    Column("from", path=True, spare=5),
    Column("size", right=True, spare=6),
    Column("state"),
    Column("%", right=True, bar=True),
    Column("rate", right=True, spare=3),
    Column("ETA", right=True, spare=4),
    Column("to, or reason", stretch=True, spare=1),
)


def moves(farm: FarmState, reasons: WaitReasons) -> Table:
    """Moving plots first, then finished ones that wait or are not archived."""
    rows = []
    sent = set()
    for host, archiver in farm.archivers.items():
        for transfer in archiver.transfers:
            sent.add((host, transfer.path))
            rows.append(Row(*_transfer_row(host, transfer)))
    for host, snapshot in farm.plotters.items():
        for plot in snapshot.plots:
            if (host, plot.path) not in sent:
                move = farm.moves.get((host, plot.path))
                why = plot.reason or reasons.reason(host, plot.path)
                word = "waits" if plot.state is PlotState.READY and why else plot.state.value
                if move is not None:
                    word, why = STEP_WORDS[move.step], f"to {move.harvester}"
                    why += f": {move.doing}" if move.doing else ""
                level = _PLOT_LEVELS.get(plot.state, CellLevel.PLAIN)
                rows.append(Row(*_plot_row(host, plot, word, why), level))
    return Table("moves", "Moving", _MOVE_COLUMNS, tuple(rows), "no finished plots here")


_PLOT_LEVELS = {
    PlotState.REFUSED: CellLevel.BAD,
    PlotState.TRUNCATED: CellLevel.BAD,
    PlotState.FOREIGN: CellLevel.NOTICE,
    PlotState.MISNAMED: CellLevel.NOTICE,
}


def _transfer_row(host: str, transfer: Transfer) -> tuple[RowSubject, tuple[Cell, ...]]:
    share = transfer.sent_bytes / transfer.size_bytes if transfer.size_bytes else None
    rate = transfer.rate_bytes_s
    return RowSubject(RowKind.PLOT, host, transfer.path), (
        Cell(plot_name(transfer.plot_id, transfer.path)),
        Cell(host),
        Cell(transfer.path),
        Cell(human_bytes(transfer.size_bytes), transfer.size_bytes),
        Cell("comparing" if transfer.compares else "sending"),
        percent(None if share is None else 100 * share),
        Cell(f"{human_bytes(rate)}/s", rate) if rate else Cell("?"),
        duration(transfer.eta_s),
        Cell(f"to {transfer.harvester}:{transfer.drive}"),
    )


def _plot_row(host: str, plot: FinishedPlot, word: str, why: str) -> tuple[RowSubject, tuple[Cell, ...]]:
    return RowSubject(RowKind.PLOT, host, plot.path), (
        Cell(plot_name(plot.plot_id, plot.path)),
        Cell(host),
        Cell(plot.path),
        Cell(human_bytes(plot.size_bytes), plot.size_bytes),
        Cell(word),
        Cell(""),
        Cell(""),
        Cell(""),
        Cell(why),
    )
