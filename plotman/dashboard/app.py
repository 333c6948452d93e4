"""The dashboard: what it shows, and where. What it asks of the farm is in `ordering`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult, SystemCommand
from textual.binding import BindingType
from textual.containers import Container
from textual.geometry import Size as TerminalSize
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Input

from common.snapshot import age_s
from plotman.control.farm import Farm, narrowed
from plotman.dashboard import arrange, headline, keys
from plotman.dashboard.actionlog import ActionLog, event_row
from plotman.dashboard.choices import Choice, Choices
from plotman.dashboard.details import Details
from plotman.dashboard.errands import Asker
from plotman.dashboard.feed import Away, Feed, Seen, Source
from plotman.dashboard.grid import Grid
from plotman.dashboard.keys import ALL, PANES
from plotman.dashboard.layout import Size, share_out, size_of
from plotman.dashboard.lines import Lines
from plotman.dashboard.model import Kind, Line, Table, Target
from plotman.dashboard.ordering import Ordering
from plotman.dashboard.panes import all_tables
from plotman.dashboard.panes.machines import hosts_of
from plotman.dashboard.screens import Read

_NOISE = frozenset({"plot-phase"})  # the table of plots shows them
_TITLES = {"moves": "Moving", "waits": "Waiting"}
_TABLES = tuple(pane for pane in PANES if pane != "log")
_BANNER_LINES = {Size.LIST: 1, Size.PANE: 2, Size.STACK: 3, Size.WIDE: 4}
_STATUS_LINES = {Size.LIST: 1, Size.PANE: 2, Size.STACK: 4, Size.WIDE: 4}
_LOG_LINES = {Size.LIST: 0, Size.PANE: 5, Size.STACK: 6, Size.WIDE: 8}
_ROWS = {  # panes one below the other, of those side by side
    Size.STACK: (("plots",), ("tmp", "dst"), ("drives", "moves")),
    Size.WIDE: (("plots",), ("tmp", "dst", "drives"), ("moves", "waits", "machines")),
}
_COLUMNS = 6  # of the grid, whichever number of panes stands side by side
_JOBS_PER_S = 40  # drawn anew for their ages alone, where nothing else changed


class Body(Container):
    """The panes. Its height is known only when all above and below it have theirs."""

    class Resized(Message):
        pass

    def on_resize(self) -> None:
        self.post_message(self.Resized())


class Dashboard(Ordering):
    """source: where the farm is seen. asker: asks hosts."""

    TITLE = "plotman"
    CSS_PATH = "dashboard.tcss"
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings()
    ENABLE_COMMAND_PALETTE = True

    def __init__(self, source: Source, asker: Asker) -> None:
        super().__init__(asker)
        self.animation_level = "none"
        self._feed = Feed(source, self.post_message)
        self._pane = ALL
        self._terminal = TerminalSize(80, 24)
        self._room = Size.LIST
        self._drawn: Farm | None = None
        self._away: headline.Away | None = None

    def compose(self) -> ComposeResult:
        yield Choices(id="hosts")
        yield Lines(id="banner", mark="! ")
        yield Lines(id="status")
        yield Choices(id="panes")
        with Body(id="body"):
            for pane in _TABLES:
                yield Grid(
                    Table(pane, _TITLES.get(pane, pane.title()), (), empty="nothing seen yet"), id=pane
                )
        yield ActionLog(id="log")
        yield Input(id="filter", placeholder="words; Enter keeps them, Esc ends", compact=True)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self._terminal = self.size
        self._fit()
        self._say("status", [Line("Looking for the farm ...")])
        self.action_escape()
        self._feed.start()

    def on_unmount(self) -> None:
        self._feed.stop()

    def on_resize(self, event: events.Resize) -> None:
        self._terminal = event.size  # the app's own is told of it later
        self._fit()
        self._draw()

    # What the feed tells.

    def on_seen(self, seen: Seen) -> None:
        self._events.add(event_row(one, event) for one, event in seen.events if event.kind not in _NOISE)
        came_back, self._away = self._away is not None, None
        self.farm = seen.farm
        before = self._drawn
        aged = before is None or age_s(before.at, seen.farm.at) >= _ages_s(seen.farm)
        if aged or came_back or not _same(seen.farm, before):
            self._draw()
        if isinstance(self.screen, Details):
            self.screen.show(seen.farm)

    def on_away(self, away: Away) -> None:
        since = self.farm.at if self.farm else None
        self._away = headline.Away(away.error, since, away.at)
        self._draw_headline()

    # Drawing.

    @property
    def _events(self) -> ActionLog:
        return self._main.query_one(ActionLog)

    @property
    def _main(self) -> Screen[object]:
        return self.screen_stack[0]

    def _grid(self, pane: str) -> Grid:
        return self._main.query_one(f"#{pane}", Grid)

    def _draw(self) -> None:
        farm = self.farm
        if farm is None:
            return
        self._drawn = farm
        if self.host is not None and self.host not in hosts_of(farm):
            self.host = None
        for name, table in all_tables(farm, self.host).items():
            self._grid(name).show(table)
        self._draw_headline()
        self._place()

    def _draw_headline(self) -> None:
        farm = self.farm
        notes = list(headline.notes(farm, self._away)) if farm else []
        if farm is None and self._away is not None:
            notes = [headline.away_line(self._away)]
        self._say("banner", _few(notes, _BANNER_LINES[self._room]))
        if farm is None:
            return
        self._say("status", headline.status(narrowed(farm, self.host))[: _STATUS_LINES[self._room]])
        troubled, hosts = headline.troubled(farm), hosts_of(farm)
        choices = [Choice(ALL, "all", bool(troubled)), *(Choice(one, one, one in troubled) for one in hosts)]
        bar = self._main.query_one("#hosts", Choices)
        bar.show(tuple(choices), self.host or ALL)
        bar.display = self._room > Size.LIST or len(hosts) > 1

    def _say(self, where: str, lines: Iterable[Line]) -> None:
        self._main.query_one(f"#{where}", Lines).say(tuple(lines))

    # What is where.

    def _fit(self) -> None:
        """Choose what is shown at this size."""
        self._room = size_of(*self._terminal)
        alone = self._alone
        main = self._main
        main.set_class(self._room == Size.LIST, "-list")
        for pane in _TABLES:
            grid = self._grid(pane)
            rows = _ROWS.get(self._room, ())
            grid.display = pane == alone if alone else any(pane in row for row in rows)
            if alone:
                grid.styles.column_span = _COLUMNS
            else:
                grid.styles.column_span = _COLUMNS // len(next((row for row in rows if pane in row), (pane,)))
        log = self._events
        log.display = alone == "log" or _LOG_LINES[self._room] > 0
        log.styles.height = "1fr" if alone == "log" else _LOG_LINES[self._room]
        main.query_one("#body").display = alone != "log"
        main.query_one(Footer).display = self._room > Size.LIST
        for grid in main.query(Grid):
            grid.refit(self._room > Size.LIST)
        self._show_panes()
        self._place()

    @property
    def _alone(self) -> str | None:
        """The pane that has the room for itself; None: all."""
        if self._pane == ALL:
            return None if self._room >= Size.STACK else PANES[0]
        return self._pane

    def _show_panes(self) -> None:
        labels = [Choice(pane, f"{number} {pane}") for number, pane in enumerate(PANES, 1)]
        if self._room >= Size.STACK:
            labels.insert(0, Choice(ALL, "0 all"))
        self._main.query_one("#panes", Choices).show(tuple(labels), self._alone or ALL)

    @on(Body.Resized)
    def _place(self) -> None:
        """Give each row of panes its lines."""
        body = self._main.query_one("#body")
        if self._alone:
            body.styles.grid_rows = "1fr"
            return
        rows = _ROWS[self._room]
        wanted = [max(self._grid(pane).wanted_lines for pane in row) for row in rows]
        room = max(len(rows) * 3, body.size.height)
        lines = share_out(room, [(want, min(want, 5)) for want in wanted])
        body.styles.grid_rows = " ".join(map(str, lines))

    # Keys and mouse.

    def chosen(self) -> Target | None:
        if isinstance(self.screen, Details):
            return self.screen.target
        grid = self.focused if isinstance(self.focused, Grid) and self.focused.with_cursor else None
        if grid is None and self._alone not in (None, "log"):
            grid = self._grid(self._alone or "")
        grid = grid or self._grid("plots")
        return grid.current.target if grid.current else None

    def action_pane(self, pane: str) -> None:
        self._pane = pane
        self._fit()
        self._draw()
        if self._alone:
            self._main.query_one(f"#{self._alone}").focus()
        else:
            self._events.focus()

    def action_escape(self) -> None:
        """The filter goes first, then one table alone, and the keys go to the log."""
        box = self._main.query_one("#filter", Input)
        if box.display or box.value:
            box.value = ""
            box.display = False
        elif self._pane != ALL:
            self._pane = ALL
            self._fit()
            self._draw()
        (self._events if self._events.display else self._grid(self._alone or PANES[0])).focus()

    def action_host(self, step: int) -> None:
        if self.farm is not None:
            names = [None, *hosts_of(self.farm)]
            at = names.index(self.host) if self.host in names else 0
            self._look_at(names[(at + step) % len(names)])

    def _look_at(self, host: str | None) -> None:
        self.host = host
        self._draw()

    def action_filter(self) -> None:
        box = self._main.query_one("#filter", Input)
        box.display = True
        box.focus()

    @on(Input.Changed, "#filter")
    def _filter(self, event: Input.Changed) -> None:
        for grid in self._main.query(Grid):
            grid.rearrange(words=event.value)
        self._place()

    @on(Input.Submitted, "#filter")
    def _keep_filter(self, event: Input.Submitted) -> None:
        event.input.display = bool(event.value)
        (self._events if self._events.display else self._grid(self._alone or PANES[0])).focus()

    def _sortable(self) -> Grid:
        if isinstance(self.focused, Grid) and self.focused.with_cursor:
            return self.focused
        return self._grid(self._alone if self._alone in _TABLES else PANES[0])

    def action_sort(self, step: int) -> None:
        grid = self._sortable()
        grid.rearrange(arrange.next_order(grid.table, grid.order, step))

    def action_reverse(self) -> None:
        grid = self._sortable()
        grid.rearrange(arrange.Order(grid.order.column, not grid.order.reverse))

    def action_notes(self) -> None:
        notes = headline.notes(self.farm, self._away) if self.farm else ()
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

    def _details(self, grid: Grid, target: Target) -> None:
        if target.kind is Kind.HOST:
            self._look_at(target.host)
        elif target.kind is Kind.JOB:
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
        event.grid.rearrange(arrange.by_column(event.grid.order, event.column.name))

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


def _few(notes: list[Line], most: int) -> list[Line]:
    """The first ones; how many more there are is said at the start of the last, where nothing cuts it off."""
    if len(notes) <= most:
        return notes
    more = f"(and {len(notes) - most} more: n) "
    return [*notes[: most - 1], Line(more + notes[most - 1].text, notes[most - 1].level)]


def _ages_s(farm: Farm) -> float:
    """How old ages may get on the screen: a second or two, or as long as it takes to be worth drawing
    hundreds of rows."""
    return max(2.0, sum(len(plotter.jobs) for plotter in farm.plotters.values()) / _JOBS_PER_S)


def _same(one: Farm, other: Farm | None) -> bool:
    """Whether nothing was put on the board between two looks."""
    if other is None or one.stale != other.stale or one.waits != other.waits:
        return False
    return all(
        len(new) == len(old) and all(old.get(host) is snapshot for host, snapshot in new.items())
        for new, old in (
            (one.plotters, other.plotters),
            (one.archivers, other.archivers),
            (one.harvesters, other.harvesters),
        )
    )


def make_app(source: Source, asker: Asker) -> Dashboard:
    """The dashboard, for the command line and for tests."""
    return Dashboard(source, asker)
