"""The dashboard as an app: what keys and mouse do. `screen` shows the farm, `commands` changes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from textual import events, on
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.command import CommandList, CommandPalette
from textual.screen import Screen
from textual.theme import Theme
from textual.widgets import Input

from plotman.dashboard import filters, headline, keys
from plotman.dashboard.commands import Commands
from plotman.dashboard.details import Details
from plotman.dashboard.dialogs import TextDialog
from plotman.dashboard.feed import Source
from plotman.dashboard.grid import Grid
from plotman.dashboard.keys import ALL
from plotman.dashboard.lines import Lines
from plotman.dashboard.model import RowKind, RowSubject
from plotman.dashboard.notices import Notices
from plotman.dashboard.panes.machines import hosts_of
from plotman.dashboard.requests import Asker
from plotman.dashboard.screen import MainScreen
from plotman.dashboard.tabs import TabBar
from plotman.dashboard.theme import DARK, LIGHT


class Palette(CommandPalette):
    """Textual's palette, safe to close while it searches: then its worker updates a list that is removed."""

    def _watch__list_visible(self) -> None:
        if self.query(CommandList):
            super()._watch__list_visible()

    async def _watch__show_busy(self) -> None:
        if self.query(CommandList):
            await super()._watch__show_busy()


class Dashboard(App[None]):
    """source: reads the farm. asker: calls tasks on hosts. by: the operator, `user@machine`. theme: at the
    start."""

    TITLE = "plotman"
    CSS_PATH = "dashboard.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings()

    def __init__(self, source: Source, asker: Asker, by: str | None = None, theme: Theme = DARK) -> None:
        super().__init__()
        self.animation_level = "none"
        for each in (DARK, LIGHT):
            self.register_theme(each)
        self.theme = theme.name
        self.main = MainScreen(source)
        self._asker = asker
        self._commands = Commands(self.main, Notices(self), asker, by)

    def _end_batch(self) -> None:
        """Draw what changed during the batch, in which a footer makes its keys anew. Textual (8.2.8) waits
        for the next change: the details of a plot that has ended have none, and stayed blank."""
        super()._end_batch()
        if not self._batch_count and self.screen_stack and not self.screen.is_modal:
            self.screen.refresh()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The colours of phases, while a theme without them is set: Textual draws with one before ours."""
        return DARK.variables

    def action_help_quit(self) -> None:
        """Ctrl-C: Textual would name another key than our help does."""
        self.notify("Press q to close the dashboard; the farm keeps running.")

    def action_other_theme(self) -> None:
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    def get_default_screen(self) -> Screen[None]:
        return self.main

    def on_resize(self, event: events.Resize) -> None:
        """Textual does not send this event to screens below another one."""
        if self.main.is_mounted:
            self.main.resized(event.size)

    def action_command(self, name: str) -> None:
        """name: a method of Commands."""
        getattr(self._commands, name)()

    def action_command_palette(self) -> None:
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(Palette(id="--command-palette"))

    def action_main(self, name: str, *given: Any) -> None:
        """name: a method of MainScreen."""
        getattr(self.main, name)(*given)

    @on(Input.Changed, "#filter")
    def _filter_typed(self, event: Input.Changed) -> None:
        self.main.filter_rows(event.value)

    @on(Input.Submitted, "#filter")
    def _filter_kept(self) -> None:
        self.main.close_filter()

    def action_sort(self, step: int) -> None:
        grid = self.main.active_grid()
        grid.rearrange(filters.next_order(grid.table, grid.order, step))

    def action_reverse(self) -> None:
        grid = self.main.active_grid()
        grid.rearrange(filters.Order(grid.order.column, not grid.order.reverse))

    @on(Grid.HeadClicked)
    def _head_clicked(self, event: Grid.HeadClicked) -> None:
        event.grid.rearrange(filters.by_column(event.grid.order, event.column.name))

    @on(Lines.Clicked, "#banner")
    def action_notes(self) -> None:
        text = headline.notes_text(self.main.farm, self.main.outage) if self.main.farm else ""
        self.push_screen(TextDialog("Notes", text or "All is well."))

    def action_help(self) -> None:
        self.push_screen(TextDialog("Keys", keys.help_text()))

    def action_details(self) -> None:
        grid = self.main.active_grid()
        if grid.current is None:
            grid.focus()
        else:
            self._details(grid, grid.current.subject)

    @on(Grid.Chosen)
    def _row_chosen(self, event: Grid.Chosen) -> None:
        self._details(event.grid, event.row.subject)

    def _details(self, grid: Grid, subject: RowSubject) -> None:
        if subject.kind is RowKind.HOST:
            self.main.show_host(subject.host)
        elif subject.kind is RowKind.JOB:
            screen = Details(subject, self._asker)
            self.push_screen(screen)
            if self.main.farm is not None:
                self.call_after_refresh(screen.show, self.main.farm, self.main.courses)
        else:
            row = next((row for row in grid.rows if row.subject == subject), None)
            cells = zip(grid.table.columns, row.cells if row else (), strict=False)
            text = "\n".join(f"{column.name}: {column.full_text(cell)}" for column, cell in cells)
            self.push_screen(TextDialog(grid.table.title, text))

    @on(TabBar.Picked)
    def _tab_picked(self, event: TabBar.Picked) -> None:
        if event.bar.id == "hosts":
            self.main.show_host(None if event.key == ALL else event.key)
        else:
            self.main.show_pane(event.key)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:  # noqa: ARG002
        for key in keys.KEYS:
            yield SystemCommand(
                f"{key.name} ({key.label})", key.help, lambda a=key.action: self.run_action(a)
            )
        for host in hosts_of(self.main.farm) if self.main.farm else ():
            yield SystemCommand(f"Show {host}", "only this machine", lambda h=host: self.main.show_host(h))
