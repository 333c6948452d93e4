"""A table that draws only the visible lines that changed.

Textual's DataTable draws all visible lines again for each changed cell, and its columns cannot shrink on a
narrow screen. With hundreds of plots that change each second, that takes a whole core.
"""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from plotman.dashboard import filters
from plotman.dashboard.filters import Order
from plotman.dashboard.layout import bar, fitted, natural_widths, truncated, widths, wrapped
from plotman.dashboard.model import CellLevel, Column, Row, RowSubject, Table

_FOOT_LINES = 3
_STYLES = {CellLevel.BAD: "grid--bad", CellLevel.NOTICE: "grid--notice", CellLevel.QUIET: "grid--quiet"}


class Grid(ScrollView, can_focus=True):
    """A table: its head, and its rows below. The cursor stays on its row when rows move. Once that row is no
    longer there, no row is chosen until the operator moves: a key must not act on another one."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "grid--title",
        "grid--head",
        "grid--cursor",
        "grid--bad",
        "grid--notice",
        "grid--quiet",
        "grid--bar",
        "grid--rest",
        "grid--warm",
        "grid--id",
        "grid--dim",
        "grid--phase1",
        "grid--phase2",
        "grid--phase3",
        "grid--phase4",
        "grid--empty",
    }
    DEFAULT_CSS = """
    Grid { height: 1fr; background: $background; scrollbar-size-vertical: 1; overflow-x: hidden; }
    Grid > .grid--title { color: $text-muted; }
    Grid:focus > .grid--title { color: $primary; text-style: bold; }
    Grid > .grid--head { color: $text-muted; text-style: bold; }
    Grid > .grid--cursor { background: $block-cursor-blurred-background; text-style: bold; }
    Grid > .grid--id { color: $text-accent; }
    Grid > .grid--dim { color: $text-muted; }
    Grid > .grid--warm { color: $text-warning; }
    Grid > .grid--rest { color: $bar-rest; }
    Grid > .grid--phase1 { color: $phase-1; }
    Grid > .grid--phase2 { color: $phase-2; }
    Grid > .grid--phase3 { color: $phase-3; }
    Grid > .grid--phase4 { color: $phase-4; }
    Grid > .grid--bad { color: $text-error; text-style: bold; }
    Grid > .grid--notice { color: $text-warning; }
    Grid > .grid--quiet { color: $text-muted; }
    Grid > .grid--bar { color: $text-success; }
    Grid > .grid--empty { color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "step(-1)", "Up", show=False),
        Binding("down", "step(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "to_edge(False)", "First", show=False),
        Binding("end", "to_edge(True)", "Last", show=False),
        Binding("enter", "choose", "Details", show=False),
    ]

    class Chosen(Message):
        """A row was chosen, by Enter or by a second click."""

        def __init__(self, grid: Grid, row: Row) -> None:
            self.grid = grid
            self.row = row
            super().__init__()

    class HeadClicked(Message):
        """The head of a column was clicked."""

        def __init__(self, grid: Grid, column: Column) -> None:
            self.grid = grid
            self.column = column
            super().__init__()

    with_cursor: ClassVar[bool] = True

    def __init__(self, table: Table, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.titled = True
        self._beside = False  # another pane is to the right: a blank column keeps them apart
        self.table = table
        self.rows: tuple[Row, ...] = ()
        self.order = Order()
        self.words = ""
        self._widths: list[int] = []
        self._natural: list[int] = []  # the maximum so far, so that columns do not come and go
        self._lines: dict[tuple[Row, bool], Strip] = {}
        self._foot: tuple[str, ...] = ()  # the whole reason of the row under the cursor, below the rows
        self._cursor: RowSubject | None = None
        self._at = 0  # row of the cursor

    @property
    def wanted_lines(self) -> int:
        """Lines that show all rows; while it has the focus, also the whole reason of a row if one is cut."""
        return max(1, len(self.rows)) + self._top + (_FOOT_LINES if self.has_focus and self._cuts() else 0)

    def _cuts(self) -> bool:
        reasons = [(at, width) for at, width in enumerate(self._widths) if self.table.columns[at].reason]
        return any(len(row.cells[at].text) > width for at, width in reasons for row in self.rows)

    @property
    def wanted_columns(self) -> int:
        """Columns of the terminal that show the whole of each cell, with the mark and the scroll bar."""
        natural = self._natural or natural_widths(self.table)
        return sum(natural) + sum(width > 0 for width in natural) + 1 + self._beside

    @property
    def _top(self) -> int:
        return 2 if self.titled else 1  # title and head

    @property
    def current(self) -> Row | None:
        """The row under the cursor; None until the cursor was placed, and once its row is no longer there."""
        row = self.rows[self._at] if self._at < len(self.rows) else None
        return row if row is not None and row.subject == self._cursor else None

    def show(self, table: Table, by_operator: bool = False) -> None:
        """Show this table; draw only what differs.

        Args:
            table: with all its rows.
            by_operator: Whether the operator chose other rows, as by a filter: then the cursor moves to a row
                nearby if its own is not among them.
        """
        rows = filters.matching(filters.ordered(table, self.order), self.words)
        before, self.rows = self.rows, rows
        same_head = table.columns == self.table.columns
        if not same_head or not rows:
            self._natural = []
        self.table = table
        self._find_cursor(by_operator)
        if self.has_focus and self.with_cursor and self._cursor is None and rows:
            self._cursor = rows[self._at].subject
        if len(rows) != len(before):
            self._measure()
        fitting = self._fitting()
        if not same_head or fitting != self._widths or len(rows) != len(before):
            self._redraw(fitting)
            return
        first = int(self.scroll_offset.y)
        for at in range(first, min(len(rows), first + self.size.height)):
            if rows[at] != before[at]:
                self.refresh_line(at + self._top)
        self._explain()

    def rearrange(self, order: Order | None = None, words: str | None = None) -> None:
        """Sort and filter from now on. None: no change."""
        self.order = self.order if order is None else order
        self.words = self.words if words is None else words
        self._lines.clear()
        self.show(self.table, by_operator=True)
        self.refresh()

    def put_beside(self, beside: bool) -> None:
        """beside: whether another pane is to the right."""
        if beside != self._beside:
            self._beside = beside
            self._resized()

    def refit(self, titled: bool) -> None:
        """Fit to another terminal. titled: whether to show the table's name above it."""
        self.titled = titled
        self._natural = []
        self._resized()

    def on_resize(self) -> None:
        self._resized()

    def _resized(self) -> None:
        """Fit to a new size. `_natural` stays: panes share a line by it, and would swap columns for ever."""
        self._measure()
        self._redraw(self._fitting())

    def on_focus(self) -> None:
        self.enter()
        self._redraw(self._widths)

    def enter(self) -> None:
        """Show the cursor where it was before."""
        if self.with_cursor and self._cursor is None:
            self.put_cursor(self._at)

    def on_blur(self) -> None:
        self._redraw(self._widths)

    def _explain(self) -> None:
        """Show the reason of the row under the cursor below the rows, if its column is too narrow for it."""
        before, self._foot = self._foot, ()
        if self.has_focus and self.current is not None:
            cells = zip(self.table.columns, self.current.cells, self._widths, strict=False)
            cut = (
                cell.text for column, cell, width in cells if column.reason and cell_len(cell.text) > width
            )
            most = max(0, (self.size.height - self._top) // 2)
            self._foot = wrapped(next(cut, ""), self.size.width - 2, min(_FOOT_LINES, most))
        if before != self._foot:
            self._measure()
            self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._lines.clear()

    def _fitting(self) -> list[int]:
        natural = natural_widths(self.table)
        self._natural = [*map(max, natural, self._natural)] if self._natural else natural
        room = self.scrollable_content_region.width - 1 - self._beside  # mark
        return widths(self.table, self._natural, room)

    def _redraw(self, fitting: list[int]) -> None:
        self._widths = fitting
        self._lines.clear()
        self._explain()
        self.refresh()

    def _measure(self) -> None:
        lines = len(self.rows) + self._top + len(self._foot)
        self.virtual_size = Size(self.scrollable_content_region.width, lines)

    def _find_cursor(self, may_change: bool) -> None:
        """Move the cursor with its row. If that no longer exists, remember the place and the row, which may
        come back."""
        for at, row in enumerate(self.rows):
            if row.subject == self._cursor:
                self._at = at
                return
        self._at = max(0, min(self._at, len(self.rows) - 1))
        if may_change and self._cursor is not None and self.rows:
            self._cursor = self.rows[self._at].subject

    # Drawing.

    @property
    def rich_style(self) -> Style:
        """Known, where Textual (8.2.8) computes it for each line that is drawn."""
        return self.visual_style.rich_style

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y < self._top:
            strip = self._title(width) if y < self._top - 1 else self._head()
            return strip.adjust_cell_length(width, self.rich_style)
        if (below := y - self.size.height + len(self._foot)) >= 0:
            style = self.get_component_rich_style("grid--notice")
            return Strip([Segment(fitted(f"  {self._foot[below]}", width), style)])
        at = y - self._top + int(self.scroll_offset.y)
        if at >= len(self.rows):
            text = "  no row has all these words" if self.words else f"  {self.table.empty}"
            text = text if at == 0 else ""
            style = self.get_component_rich_style("grid--empty")
            return Strip([Segment(fitted(text, width), style)])
        row, under = self.rows[at], self.with_cursor and at == self._at and self.current is not None
        known = self._lines.get((row, under))
        if known is not None:
            return known
        if len(self._lines) > 4 * max(50, self.size.height):
            self._lines.clear()
        strip = self._line(row, under).adjust_cell_length(width, self.rich_style)
        self._lines[row, under] = strip
        return strip

    def _title(self, width: int) -> Strip:
        style = self.get_component_rich_style("grid--title")
        words = [f"{self.table.title} {len(self.table.rows)}"]
        if self.words:
            words[0] = f"{self.table.title} {len(self.rows)} of {len(self.table.rows)}"
        words += [f"{column} in {folder}" for column, folder in self.table.below]
        text = fitted(" · ".join(words), max(0, width - 4)).rstrip()
        mark = "━" if self.has_focus else "─"
        text = f"{mark} {text} "
        return Strip([Segment(text + mark * (width - 1 - cell_len(text)) + " ", style)])

    def _head(self) -> Strip:
        style = self.get_component_rich_style("grid--head")
        words = []
        for column, width in zip(self.table.columns, self._widths, strict=False):
            if width:
                mark = ("▼" if self.order.reverse else "▲") if column.name == self.order.column else ""
                words.append(fitted(column.name + mark, width, column.right or column.bar))
        return Strip([Segment(" " + " ".join(words), style)])

    def _line(self, row: Row, under: bool) -> Strip:
        plain = self.rich_style
        if row.level in _STYLES:
            plain = self.get_component_rich_style(_STYLES[row.level])
        mark = (
            self.get_component_rich_style("grid--cursor", partial=True) if under and self.has_focus else None
        )
        sign = ">" if under else row.level.value if row.level is CellLevel.BAD else " "
        parts, gap = [(sign, plain)], ""
        for column, cell, width in zip(self.table.columns, row.cells, self._widths, strict=False):
            if not width:
                continue
            if column.bar:
                full, rest, text = bar(cell, width)
                fill = self._tone("warm" if cell.tone == "warm" else "bar", row, plain)
                parts += [(gap + full, fill), (rest, self._tone("rest", row, plain)), (text, plain)]
            else:
                # Sentences begin with what matters.
                is_text = column.stretch and not column.path
                text = truncated(cell.text, width) if is_text else fitted(cell.text, width, column.right)
                parts.append((gap + text, self._tone(cell.tone or column.tone, row, plain)))
            gap = " "
        parts.append((" " * max(0, self.size.width - sum(map(cell_len, (text for text, _ in parts)))), plain))
        return Strip([Segment(text, style + mark if mark else style) for text, style in _joined(parts)])

    def _tone(self, tone: str, row: Row, plain: Style) -> Style:
        """The colour of a cell; rows that say something by their colour have no other."""
        return (
            self.get_component_rich_style(f"grid--{tone}") if tone and row.level is CellLevel.PLAIN else plain
        )

    # Cursor and mouse.

    def action_step(self, rows: int) -> None:
        # In the place of a row that is no longer there stands the one that was below it.
        lost = self._cursor is not None and self.current is None
        self.put_cursor(self._at + rows - (1 if lost and rows > 0 else 0))

    def action_page(self, pages: int) -> None:
        self.put_cursor(self._at + pages * max(1, self.size.height - self._top - 1))

    def action_to_edge(self, last: bool) -> None:
        self.put_cursor(len(self.rows) - 1 if last else 0)

    def action_choose(self) -> None:
        if self.current is not None:
            self.post_message(self.Chosen(self, self.current))

    def put_cursor(self, at: int) -> None:
        if not self.rows:
            return
        before, self._at = self._at, max(0, min(at, len(self.rows) - 1))
        self._cursor = self.rows[self._at].subject
        self.refresh_line(before + self._top)
        self.refresh_line(self._at + self._top)
        self._explain()
        first, height = int(self.scroll_offset.y), max(1, self.size.height - self._top - len(self._foot))
        if not first <= self._at < first + height:
            top = self._at if self._at < first else self._at - height + 1
            self.scroll_to(y=top, animate=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        if event.y < self._top:
            if (column := self._column_at(event.x)) is not None:
                self.post_message(self.HeadClicked(self, column))
            return
        at = event.y - self._top + int(self.scroll_offset.y)
        if at >= len(self.rows) or event.y >= self.size.height - len(self._foot):
            return
        again = at == self._at and self.current is not None and event.chain > 1
        self.put_cursor(at)
        if again:
            self.action_choose()

    def _column_at(self, x: int) -> Column | None:
        start = 1
        for column, width in zip(self.table.columns, self._widths, strict=False):
            if width and start <= x < start + width:
                return column
            start += width + 1 if width else 0
        return None


def _joined(parts: list[tuple[str, Style]]) -> list[tuple[str, Style]]:
    """Neighbours of the same style as one: the terminal gets fewer bytes."""
    found: list[tuple[str, Style]] = []
    for text, style in parts:
        if found and found[-1][1] is style:
            found[-1] = (found[-1][0] + text, style)
        elif text:
            found.append((text, style))
    return found
