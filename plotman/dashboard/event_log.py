"""The log of the farm's events. It stays at its end until the operator scrolls up."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import ClassVar

from common.model.notification_kinds import Severity, severity
from common.model.snapshot import Event
from plotman.control.queries.event_text import event_text
from plotman.dashboard.feed import LOG_KEPT
from plotman.dashboard.filters import Order
from plotman.dashboard.grid import Grid
from plotman.dashboard.model import Cell, CellLevel, Column, Row, RowKind, RowSubject, Table

_COLUMNS = (
    Column("time", tone="dim"),
    Column("host", spare=1, tone="id"),
    Column("what happened", stretch=True),
)
_LINES, _LEAST_COLUMNS = 8, 60
_LATE = timedelta(seconds=5)  # an event may come after another of a later time: several processes send them


def event_row(event_id: str, event: Event) -> Row:
    """A line of the log; its time is local."""
    level = CellLevel.BAD if severity(event.kind) >= Severity.WARNING else CellLevel.PLAIN
    cells = (Cell(f"{event.at.astimezone():%H:%M:%S}"), Cell(event.host), Cell(event_text(event)))
    return Row(RowSubject(RowKind.EVENT, event.host, event_id), cells, level)


def insert(events: list[tuple[datetime, Row]], at: datetime, row: Row) -> None:
    """Insert an event that came now by its time; at the end if it comes so late that it would not be seen."""
    place = len(events)
    while place and timedelta(0) < events[place - 1][0] - at <= _LATE:
        place -= 1
    events.insert(place, (at, row))


class EventLog(Grid):
    """Up and down scroll it, End goes back to its end, as in plotman 0.5.3."""

    with_cursor: ClassVar[bool] = False

    def __init__(self, *, id: str) -> None:
        super().__init__(Table("log", "Log", _COLUMNS, empty="nothing happened yet"), id=id)
        self._events: list[tuple[datetime, Row]] = []
        self._at_end = True

    @property
    def wanted_lines(self) -> int:
        """Some lines; the log is in the row of panes that gets what is left."""
        return min(_LINES, super().wanted_lines)

    @property
    def wanted_columns(self) -> int:
        return _LEAST_COLUMNS

    def add(self, events: Iterable[tuple[str, Event]]) -> None:
        """Add events with their ids. Known events are skipped."""
        known = {row.subject for _, row in self._events}
        fresh = [
            (event.at, row) for name, event in events if (row := event_row(name, event)).subject not in known
        ]
        if fresh:
            for at, row in fresh:
                insert(self._events, at, row)
            del self._events[:-LOG_KEPT]
            rows = tuple(row for _, row in self._events)
            self.show(Table("log", "Log", _COLUMNS, rows, self.table.empty))
            self._scroll_to_end()

    def _resized(self) -> None:
        super()._resized()
        self._scroll_to_end()

    def rearrange(self, order: Order | None = None, words: str | None = None) -> None:
        super().rearrange(order, words)
        self._scroll_to_end()  # a filter that ends adds lines below the last one in view

    def _scroll_to_end(self) -> None:
        """Scroll after the next layout: the new end is known then."""
        if self._at_end:
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
        self._at_end = new_value >= self.max_scroll_y or (self._at_end and new_value >= old_value)

    def action_choose(self) -> None:
        """The log has no cursor: Enter shows the chosen plot."""
        self.app.call_later(self.app.run_action, "details")
