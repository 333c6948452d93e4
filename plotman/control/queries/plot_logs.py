"""Read plots from the log files of plotters, also from logs of plotman 0.5.3."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from common.history.rows import End, PlotEnd
from plotter_worker.plotters.base import DonePlot
from plotter_worker.plotters.registry import recognise_log

_HEAD_BYTES = 8192
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Logs:
    """Plots read from logs.

    plots: complete ones, oldest first. terminal: keys of the first and last plot of each log. unread: a
    sentence for each file without a complete plot.
    """

    plots: tuple[PlotEnd, ...]
    terminal: frozenset[str]
    unread: tuple[str, ...]


def read(names: Iterable[str]) -> Logs:
    """Read plots from files. names: paths, or patterns that the shell did not expand."""
    plots: list[PlotEnd] = []
    terminal: set[str] = set()
    unread: list[str] = []
    for path in _files(names, unread):
        try:
            found, asked = _read(path)
        except (OSError, ValueError, OverflowError) as error:  # the last: an absurd time of the file
            why = error.strerror if isinstance(error, OSError) else error
            unread.append(f"{path}: {why}; it is left out.")
            continue
        last = asked - 1 if asked > 0 else len(found) - 1
        terminal |= {plot.key for number, plot in enumerate(found) if number in (0, last)}
        plots += found
    plots.sort(key=lambda plot: plot.started_at or plot.ended_at)
    return Logs(tuple(plots), frozenset(terminal), tuple(unread))


def _files(names: Iterable[str], unread: list[str]) -> list[Path]:
    found: dict[Path, None] = {}
    for name in names:
        path = Path(name)
        if path.exists() or not glob.has_magic(name):
            found[path] = None
            continue
        matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207  patterns may be absolute
        if not matches:
            unread.append(f"{name}: no such file.")
        found.update(dict.fromkeys(map(Path, matches)))
    return list(found)


def _read(path: Path) -> tuple[list[PlotEnd], int]:
    """Return the complete plots of a log, and how many were requested (0: not known).

    Raises OSError, and ValueError if it is no plotter's log.
    """
    with path.open("rb") as file:
        changed_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        head = file.read(_HEAD_BYTES)
        plotter = recognise_log(head)
        if plotter is None:
            raise ValueError("this is no log of a known plotter")
        reader = plotter.reader()
        reader.feed(head)
        while chunk := file.read(_CHUNK_BYTES):
            reader.feed(chunk)
    reader.end()
    progress = reader.progress
    plots = [
        _row(plotter.name, path, number, plot, changed_at) for number, plot in enumerate(progress.plots_done)
    ]
    return plots, max(progress.asked or 0, 0)


def _row(plotter: str, path: Path, number: int, plot: DonePlot, changed_at: datetime) -> PlotEnd:
    details = plot.details
    # Plotters log no time zone; this machine's is assumed.
    started_at = details.begun.astimezone(UTC) if details.begun else None
    took_s = (plot.total_s or 0) + (plot.copy_s or 0)
    phases = {f"phase{phase}_s": s for phase, s in plot.phase_times_s.items() if 1 <= phase <= 4}
    return PlotEnd(
        key=f"{path}:{number}", host="", task_id="", end=End.DONE, log=str(path), plotter=plotter,
        ended_at=started_at + timedelta(seconds=took_s) if started_at else changed_at, started_at=started_at,
        plot_id=plot.plot_id, path=plot.path, copy_s=plot.copy_s, total_s=plot.total_s,
        **details.as_row() | phases,
    )  # fmt: skip
