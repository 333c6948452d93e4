"""A line of names of which one is chosen: machines, panes. With Textual's Tabs it would take three."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget


class Choice(NamedTuple):
    """label: as shown. alarm: whether it should be looked at; shown with a `!`."""

    key: str
    label: str
    alarm: bool = False

    @property
    def text(self) -> str:
        return f" {'!' if self.alarm else ''}{self.label} "


class Choices(Widget, can_focus=False):
    """Shows as many as there is room for, the chosen one always among them."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"choices--chosen", "choices--alarm"}
    DEFAULT_CSS = """
    Choices { height: 1; background: $panel; color: $text-muted; }
    Choices > .choices--chosen { background: $primary; color: $text; text-style: bold; }
    Choices > .choices--alarm { color: $text-error; text-style: bold; }
    """

    class Picked(Message):
        """A name was clicked."""

        def __init__(self, choices: Choices, key: str) -> None:
            self.choices = choices
            self.key = key
            super().__init__()

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._choices: tuple[Choice, ...] = ()
        self._chosen = ""

    def show(self, choices: tuple[Choice, ...], chosen: str) -> None:
        if (choices, chosen) != (self._choices, self._chosen):
            self._choices, self._chosen = choices, chosen
            self.refresh()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002  there is one
        plain, width = self.rich_style, self.size.width
        segments = []
        for choice, chosen, text in self._in_sight():
            alarm = self.get_component_rich_style("choices--alarm") if choice.alarm else plain
            style = self.get_component_rich_style("choices--chosen") if chosen else alarm
            segments.append(Segment(f"[{text[1:-1]}]" if chosen else text, style))
        return Strip(segments).adjust_cell_length(width, plain)

    def _in_sight(self) -> list[tuple[Choice, bool, str]]:
        """From the first that leaves room for the chosen one."""
        chosen = next((at for at, one in enumerate(self._choices) if one.key == self._chosen), 0)
        first = 0
        while first < chosen and self._length(first, chosen) > self.size.width:
            first += 1
        return [(one, first + at == chosen, one.text) for at, one in enumerate(self._choices[first:])]

    def _length(self, first: int, last: int) -> int:
        return sum(cell_len(one.text) for one in self._choices[first : last + 1])

    def on_click(self, event: events.Click) -> None:
        start = 0
        for choice, _, text in self._in_sight():
            start += cell_len(text)
            if event.x < start:
                self.post_message(self.Picked(self, choice.key))
                return
