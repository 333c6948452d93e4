"""What the dashboard shows, and where: it draws what the feed tells, as it fits the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container, Horizontal
from textual.geometry import Size as TerminalSize
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Input, Label

from common.model.snapshot import age_s
from plotman.control.farm import FarmState, narrowed
from plotman.dashboard import headline
from plotman.dashboard.commands import Ordering
from plotman.dashboard.details import Details
from plotman.dashboard.event_log import ActionLog, event_row
from plotman.dashboard.feed import Away, Feed, Seen, Source
from plotman.dashboard.grid import Grid
from plotman.dashboard.keys import ALL, PANES
from plotman.dashboard.layout import Size, share_out, size_of
from plotman.dashboard.lines import Lines
from plotman.dashboard.model import Line, Table
from plotman.dashboard.panes import all_tables
from plotman.dashboard.panes.machines import hosts_of
from plotman.dashboard.requests import Asker
from plotman.dashboard.tabs import Choice, Choices

_NOISE = frozenset({"plot-phase"})  # the table of plots shows them
_TITLES = {"moves": "Moving", "waits": "Waiting"}
TABLES = tuple(pane for pane in PANES if pane != "log")
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


class Showing(Ordering):
    """source: where the farm is seen. asker: asks hosts. by: who sits here, `user@machine`."""

    TITLE = "plotman"
    CSS_PATH = "dashboard.tcss"
    ENABLE_COMMAND_PALETTE = True

    def __init__(self, source: Source, asker: Asker, by: str | None = None) -> None:
        super().__init__(asker, by)
        self.animation_level = "none"
        self._feed = Feed(source, self.post_message)
        self.pane = ALL
        self._terminal = TerminalSize(80, 24)
        self._room = Size.LIST
        self._drawn: FarmState | None = None
        self.away: headline.Away | None = None

    def compose(self) -> ComposeResult:
        yield Choices(id="hosts")
        yield Lines(id="banner", mark="! ")
        yield Lines(id="status")
        yield Lines(id="filtered")
        yield Choices(id="panes")
        with Body(id="body"):
            for pane in TABLES:
                yield Grid(
                    Table(pane, _TITLES.get(pane, pane.title()), (), empty="nothing seen yet"), id=pane
                )
        yield ActionLog(id="log")
        with Horizontal(id="filter-line"):
            yield Label("Filter: ")
            yield Input(id="filter", placeholder="words; Enter keeps them, Esc ends", compact=True)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self._terminal = self.size
        self.fit()
        self._say("status", [Line("Looking for the farm ...")])
        self.keys_to_log()
        self._feed.start()

    def on_unmount(self) -> None:
        self._feed.stop()

    def look_now(self) -> None:
        self._feed.look_now()

    def on_resize(self, event: events.Resize) -> None:
        self._terminal = event.size  # the app's own is told of it later
        self.fit()
        self.draw()

    def keys_to_log(self) -> None:
        """As in plotman 0.5.3; where there is no room for a log, to the table in sight."""
        (self.actions if self.actions.display else self.grid(self.alone or PANES[0])).focus()

    # What the feed tells.

    def on_seen(self, seen: Seen) -> None:
        if not self.is_running:  # on its way out, and the tables are gone
            return
        self.actions.add(event_row(one, event) for one, event in seen.events if event.kind not in _NOISE)
        came_back, self.away = self.away is not None, None
        self.farm = seen.farm
        before = self._drawn
        aged = before is None or age_s(before.at, seen.farm.at) >= _ages_s(seen.farm)
        if aged or came_back or not _same(seen.farm, before):
            self.draw()
        if isinstance(self.screen, Details):
            self.screen.show(seen.farm)

    def on_away(self, away: Away) -> None:
        if not self.is_running:
            return
        since = self.farm.at if self.farm else None
        self.away = headline.Away(away.error, since, away.at)
        self._draw_headline()

    # Drawing.

    @property
    def actions(self) -> ActionLog:
        return self.main.query_one(ActionLog)

    @property
    def main(self) -> Screen[object]:
        return self.screen_stack[0]

    def grid(self, pane: str) -> Grid:
        return self.main.query_one(f"#{pane}", Grid)

    def draw(self) -> None:
        farm = self.farm
        if farm is None:
            return
        self._drawn = farm
        if self.host is not None and self.host not in hosts_of(farm):
            self.host = None
        for name, table in all_tables(farm, self.host).items():
            self.grid(name).show(table)
        self._draw_headline()
        self.place()

    def _draw_headline(self) -> None:
        farm = self.farm
        notes = list(headline.notes(farm, self.away)) if farm else []
        if farm is None and self.away is not None:
            notes = [headline.away_line(self.away)]
        self._say("banner", _few(notes, _BANNER_LINES[self._room]))
        if farm is None:
            return
        self._say("status", headline.status(narrowed(farm, self.host))[: _STATUS_LINES[self._room]])
        troubled, hosts = headline.troubled(farm), hosts_of(farm)
        choices = [Choice(ALL, "all", bool(troubled)), *(Choice(one, one, one in troubled) for one in hosts)]
        bar = self.main.query_one("#hosts", Choices)
        bar.show(tuple(choices), self.host or ALL)
        bar.display = self._room > Size.LIST or len(hosts) > 1

    def _say(self, where: str, lines: Iterable[Line]) -> None:
        self.main.query_one(f"#{where}", Lines).say(tuple(lines))

    # What is where.

    def fit(self) -> None:
        """Choose what is shown at this size."""
        self._room = size_of(*self._terminal)
        alone = self.alone
        main = self.main
        main.set_class(self._room == Size.LIST, "-list")
        for pane in TABLES:
            grid = self.grid(pane)
            rows = _ROWS.get(self._room, ())
            grid.display = pane == alone if alone else any(pane in row for row in rows)
            if alone:
                grid.styles.column_span = _COLUMNS
            else:
                grid.styles.column_span = _COLUMNS // len(next((row for row in rows if pane in row), (pane,)))
        log = self.actions
        log.display = alone == "log" or _LOG_LINES[self._room] > 0
        log.styles.height = "1fr" if alone == "log" else _LOG_LINES[self._room]
        main.query_one("#body").display = alone != "log"
        main.query_one(Footer).display = self._room > Size.LIST
        for grid in main.query(Grid):
            grid.refit(self._room > Size.LIST)
        self._show_panes()
        self.place()

    @property
    def alone(self) -> str | None:
        """The pane that has the room for itself; None: all."""
        if self.pane == ALL:
            return None if self._room >= Size.STACK else PANES[0]
        return self.pane

    def _show_panes(self) -> None:
        labels = [Choice(pane, f"{number} {pane}") for number, pane in enumerate(PANES, 1)]
        if self._room >= Size.STACK:
            labels.insert(0, Choice(ALL, "0 all"))
        self.main.query_one("#panes", Choices).show(tuple(labels), self.alone or ALL)

    @on(Body.Resized)
    def place(self) -> None:
        """Give each row of panes its lines."""
        body = self.main.query_one("#body")
        if self.alone:
            body.styles.grid_rows = "1fr"
            return
        rows = _ROWS[self._room]
        wanted = [max(self.grid(pane).wanted_lines for pane in row) for row in rows]
        room = max(len(rows) * 3, body.size.height)
        lines = share_out(room, [(want, min(want, 5)) for want in wanted])
        body.styles.grid_rows = " ".join(map(str, lines))


def _few(notes: list[Line], most: int) -> list[Line]:
    """The first ones; how many more there are is said at the start of the last, where nothing cuts it off."""
    if len(notes) <= most:
        return notes
    more = f"(and {len(notes) - most} more: n) "
    return [*notes[: most - 1], Line(more + notes[most - 1].text, notes[most - 1].level)]


def _ages_s(farm: FarmState) -> float:
    """How old ages may get on the screen: a second or two, or as long as it takes to be worth drawing
    hundreds of rows."""
    return max(2.0, sum(len(plotter.jobs) for plotter in farm.plotters.values()) / _JOBS_PER_S)


def _same(one: FarmState, other: FarmState | None) -> bool:
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
