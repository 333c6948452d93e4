"""Plots as CSV or JSON lines: `plotman export`. Pure.

The first columns are 0.5.3's, with its names, order and units: whole seconds, whole minutes and hours with
two decimals beside the seconds as logged. Empty: not known.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TextIO

from common.history.rows import PlotEnd
from common.model.text import csv_cell, json_text

Value = Callable[[PlotEnd], object]


def _durations(name: str, seconds_of: Callable[[PlotEnd], float | None]) -> dict[str, Value]:
    def column(convert: Callable[[float], object]) -> Value:
        def value(plot: PlotEnd) -> object:
            seconds = seconds_of(plot)
            return None if seconds is None else convert(seconds)

        return value

    return {
        f"{name} (raw)": column(lambda seconds: seconds),
        name: column(round),
        f"{name} (minutes)": column(lambda seconds: round(seconds / 60)),
        f"{name} (hours)": column(lambda seconds: round(seconds / 3600, 2)),
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone().isoformat(timespec="seconds")


COLUMNS: dict[str, Value] = {
    "Plot ID": lambda plot: plot.plot_id,
    "Started at": lambda plot: _time(plot.started_at),
    "Date": lambda plot: plot.started_at and plot.started_at.astimezone().date().isoformat(),
    "Size": lambda plot: plot.k,
    "Buffer": lambda plot: plot.buffer_mib,
    "Buckets": lambda plot: plot.buckets,
    "Threads": lambda plot: plot.threads,
    "Tmp dir 1": lambda plot: plot.tmp,
    "Tmp dir 2": lambda plot: plot.tmp2,
    **_durations("Phase 1 duration", lambda plot: plot.phase1_s),
    **_durations("Phase 2 duration", lambda plot: plot.phase2_s),
    **_durations("Phase 3 duration", lambda plot: plot.phase3_s),
    **_durations("Phase 4 duration", lambda plot: plot.phase4_s),
    **_durations("Total time", lambda plot: plot.total_s),
    **_durations("Copy time", lambda plot: plot.copy_s),
    "Filename": lambda plot: plot.path,
    # Ours.
    "Plotter": lambda plot: plot.plotter,
    "Mode": lambda plot: plot.mode,
    "Version": lambda plot: plot.version,
    "Compression": lambda plot: plot.compression,
    "Bitfield": lambda plot: plot.bitfield,
    "Host": lambda plot: plot.host or None,
    "Dst dir": lambda plot: plot.dst,
    "Ended at": lambda plot: _time(plot.ended_at),
    "Wall time (raw)": lambda plot: plot.wall_s if plot.host else None,
    "End": lambda plot: plot.end.value,
    "Reason": lambda plot: plot.reason,
    "Size (bytes)": lambda plot: plot.size_bytes,
    "Log": lambda plot: plot.log,
    "Task": lambda plot: plot.task_id or None,
}


def write_csv(plots: Iterable[PlotEnd], out: TextIO) -> None:
    """Write plots as CSV, oldest first, with a header line."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for plot in _in_order(plots):
        writer.writerow([csv_cell(value(plot)) for value in COLUMNS.values()])


def write_jsonl(plots: Iterable[PlotEnd], out: TextIO) -> None:
    """Write plots as JSON lines, oldest first, with the fields of the history."""
    for plot in _in_order(plots):
        out.write(json_text(plot.model_dump(mode="json", exclude={"key"})) + "\n")


def _in_order(plots: Iterable[PlotEnd]) -> list[PlotEnd]:
    return sorted(plots, key=lambda plot: (plot.started_at or plot.ended_at, plot.plot_id or ""))
