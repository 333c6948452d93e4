"""Columns of a table for a width, and panes for a height. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from enum import IntEnum

from rich.cells import cell_len, set_cell_size

from common.model.text import one_line
from plotman.dashboard.model import Cell, Column, Table

GAP = 1  # between two columns
_BAR = 14  # cells of a bar with its text
_BAR_MOST = 34  # where there is room for it
_BAR_TEXT = 4  # cells of its text alone
_LEAST = 6  # cells of a shortened column


class ScreenSize(IntEnum):
    """What fits on the terminal."""

    LIST = 0  # one list and a line above it
    PANE = 1  # one pane at a time, with the log below it
    STACK = 2  # five panes
    WIDE = 3  # all panes, three side by side


def size_of(width: int, height: int) -> ScreenSize:
    if width < 60 or height < 16:
        return ScreenSize.LIST
    if width < 100 or height < 30:
        return ScreenSize.PANE
    return ScreenSize.WIDE if width >= 160 and height >= 36 else ScreenSize.STACK


def natural_widths(table: Table) -> list[int]:
    """Cells that each column needs to show its longest text."""
    return [_natural(table, index, column) for index, column in enumerate(table.columns)]


def widths(table: Table, natural: Sequence[int], room: int) -> list[int]:
    """Cells for each column; 0 for the ones left out. Gaps included, their sum is at most `room`, unless a
    column that is not spare would get less than `_LEAST` cells. natural: of `natural_widths`, or more."""
    shown, columns = list(natural), table.columns
    with_reason = any(column.reason and width for column, width in zip(columns, natural, strict=True))
    for index in _spare(columns):
        least = sum(
            _least(column, width, room, with_reason) for column, width in zip(columns, shown, strict=True)
        )
        if least + _gaps(shown) <= room:
            break
        shown[index] = 0
    over = sum(shown) + _gaps(shown) - room
    present = [(at, column) for at, column in enumerate(columns) if shown[at]]
    flexible = [at for at, column in present if column.stretch]
    for at in (at for at, column in present if column.bar):
        longer = max(0, min(-over, _BAR_MOST - shown[at]))
        shown[at] += longer
        over += longer
    if over < 0 and flexible and flexible[-1] == present[-1][0]:  # else it would part a name from its numbers
        shown[flexible[-1]] -= over
    reasons = [at for at, column in present if column.reason]
    over = _shrink(shown, [at for at in flexible if at not in reasons], over)
    if reasons:
        over = _shrink(shown, [at for at, column in present if column.bar], over, _BAR_TEXT)
        over = _shrink(shown, reasons, over, max(_LEAST, room // 2))
    for kind in ([at for at, column in present if column.path], [at for at, _ in present]):
        over = _shrink(shown, kind, over)
    return shown


def _least(column: Column, width: int, room: int, with_reason: bool) -> int:
    """Cells that a column keeps before a spare one is left out. A stretching column may give up half of
    itself, a reason what is more than half of the room, and a bar beside it all but its text."""
    if column.reason:
        return min(width, max(_LEAST, room // 2))
    if column.stretch and width:
        return max(_LEAST, len(column.name), width // 2)
    return min(width, _BAR_TEXT) if column.bar and with_reason else width


def _shrink(shown: list[int], which: list[int], over: int, least: int = _LEAST) -> int:
    """Take `over` cells from these columns, always from the widest. Returns how many could not be taken."""
    while over > 0 and which:
        widest = max(which, key=lambda at: shown[at])
        if shown[widest] <= least:
            return over
        shown[widest] -= 1
        over -= 1
    return over


def _natural(table: Table, index: int, column: Column) -> int:
    if column.bar:
        return _BAR
    texts = [row.cells[index].text for row in table.rows]
    widest = max((len(text) if text.isascii() else cell_len(text) for text in texts), default=0)
    head = len(column.name) + 1  # the mark of the order
    # A spare column or a reason that is empty in every row is left out.
    return max(widest, head) if widest or not texts else (0 if column.spare or column.reason else head)


def _spare(columns: Sequence[Column]) -> list[int]:
    spare = [(column.spare, at) for at, column in enumerate(columns) if column.spare]
    return [at for _, at in sorted(spare, reverse=True)]


def _gaps(shown: Sequence[int]) -> int:
    return GAP * max(0, sum(width > 0 for width in shown) - 1)


def fitted(text: str, width: int, right: bool = False) -> str:
    """Text of exactly `width` cells; a long one loses its middle: paths and ids differ at their ends."""
    text = one_line(text)
    length = len(text) if text.isascii() else cell_len(text)
    if length > width:
        if width <= 3:
            return set_cell_size(text, width)
        tail = (width - 1) // 2
        head = set_cell_size(text, width - 1 - tail)
        return head + "…" + _last(text, tail)
    padding = " " * (width - length)
    return padding + text if right else text + padding


def truncated(text: str, width: int) -> str:
    """Text of exactly `width` cells; a long one ends in `…`."""
    text = one_line(text)
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…" if width > 0 else ""


def wrapped(text: str, width: int, lines: int) -> tuple[str, ...]:
    """The text in at most `lines` lines of `width` characters; what has no room is replaced by `…`."""
    if width < _LEAST or lines < 1:
        return ()
    return tuple(textwrap.wrap(one_line(text), width, max_lines=lines, placeholder=" …"))


def _last(text: str, width: int) -> str:
    kept = text[-width:]
    while cell_len(kept) > width:
        kept = kept[1:]
    return kept.rjust(width) if kept.isascii() else " " * (width - cell_len(kept)) + kept


def bar(cell: Cell, width: int) -> tuple[str, str, str]:
    """A bar and its text, `━━━━━╸╍───  61%`, as (filled part, the rest of the bar, text). Only the text if
    both do not fit. The glyphs are thin: blocks would merge with the rows above and below."""
    long = width - max(_BAR_TEXT, len(cell.text)) - 1
    if cell.share is None or long < 3:
        return "", "", fitted(cell.text, width, right=True)
    halves = round(min(1.0, max(0.0, cell.share)) * long * 2)
    reserved = -int(-cell.reserved * long // 1) if cell.reserved > 0 else 0
    full = "━" * (halves // 2) + "╸" * (halves % 2)
    reserved = min(long - len(full), reserved)
    return full, "╍" * reserved + "─" * (long - len(full) - reserved), fitted(cell.text, width - long, True)


def share_out(room: int, wants: Sequence[tuple[int, int]]) -> list[int]:
    """Lines for each of several panes from top to bottom, or columns from left to right. Small panes get all
    that they need, large ones share the rest.

    Args:
        room: lines of all panes together.
        wants: (lines for all rows, fewest lines) of each pane. The last one gets what is left.
    """
    given = [min(want, least) for want, least in wants]
    left = room - sum(given)
    while left > 0:
        unfilled = [at for at, (want, _) in enumerate(wants) if given[at] < want]
        if not unfilled:
            break
        at = min(unfilled, key=lambda index: given[index])
        given[at] += 1
        left -= 1
    if given and left > 0:
        given[-1] += left
    while left < 0 and any(lines > 0 for lines in given):
        at = max(range(len(given)), key=lambda index: given[index])
        given[at] -= 1
        left += 1
    return given
