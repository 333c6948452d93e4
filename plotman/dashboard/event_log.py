"""The log of what happened on the farm: follows its end until somebody scrolls up."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import ClassVar

from common.model.snapshot import Event
from plotman.dashboard.feed import LOG_KEPT
from plotman.dashboard.grid import Grid
from plotman.dashboard.model import Cell, CellLevel, Column, Row, RowKind, RowSubject, Table

_COLUMNS = (Column("time"), Column("host", spare=1), Column("what happened", stretch=True))
_BAD = re.compile(r"fail|refus|stop|died|stall|lost|damag|silent")


def event_row(event_id: str, event: Event) -> Row:
    """A line of the log, in local time."""
    level = CellLevel.BAD if _BAD.search(event.kind) else CellLevel.PLAIN
    text = " ".join(event.text.split())
    if event.plot_id:
        text = _without_its_path(text, event.plot_id)
    cells = (Cell(f"{event.at.astimezone():%H:%M:%S}"), Cell(event.host), Cell(text))
    return Row(RowSubject(RowKind.EVENT, event.host, event_id), cells, level)


def _without_its_path(text: str, plot_id: str) -> str:
    """A sentence about a plot, with the short id first, and in place of its file's path: that would push what
    happened off the screen."""
    short = plot_id[:8]
    text = re.sub(rf"[^\s:]*{re.escape(plot_id)}[^\s:,;]*", short, text)
    return text if text.startswith(short) else f"{short} {text}"


class ActionLog(Grid):
    """Up and down scroll it, End follows its end again, as in plotman 0.5.3."""

    with_cursor: ClassVar[bool] = False

    def __init__(self, *, id: str) -> None:
        super().__init__(Table("log", "Log", _COLUMNS, empty="nothing happened yet"), id=id)
        self._events: deque[Row] = deque(maxlen=LOG_KEPT)
        self._following = True

    def add(self, rows: Iterable[Row]) -> None:
        """What happened, oldest first; what is there already is left out."""
        known = {row.target for row in self._events}
        fresh = [row for row in rows if row.target not in known]
        if fresh:
            self._events.extend(fresh)
            self.show(Table("log", "Log", _COLUMNS, tuple(self._events), self.table.empty))
            self._keep_up()

    def refit(self, titled: bool | None = None) -> None:
        super().refit(titled)
        self._keep_up()

    def _keep_up(self) -> None:
        """Its end is known only after the next layout."""
        if self._following:
            self.call_after_refresh(self.scroll_end, animate=False)

    def action_step(self, rows: int) -> None:
        self._scroll(rows)

    def action_page(self, pages: int) -> None:
        self._scroll(pages * max(1, self.size.height - 3))

    def action_to_edge(self, last: bool) -> None:
        self._scroll(len(self.rows) if last else -len(self.rows))

    def _scroll(self, rows: int) -> None:
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False, immediate=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._following = new_value >= self.max_scroll_y or (self._following and new_value >= old_value)

    def action_choose(self) -> None:
        """It has no cursor: what is meant is a plot."""
        self.app.call_later(self.app.run_action, "details")
