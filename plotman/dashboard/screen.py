"""The main screen: draws the farm that the feed reads, laid out for the size of the terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Horizontal
from textual.geometry import Size as TerminalSize
from textual.message import Message
from textual.widgets import Input, Label

from common.names import FREQUENT_EVENTS
from plotman.control.farm import FarmState, narrowed
from plotman.dashboard import headline
from plotman.dashboard.behind import ScreenBehind
from plotman.dashboard.details import Details
from plotman.dashboard.draw_pace import DrawPace
from plotman.dashboard.event_log import EventLog
from plotman.dashboard.feed import BrokerLost, EventsRead, FarmRead, Feed, Source
from plotman.dashboard.grid import Grid
from plotman.dashboard.keys import ALL, PANES, KeyFooter
from plotman.dashboard.layout import ScreenSize, share_out, size_of
from plotman.dashboard.lines import Lines
from plotman.dashboard.model import CellLevel, Line, RowSubject, Table
from plotman.dashboard.panes import all_tables
from plotman.dashboard.panes.machines import hosts_of
from plotman.dashboard.tabs import Tab, TabBar
from plotman.dashboard.timeline import Courses

# In the order in which rows of panes hold them.
TABLES = ("plots", "tmp", "dst", "machines", "moves", "waits", "drives", "classes")
_BANNER_LINES = {ScreenSize.LIST: 1, ScreenSize.PANE: 2, ScreenSize.STACK: 3, ScreenSize.WIDE: 4}
_STATUS_LINES = {ScreenSize.LIST: 0, ScreenSize.PANE: 2, ScreenSize.STACK: 4, ScreenSize.WIDE: 4}
# Panes from top to bottom, and in each row from left to right. The last row gets the lines that are left.
_ROWS = {
    ScreenSize.STACK: (("plots",), ("tmp", "dst"), ("moves", "drives"), ("log",)),
    ScreenSize.WIDE: (("plots",), ("tmp", "dst", "machines"), ("moves", "waits"), ("drives", "log")),
}
_TRACKS = 24  # of the grid: a pane spans as many as its columns need
_LEAST_LINES, _LEAST_TRACKS = 5, 5


class Body(Container):
    """The panes. Textual computes its height last, after all that is above and below it."""

    class Resized(Message):
        pass

    def on_resize(self) -> None:
        self.post_message(self.Resized())


class MainScreen(ScreenBehind):
    """The tables and the log. farm: as it was read last. host: the only one in view; None: all hosts.
    pane: the only one in view, or `all`. outage: set while the broker does not answer."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.farm: FarmState | None = None
        self.host: str | None = None
        self.pane = ALL
        self.outage: headline.Outage | None = None
        self.courses = Courses()
        self._feed = Feed(source, self.post_message)
        self._terminal = TerminalSize(80, 24)
        self._room = ScreenSize.LIST
        self._pace = DrawPace()

    def compose(self) -> ComposeResult:
        yield Lines(id="pulse")
        yield TabBar(id="hosts")
        yield Lines(id="banner", mark="! ")
        yield Lines(id="status")
        yield Lines(id="filtered")
        yield TabBar(id="panes")
        with Body(id="body"):
            for pane in TABLES:
                yield Grid(Table(pane, pane.title(), (), empty="nothing was read yet"), id=pane)
            yield EventLog(id="log")
        with Horizontal(id="filter-line"):
            yield Label("Filter: ")
            yield Input(id="filter", placeholder="words; Enter keeps them, Esc ends", compact=True)
        yield KeyFooter(show_command_palette=False)

    def on_mount(self) -> None:
        self._terminal = self.app.size
        self.fit()
        self._show_lines("status", [Line("Looking for the farm ...")])
        self.focus_first()
        self._feed.start()

    def on_unmount(self) -> None:
        self._feed.stop()

    def read_now(self) -> None:
        """Read the farm and show it; from any thread."""
        self._feed.read_now()

    @property
    def is_current(self) -> bool:
        """Whether Textual draws this screen: on top, or behind a dialog. Below the details of a plot, which
        cover it, Textual (8.2.8) would draw both screens again as a whole for each change."""
        return super().is_current and (self.app.screen is self or self.app.screen.is_modal)

    def on_screen_resume(self) -> None:
        self.draw()

    # Messages of the feed. Textual derives the names of the handlers from the classes of the messages.

    def on_events_read(self, message: EventsRead) -> None:
        if not self.app.is_running:  # the tables may be removed already
            return
        self.courses.add_events(event for _, event in message.events)
        listed = [pair for pair in message.events if pair[1].kind not in FREQUENT_EVENTS]
        self.log_pane.add(listed)
        if listed:
            self._pace.happened()

    def on_farm_read(self, message: FarmRead) -> None:
        if not self.app.is_running:
            return
        self.courses.add_farm(message.farm)
        came_back, self.outage = self.outage is not None, None
        self.farm = message.farm
        for screen in self.app.screen_stack:
            if isinstance(screen, Details):
                screen.show(message.farm, self.courses)
        if not self.is_current:
            return  # on_screen_resume draws
        self._draw_pulse()
        if message.asked or came_back or self._pace.is_due(message.farm):
            self.draw()

    def on_broker_lost(self, message: BrokerLost) -> None:
        if not self.app.is_running:
            return
        since = self.farm.at if self.farm else None
        self.outage = headline.Outage(message.error, since, message.at)
        self._draw_headline()

    # What is in view.

    def chosen(self) -> RowSubject | None:
        """The row under the cursor, or the plot whose details are shown."""
        if isinstance(self.app.screen, Details):
            return self.app.screen.subject
        grid = self.focused if isinstance(self.focused, Grid) and self.focused.with_cursor else None
        if self.alone == "log":
            return None
        if grid is None and self.alone is not None:
            grid = self.grid(self.alone)
        grid = grid or self.grid("plots")
        return grid.current.subject if grid.current else None

    def active_grid(self) -> Grid:
        """The table that sorting and Enter work on."""
        if isinstance(self.focused, Grid) and self.focused.with_cursor:
            return self.focused
        return self.grid(self.alone if self.alone in TABLES else PANES[0])

    def show_pane(self, pane: str) -> None:
        self.pane = pane
        self.fit()
        self.draw()
        if self.alone:
            grid = self.grid(self.alone)
            self.set_focus(grid)  # at once, unlike `focus`: the next key may be typed already
            grid.enter()
        else:
            self.focus_first()

    def show_host(self, host: str | None) -> None:
        self.host = host
        self.draw(by_operator=True)

    def next_host(self, step: int) -> None:
        if self.farm is not None:
            names = [None, *hosts_of(self.farm)]
            at = names.index(self.host) if self.host in names else 0
            self.show_host(names[(at + step) % len(names)])

    def step_back(self) -> None:
        """End the filter; without one, show all tables. The table of plots gets the keys."""
        box, line = self.query_one("#filter", Input), self.query_one("#filter-line")
        if line.display or box.value:
            box.value = ""
            line.display = False
        elif self.pane != ALL:
            self.pane = ALL
            self.fit()
            self.draw()
        self.focus_first()

    def open_filter(self) -> None:
        self.query_one("#filter-line").display = True
        self.query_one("#filter", Input).focus()

    def filter_rows(self, words: str) -> None:
        for grid in self.query(Grid):
            grid.rearrange(words=words)
        words = words.strip()
        lines = [Line(f"Esc ends the filter: {words}", CellLevel.NOTICE)] if words else []
        self._show_lines("filtered", lines)
        self.place()

    def close_filter(self) -> None:
        """The rows stay filtered."""
        self.query_one("#filter-line").display = False
        self.focus_first()

    def focus_first(self) -> None:
        """Focus the pane that is shown alone, or the table of plots."""
        self.set_focus(self.grid(self.alone or PANES[0]))

    def resized(self, terminal: TerminalSize) -> None:
        self._terminal = terminal  # self.size changes later
        self.fit()
        self.draw()

    def on_descendant_focus(self) -> None:
        """The table with the focus may need more lines than before."""
        self.place()

    # Drawing.

    @property
    def log_pane(self) -> EventLog:
        return self.query_one(EventLog)

    def grid(self, pane: str) -> Grid:
        return self.query_one(f"#{pane}", Grid)

    def draw(self, by_operator: bool = False) -> None:
        """by_operator: whether the operator chose other rows, as by choosing a machine."""
        farm = self.farm
        if farm is None:
            return
        began_s = time.thread_time()
        if self.host is not None and self.host not in hosts_of(farm):
            self.host = None
        for name, table in all_tables(farm, self.host).items():
            self.grid(name).show(table, by_operator)
        self._draw_headline()
        self.place()
        self._pace.was_drawn(farm, time.thread_time() - began_s)

    def _draw_pulse(self) -> None:
        """The time in it changes with each reading."""
        if self.farm is not None and self.is_current:
            farm = narrowed(self.farm, self.host) if self.host in hosts_of(self.farm) else self.farm
            self._show_lines("pulse", [headline.pulse(farm, self._terminal.width, self.outage)])

    def _draw_headline(self) -> None:
        farm = self.farm
        self._draw_pulse()
        notes = list(headline.notes(farm, self.outage)) if farm else []
        if farm is None and self.outage is not None:
            notes = [headline.outage_line(self.outage)]
        self._show_lines("banner", headline.first_notes(notes, _BANNER_LINES[self._room]))
        if farm is None:
            return
        self._show_lines("status", headline.status(narrowed(farm, self.host))[: _STATUS_LINES[self._room]])
        troubled, hosts = headline.troubled(farm), hosts_of(farm)
        tabs = [Tab(ALL, "all", bool(troubled)), *(Tab(one, one, one in troubled) for one in hosts)]
        bar = self.query_one("#hosts", TabBar)
        bar.show(tuple(tabs), self.host or ALL)
        bar.display = self._room > ScreenSize.LIST or len(hosts) > 1

    def _show_lines(self, where: str, lines: Iterable[Line]) -> None:
        self.query_one(f"#{where}", Lines).show(tuple(lines))

    # Layout.

    def fit(self) -> None:
        """Choose the panes for the size of the terminal."""
        self._room = size_of(*self._terminal)
        self.set_class(self._room == ScreenSize.LIST, "-list")
        shown = {pane for row in self._rows for pane in row}
        for pane in PANES:
            self.grid(pane).display = pane in shown
        self.query_one(KeyFooter).display = self._room > ScreenSize.LIST
        for grid in self.query(Grid):
            grid.refit(self._room > ScreenSize.LIST)
        self._show_panes()
        self.place()

    @property
    def alone(self) -> str | None:
        """The pane that is shown alone; None: all panes."""
        if self.pane == ALL:
            return None if self._room >= ScreenSize.STACK else PANES[0]
        return self.pane

    def _show_panes(self) -> None:
        labels = [Tab(pane, f"{number} {pane}") for number, pane in enumerate(PANES, 1)]
        if self._room >= ScreenSize.STACK:
            labels.insert(0, Tab(ALL, "0 all"))
        self.query_one("#panes", TabBar).show(tuple(labels), self.alone or ALL)

    @property
    def _rows(self) -> tuple[tuple[str, ...], ...]:
        """The panes in view, in rows. Below a pane that is shown alone, the log gets what it leaves."""
        if self.alone is None:
            return _ROWS[self._room]
        has_log = self._room > ScreenSize.LIST and self.alone != "log"
        return ((self.alone,), ("log",)) if has_log else ((self.alone,),)

    @on(Body.Resized)
    def place(self) -> None:
        """Give each row of panes the lines, and each pane the columns, that it needs."""
        body, rows = self.query_one("#body"), self._rows
        wanted = [max(self.grid(pane).wanted_lines for pane in row) for row in rows]
        room = max(len(rows) * 3, body.size.height)
        lines = share_out(room, [(want, min(want, _LEAST_LINES)) for want in wanted])
        body.styles.grid_rows = " ".join(map(str, lines))
        for row in rows:
            for pane in row:
                self.grid(pane).put_beside(pane != row[-1])
            needs = [-(-self.grid(pane).wanted_columns * _TRACKS // max(1, body.size.width)) for pane in row]
            spans = share_out(_TRACKS, [(max(need, _LEAST_TRACKS), _LEAST_TRACKS) for need in needs])
            for pane, span in zip(row, spans, strict=True):
                if self.grid(pane).styles.column_span != span:
                    self.grid(pane).styles.column_span = span
