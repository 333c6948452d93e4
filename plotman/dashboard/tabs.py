"""A line of tabs: machines, panes. Textual's own Tabs take three lines."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget


class Tab(NamedTuple):
    """alarm: something is wrong there; shown as `!`."""

    key: str
    label: str
    alarm: bool = False

    @property
    def text(self) -> str:
        return f" {'!' if self.alarm else ''}{self.label} "


class TabBar(Widget, can_focus=False):
    """Shows the tabs that fit; the chosen one is always visible."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"tab-bar--chosen", "tab-bar--alarm"}
    DEFAULT_CSS = """
    TabBar { height: 1; background: $panel; color: $text-muted; }
    TabBar > .tab-bar--chosen { background: $primary; color: $text; text-style: bold; }
    TabBar > .tab-bar--alarm { color: $text-error; text-style: bold; }
    """

    class Picked(Message):
        """A tab was clicked."""

        def __init__(self, bar: TabBar, key: str) -> None:
            self.bar = bar
            self.key = key
            super().__init__()

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._tabs: tuple[Tab, ...] = ()
        self._chosen = ""

    def show(self, tabs: tuple[Tab, ...], chosen: str) -> None:
        if (tabs, chosen) != (self._tabs, self._chosen):
            self._tabs, self._chosen = tabs, chosen
            self.refresh()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002  there is one line
        plain, width = self.rich_style, self.size.width
        segments = []
        for tab, chosen, text in self._visible():
            alarm = self.get_component_rich_style("tab-bar--alarm") if tab.alarm else plain
            style = self.get_component_rich_style("tab-bar--chosen") if chosen else alarm
            segments.append(Segment(f"[{text[1:-1]}]" if chosen else text, style))
        return Strip(segments).adjust_cell_length(width, plain)

    def _visible(self) -> list[tuple[Tab, bool, str]]:
        """(tab, whether chosen, text), from the first tab that leaves room for the chosen one."""
        chosen = next((at for at, one in enumerate(self._tabs) if one.key == self._chosen), 0)
        first = 0
        while first < chosen and self._length(first, chosen) > self.size.width:
            first += 1
        return [(one, first + at == chosen, one.text) for at, one in enumerate(self._tabs[first:])]

    def _length(self, first: int, last: int) -> int:
        return sum(cell_len(one.text) for one in self._tabs[first : last + 1])

    def on_click(self, event: events.Click) -> None:
        start = 0
        for tab, _, text in self._visible():
            start += cell_len(text)
            if event.x < start:
                self.post_message(self.Picked(self, tab.key))
                return
