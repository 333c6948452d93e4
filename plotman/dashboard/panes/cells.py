"""Rows from columns, and cells that several panes have. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import PurePath
from typing import ParamSpec

from common.model.disk_usage import used_share
from common.model.phase import Phase
from common.model.snapshot import Directory, DirState
from common.model.units import human_bytes, human_duration
from plotman.dashboard.model import Cell, CellLevel, Column, Row, RowSubject

P = ParamSpec("P")
_NEARLY_FULL = 0.9  # share of a drive


def row(
    subject: RowSubject,
    columns: Mapping[Column, Callable[P, Cell]],
    level: CellLevel,
    *about: P.args,
    **more: P.kwargs,
) -> Row:
    """Make a row. columns: each with the function that makes its cell of what the row is about."""
    return Row(subject, tuple(cell(*about, **more) for cell in columns.values()), level)


def state_level(state: DirState) -> CellLevel:
    if state is DirState.OK:
        return CellLevel.PLAIN
    return CellLevel.NOTICE if state is DirState.UNKNOWN else CellLevel.BAD


def plot_name(plot_id: str | None, path: str) -> str:
    return plot_id[:8] if plot_id else PurePath(path).name


def used(free_bytes: int | None, total_bytes: int | None, reserved_bytes: int) -> Cell:
    """A bar of the used share, without reserved bytes, and of the reserved share."""
    share = used_share(free_bytes, total_bytes, reserved_bytes)
    if share is None or not total_bytes:
        return Cell("?")
    tone = "warm" if share > _NEARLY_FULL else ""
    return Cell(f"{100 * share:.0f}%", share, share, min(1.0, reserved_bytes / total_bytes), tone)


@lru_cache(maxsize=256)  # most plots are in one of few phases
def phase(phase: Phase | None) -> Cell:
    if phase is None:
        return Cell("?:?")
    return Cell(str(phase), 1000 * phase.major + phase.minor, tone=f"phase{min(4, max(1, phase.major))}")


def percent(percent: float | None) -> Cell:
    return Cell("?") if percent is None else Cell(f"{percent:.0f}%", percent, percent / 100)


def duration(duration_s: float | None) -> Cell:
    return Cell("?") if duration_s is None else Cell(human_duration(duration_s), duration_s)


def size(size_bytes: int | None) -> Cell:
    return Cell("?") if size_bytes is None else Cell(human_bytes(size_bytes), size_bytes)


def rate(bytes_s: float | None) -> Cell:
    return Cell(f"{human_bytes(bytes_s)}/s", bytes_s) if bytes_s else Cell("?")


def free_space(folder: Directory) -> Cell:
    """Free bytes, or the state of a directory that is not OK."""
    known = folder.free_bytes is not None and folder.state is DirState.OK
    return size(folder.free_bytes) if known else Cell(folder.state.value)


def number(number: int | None) -> Cell:
    return Cell("?") if number is None else Cell(str(number), number)
