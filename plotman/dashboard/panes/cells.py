"""Cells that several panes have. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from common.model.phase import Phase
from common.model.snapshot import DirState
from common.model.units import human_bytes, human_duration
from plotman.dashboard.model import Cell, CellLevel

_BARS = "·▁▂▃▄▅▆▇█"


def shares(free: int | None, total: int | None, reserved: int) -> tuple[float | None, float]:
    """(used share without reserved bytes, reserved share), 0 to 1; (None, 0) if the size is unknown."""
    if free is None or not total:
        return None, 0.0
    used = max(0, total - free - reserved)
    return used / total, min(1.0, reserved / total)


def state_level(state: DirState) -> CellLevel:
    if state is DirState.OK:
        return CellLevel.PLAIN
    return CellLevel.NOTICE if state is DirState.UNKNOWN else CellLevel.BAD


def rank(phase: Phase | None) -> float | None:
    return None if phase is None else 1000 * phase.major + phase.minor


def plot_name(plot_id: str | None, path: str) -> str:
    return plot_id[:8] if plot_id else PurePath(path).name


def percent(percent: float | None) -> Cell:
    return Cell("?") if percent is None else Cell(f"{percent:.0f}%", percent, percent / 100)


def duration(duration_s: float | None) -> Cell:
    return Cell("?") if duration_s is None else Cell(human_duration(duration_s), duration_s)


def size(size_bytes: int | None) -> Cell:
    return Cell("?") if size_bytes is None else Cell(human_bytes(size_bytes), size_bytes)


def free_space(state: DirState, free_bytes: int | None) -> Cell:
    """Free bytes, or the state of a directory that is not OK."""
    return size(free_bytes) if free_bytes is not None and state is DirState.OK else Cell(state.value)


def number(number: int | None) -> Cell:
    return Cell("?") if number is None else Cell(str(number), number)


def sparkline(counts: Sequence[int]) -> str:
    """A bar for each count, relative to the highest one; only a zero has no bar."""
    top = max(counts, default=0)
    return "".join(_BARS[-(-count * 8 // top)] if top else _BARS[0] for count in counts)
