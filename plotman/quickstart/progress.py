"""How far the plots of one run are, from the history files that the farm's workers write."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from common.errors import PlotmanError
from common.history.recorder import history_path
from common.history.rows import End, HistoryKind, LandingEnd, PlotEnd, Row
from common.history.store import reading
from common.names import Role
from plotman.control.queries.tables import PlainTable

_ROWS = 10_000


@dataclass(frozen=True)
class Progress:
    """plots: plots of this run that ended, the oldest first. landings: by plot id, of any run."""

    plots: tuple[PlotEnd, ...]
    landings: dict[str, LandingEnd]

    @property
    def failed(self) -> list[PlotEnd]:
        return [plot for plot in self.plots if plot.end is not End.DONE]

    @property
    def made(self) -> list[PlotEnd]:
        return [plot for plot in self.plots if plot.end is End.DONE]

    @property
    def landed(self) -> list[tuple[PlotEnd, LandingEnd]]:
        """Plots of this run that lie on a drive."""
        return [(plot, self.landings[plot.plot_id]) for plot in self.made if plot.plot_id in self.landings]

    def missing(self, wanted: int, ordered: int) -> int:
        """How many plots to start in place of failed ones; 0 until all `ordered` ones have ended."""
        return max(0, wanted - len(self.made)) if len(self.plots) >= ordered else 0


def read_progress(state_dir: Path, since: datetime) -> Progress:
    """Read the history of this machine. Raises PlotmanError.

    since: aware time; plots that started before it belong to an earlier run.
    """
    plots = (row for row in _rows(state_dir, HistoryKind.PLOTS, since) if isinstance(row, PlotEnd))
    landings = (row for row in _rows(state_dir, HistoryKind.LANDINGS, since) if isinstance(row, LandingEnd))
    return Progress(
        tuple(plot for plot in reversed([*plots]) if plot.started_at and plot.started_at >= since),
        {row.plot_id: row for row in landings if row.plot_id and row.end is End.LANDED},
    )


def _rows(state_dir: Path, kind: HistoryKind, since: datetime) -> list[Row]:
    role = Role.PLOTTER if kind is HistoryKind.PLOTS else Role.HARVESTER
    path = history_path(state_dir, role)
    try:
        with reading(path) as file:
            return file.page(kind, _ROWS, since) if file else []
    except (sqlite3.Error, OSError) as error:
        raise PlotmanError(f"The history in {path} cannot be read: {error}.", "Check that disk.") from error


def result_table(landed: Iterable[tuple[PlotEnd, LandingEnd]]) -> PlainTable:
    """A row for each plot on a drive: phase times, drive, and how it was verified. Fits 80 columns."""
    rows = tuple(
        (
            (plot.plot_id or "")[:8],
            *map(_seconds, (plot.phase1_s, plot.phase2_s, plot.phase3_s, plot.phase4_s, plot.total_s)),
            "/".join(Path(landing.drive or "?").parts[-2:]),
            landing.verified or "yes",
        )
        for plot, landing in landed
    )
    columns = ("plot id", "phase 1", "2", "3", "4", "total", "drive", "verified")
    return PlainTable(columns, rows, right=frozenset({"phase 1", "2", "3", "4", "total"}))


def _seconds(seconds: float | None) -> str:
    """`0.52s`, `143.6s`: about three digits."""
    if seconds is None:
        return "?"
    return f"{seconds:.2f}s" if seconds < 10 else f"{seconds:.1f}s"
