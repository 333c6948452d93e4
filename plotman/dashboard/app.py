"""The dashboard as a whole: what its keys and the mouse do. What it asks of the farm is in `ordering`, what
it shows in `showing`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.app import SystemCommand
from textual.binding import BindingType
from textual.command import CommandList, CommandPalette
from textual.screen import Screen
from textual.widgets import Input

from plotman.dashboard import filters, headline, keys
from plotman.dashboard.details import Details
from plotman.dashboard.dialogs import Read
from plotman.dashboard.feed import Source
from plotman.dashboard.grid import Grid
from plotman.dashboard.keys import ALL, PANES
from plotman.dashboard.lines import Lines
from plotman.dashboard.model import CellLevel, Line, RowKind, RowSubject
from plotman.dashboard.panes.machines import hosts_of
from plotman.dashboard.requests import Asker
from plotman.dashboard.screen import TABLES, Showing
from plotman.dashboard.tabs import Choices


class Palette(CommandPalette):
    """Textual's, which may be left while it still searches: its worker then shows a list that is removed."""

    def _watch__list_visible(self) -> None:
        if self.query(CommandList):
            super()._watch__list_visible()

    async def _watch__show_busy(self) -> None:
        if self.query(CommandList):
            await super()._watch__show_busy()


class Dashboard(Showing):
    """source: where the farm is seen. asker: asks hosts. by: who sits here, `user@machine`."""

    BINDINGS: ClassVar[list[BindingType]] = keys.bindings()

    def chosen(self) -> RowSubject | None:
        if isinstance(self.screen, Details):
            return self.screen.target
        grid = self.focused if isinstance(self.focused, Grid) and self.focused.with_cursor else None
        if grid is None and self.alone not in (None, "log"):
            grid = self.grid(self.alone or "")
        grid = grid or self.grid("plots")
        return grid.current.target if grid.current else None

    def action_command_palette(self) -> None:
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(Palette(id="--command-palette"))

    def action_pane(self, pane: str) -> None:
        self.pane = pane
        self.fit()
        self.draw()
        if self.alone:
            grid = self.main.query_one(f"#{self.alone}", Grid)
            self.main.set_focus(grid)  # now, as `focus` would not: the next key may be typed already
            grid.enter()
        else:
            self.actions.focus()

    def action_escape(self) -> None:
        """The filter goes first, then one table alone, and the keys go to the log."""
        box = self.main.query_one("#filter", Input)
        line = self.main.query_one("#filter-line")
        if line.display or box.value:
            box.value = ""
            line.display = False
        elif self.pane != ALL:
            self.pane = ALL
            self.fit()
            self.draw()
        self.keys_to_log()

    def action_host(self, step: int) -> None:
        if self.farm is not None:
            names = [None, *hosts_of(self.farm)]
            at = names.index(self.host) if self.host in names else 0
            self._look_at(names[(at + step) % len(names)])

    def _look_at(self, host: str | None) -> None:
        self.host = host
        self.draw()

    def action_filter(self) -> None:
        self.main.query_one("#filter-line").display = True
        self.main.query_one("#filter", Input).focus()

    @on(Input.Changed, "#filter")
    def _filter(self, event: Input.Changed) -> None:
        for grid in self.main.query(Grid):
            grid.rearrange(words=event.value)
        words = event.value.strip()
        self._say("filtered", [Line(f"Esc ends the filter: {words}", CellLevel.NOTICE)] if words else [])
        self.place()

    @on(Input.Submitted, "#filter")
    def _keep_filter(self) -> None:
        self.main.query_one("#filter-line").display = False
        self.keys_to_log()

    def _sortable(self) -> Grid:
        if isinstance(self.focused, Grid) and self.focused.with_cursor:
            return self.focused
        return self.grid(self.alone if self.alone in TABLES else PANES[0])

    def action_sort(self, step: int) -> None:
        grid = self._sortable()
        grid.rearrange(filters.next_order(grid.table, grid.order, step))

    def action_reverse(self) -> None:
        grid = self._sortable()
        grid.rearrange(filters.Order(grid.order.column, not grid.order.reverse))

    def action_notes(self) -> None:
        notes = headline.notes(self.farm, self.away) if self.farm else ()
        text = "\n\n".join(f"! {line.text}" for line in notes) or "All is well."
        self.push_screen(Read("Notes", text))

    @on(Lines.Clicked, "#banner")
    def _banner_clicked(self) -> None:
        self.action_notes()

    def action_help(self) -> None:
        self.push_screen(Read("Keys", keys.help_text()))

    def action_details(self) -> None:
        grid = self._sortable()
        if grid.current is None:
            grid.focus()
        else:
            self._details(grid, grid.current.target)

    @on(Grid.Chosen)
    def _row_chosen(self, event: Grid.Chosen) -> None:
        self._details(event.grid, event.row.target)

    def _details(self, grid: Grid, target: RowSubject) -> None:
        if target.kind is RowKind.HOST:
            self._look_at(target.host)
        elif target.kind is RowKind.JOB:
            screen = Details(target, self.asker)
            self.push_screen(screen)
            if self.farm is not None:
                self.call_after_refresh(screen.show, self.farm)
        else:
            row = next((row for row in grid.rows if row.target == target), None)
            cells = zip(grid.table.columns, row.cells if row else (), strict=False)
            text = "\n".join(
                f"{column.name}: {cell.value if column.path else cell.text}" for column, cell in cells
            )
            self.push_screen(Read(grid.table.title, text))

    @on(Grid.HeadClicked)
    def _head_clicked(self, event: Grid.HeadClicked) -> None:
        event.grid.rearrange(filters.by_column(event.grid.order, event.column.name))

    @on(Choices.Picked)
    async def _picked(self, event: Choices.Picked) -> None:
        if event.choices.id == "hosts":
            self._look_at(None if event.key == ALL else event.key)
        else:
            self.action_pane(event.key)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        for key in keys.KEYS:
            yield SystemCommand(
                f"{key.name} ({key.shown})", key.says, lambda a=key.action: self.run_action(a)
            )
        for host in hosts_of(self.farm) if self.farm else ():
            yield SystemCommand(f"Look at {host}", "only this machine", lambda h=host: self._look_at(h))
        yield from super().get_system_commands(screen)


def make_app(source: Source, asker: Asker, by: str | None = None) -> Dashboard:
    """The dashboard, for the command line and for tests."""
    return Dashboard(source, asker, by)
