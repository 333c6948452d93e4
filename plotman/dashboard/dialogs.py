"""Dialogs above the tables: a confirmation, a line of input, a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from common.model.text import one_line

T = TypeVar("T")

_CSS = """
Dialog { align: center middle; }
Dialog > Vertical {
    width: 90%; max-width: 110; height: auto; max-height: 95%; background: $surface; padding: 0 1;
    border: round $primary;
}
Dialog VerticalScroll { height: auto; max-height: 100%; }
Dialog Horizontal { height: auto; margin-top: 1; }
Dialog Button { margin-right: 2; min-width: 10; }
Dialog.-low Horizontal { margin-top: 0; }
Dialog.-low > Vertical { width: 100%; max-height: 100%; border: none; }
"""


class Dialog(ModalScreen[T]):
    """Base of the dialogs: as large as its content, at most as large as the terminal."""

    DEFAULT_CSS = _CSS
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "app.quit", "Quit", show=False)]

    def on_resize(self) -> None:
        low = self.size.height < 16
        self.set_class(low, "-low")
        # Textual cannot give the rest of the height to the text of a dialog whose height is automatic.
        for scroll in self.query(VerticalScroll):
            scroll.styles.max_height = max(1, self.size.height - (2 if low else 7))

    def close(self, result: T | None = None) -> None:
        """Dismiss this dialog. No-op if it is closed already: a key may have been typed twice."""
        if self.is_active:
            self.dismiss(result)


class ConfirmDialog(Dialog[bool]):
    """Yes or no; No has the focus. times: how often Yes must be answered."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "confirm", "Yes"),
        Binding("n,escape", "refuse", "No"),
    ]

    def __init__(self, what: str, lines: Iterable[str], times: int = 1) -> None:
        super().__init__()
        self._what = one_line(what[:1].upper() + what[1:])
        self._lines = [one_line(line) for line in lines]
        self._times = times

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(f"{self._what}?", markup=False, id="what")
            with VerticalScroll():
                yield Static("\n".join(self._lines), markup=False)
            with Horizontal():
                yield Button("No (n)", id="no", compact=True)
                yield Button("Yes (y)", id="yes", variant="error", compact=True)

    def on_mount(self) -> None:
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self.action_confirm()
        else:
            self.action_refuse()

    def action_confirm(self) -> None:
        self._times -= 1
        if self._times <= 0:
            self.close(True)
            return
        self.query_one("#what", Label).update(f"{self._what}: really? This cannot be undone.")
        button = self.query_one("#yes", Button)
        button.label = "Yes, really (y)"
        button.refresh(layout=True)  # Textual (8.2.8) keeps the width of the former label

    def action_refuse(self) -> None:
        self.close(False)


class InputDialog(Dialog[str | None]):
    """A line of input; None if it is cancelled or empty."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(self, what: str, hint: str) -> None:
        super().__init__()
        self._what = one_line(what)
        self._hint = hint

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(self._what, markup=False)
            yield Input(placeholder=self._hint, compact=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.close(event.value.strip() or None)

    def action_cancel(self) -> None:
        self.close()


class TextDialog(Dialog[None]):
    """A text that can be scrolled."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,question_mark", "close", "Close"),
        Binding("up", "scroll(-1)", "Up", show=False),
        Binding("down", "scroll(1)", "Down", show=False),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = one_line(title)
        self._text = "\n".join(map(one_line, text.splitlines()))

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(f"{self._title}  (Esc closes)", markup=False)
            with VerticalScroll():
                yield Static(self._text, markup=False)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_close(self) -> None:
        self.close()

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)
