"""A few lines of text, each cut off at the width of the terminal."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from plotman.dashboard.layout import truncated
from plotman.dashboard.model import CellLevel, Line


class Lines(Widget, can_focus=False):
    """Hidden while empty. A line that is too long ends in `…`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"lines--bad", "lines--notice"}
    DEFAULT_CSS = """
    Lines { height: auto; }
    Lines > .lines--bad { color: $text-error; text-style: bold; }
    Lines > .lines--notice { color: $text-warning; }
    """

    class Clicked(Message):
        """The lines were clicked."""

        def __init__(self, lines: Lines) -> None:
            self.lines = lines
            super().__init__()

        @property
        def control(self) -> Lines:
            return self.lines

    def __init__(self, *, id: str, mark: str = " ") -> None:
        super().__init__(id=id)
        self._mark = mark  # before each line
        self._text: tuple[Line, ...] = ()
        self.display = False

    def show(self, lines: tuple[Line, ...]) -> None:
        if lines == self._text:
            return
        self._text = lines
        self.display = bool(lines)
        self.styles.height = len(lines)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        if y >= len(self._text):
            return Strip.blank(self.size.width, self.rich_style)
        line = self._text[y]
        names = {CellLevel.BAD: "lines--bad", CellLevel.NOTICE: "lines--notice"}
        style = self.get_component_rich_style(names[line.level]) if line.level in names else self.rich_style
        return Strip([Segment(truncated(self._mark + line.text, self.size.width), style)])

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Clicked(self))
