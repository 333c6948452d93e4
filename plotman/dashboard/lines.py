"""A few lines of text, each cut off at the width of the terminal."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from common.model.text import one_line
from plotman.dashboard.layout import truncated
from plotman.dashboard.model import CellLevel, Line

_TONES = (
    "bad",
    "notice",
    "strong",
    "dim",
    "good",
    "line0",
    "line1",
    "line2",
    "line3",
    "line4",
    "phase1",
    "phase2",
    "phase3",
    "phase4",
)


class Lines(Widget, can_focus=False):
    """Hidden while empty. A line that is too long ends in `…`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"lines--{tone}" for tone in _TONES}
    DEFAULT_CSS = """
    Lines { height: auto; }
    Lines > .lines--bad { color: $text-error; text-style: bold; }
    Lines > .lines--notice { color: $text-warning; }
    Lines > .lines--strong { color: $primary; text-style: bold; }
    Lines > .lines--dim { color: $text-muted; }
    Lines > .lines--good { color: $text-success; }
    Lines > .lines--line0 { color: $text-muted; }
    Lines > .lines--line1 { color: $phase-1; }
    Lines > .lines--line2 { color: $phase-2; }
    Lines > .lines--line3 { color: $phase-3; }
    Lines > .lines--line4 { color: $phase-4; }
    Lines > .lines--phase1 { color: $background; background: $phase-1; text-style: bold; }
    Lines > .lines--phase2 { color: $background; background: $phase-2; text-style: bold; }
    Lines > .lines--phase3 { color: $background; background: $phase-3; text-style: bold; }
    Lines > .lines--phase4 { color: $background; background: $phase-4; text-style: bold; }
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
        if line.tones and line.level is CellLevel.PLAIN:
            parts = [Segment(self._mark, self.rich_style)]
            parts += [Segment(one_line(text), self._tone(tone)) for text, tone in line.tones]
            return Strip(parts).adjust_cell_length(self.size.width, self.rich_style)
        names = {CellLevel.BAD: "lines--bad", CellLevel.NOTICE: "lines--notice"}
        style = self.get_component_rich_style(names[line.level]) if line.level in names else self.rich_style
        return Strip([Segment(truncated(self._mark + line.text, self.size.width), style)])

    def _tone(self, tone: str) -> Style:
        return self.get_component_rich_style(f"lines--{tone}") if tone else self.rich_style

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Clicked(self))
