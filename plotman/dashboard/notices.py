"""Notices: short texts at the bottom that vanish. An order has one, which its result replaces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from textual.app import App
from textual.notifications import SeverityLevel

from common.model.text import one_line
from plotman.dashboard.layout import ScreenSize, size_of

_SHOWN_S = 8.0
_SHOWN_SMALL_S = 4.0  # on a screen without room beside the tables
_LINES = 3  # of one notice: an order may have a result for each machine
_LONGEST = 300  # characters of a line


@dataclass(frozen=True, eq=False)
class ShownNotice:
    """until_s: of time.monotonic()."""

    text: str
    severity: SeverityLevel
    until_s: float


class Notices:
    """Shows the newest two; one on the smallest screens."""

    def __init__(self, app: App[None]) -> None:
        self._app = app
        self._shown: list[ShownNotice] = []

    def show(
        self,
        lines: Iterable[str],
        severity: SeverityLevel = "information",
        instead_of: ShownNotice | None = None,
    ) -> ShownNotice:
        """Show `lines` in place of the notice `instead_of`; returns the new one."""
        now_s, size = time.monotonic(), size_of(*self._app.size)
        brief = size < ScreenSize.STACK and severity == "information"
        notice = ShownNotice(_text(lines), severity, now_s + (_SHOWN_SMALL_S if brief else _SHOWN_S))
        shown = [one for one in self._shown if one is not instead_of]
        self._draw([*shown, notice][-1 if size == ScreenSize.LIST else -2 :], now_s)
        return notice

    def end(self, notice: ShownNotice, then: Callable[[], object]) -> None:
        """Remove a notice, then call `then`: a dialog that opens before would keep the notice in view."""
        self._draw([one for one in self._shown if one is not notice], time.monotonic())
        # Twice: the first message makes Textual send another, which hides the notice.
        self._app.call_later(self._app.call_later, self._app.screen.call_after_refresh, then)

    def _draw(self, shown: list[ShownNotice], now_s: float) -> None:
        self._shown = [one for one in shown if one.until_s > now_s]
        # Textual can only clear all. Later: as the messages of `notify`, which would be shown after it.
        self._app.call_later(self._app.clear_notifications)
        for one in self._shown:
            timeout_s = one.until_s - now_s
            self._app.notify(one.text, severity=one.severity, timeout=timeout_s, markup=False)


def _text(lines: Iterable[str]) -> str:
    shown = [one_line(line, _LONGEST) for line in lines]
    more = len(shown) - _LINES
    return "\n".join([*shown[:_LINES], f"and {more} more"] if more > 0 else shown)
