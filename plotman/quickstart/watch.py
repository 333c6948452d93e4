"""The picture of the quick start's farm: its events as lines, and below them `plotman status`."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from common.errors import BrokerError, PlotmanError
from common.model.text import on_terminal
from common.store import Board
from plotman.cli.watch import status_text
from plotman.control.farm import FarmState, read_farm
from plotman.control.queries.event_text import event_text
from plotman.control.queries.scheduler_status import waits
from plotman.quickstart.up import UpProcess

_LOOK_S = 0.5
_STALL_S = 900.0  # without any change


class Watch:
    """since: aware time; events from then on are shown."""

    def __init__(self, board: Board, up: UpProcess, console: Console, since: datetime) -> None:
        self._board, self._up, self._console = board, up, console
        # Event ids are times: this one leaves out the events of earlier runs.
        self._after = f"{int(since.timestamp() * 1000)}-0"
        self._known: dict[Any, Any] = {}
        self._state: object = None
        self._changed_s = time.monotonic()

    def until(self, step: Callable[[FarmState], str | None]) -> None:
        """Look at the farm about twice a second, and show it.

        Args:
            step: called with what is seen; returns the picture's first line, or None to end.

        Raises:
            PlotmanError: `plotman up` ended, or nothing has changed for `_STALL_S`.
        """
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                self._up.must_run()
                try:
                    for event_id, event in self._board.events(self._after, wait_s=_LOOK_S):
                        self._after = event_id
                        if event.kind != "plot-phase":
                            print_lines(
                                self._console, f"{event.at.astimezone():%H:%M:%S} {event_text(event)}"
                            )
                    farm = read_farm(self._board, self._known)
                except BrokerError:  # `plotman up` restarts the broker
                    time.sleep(_LOOK_S)
                    continue
                head = step(farm)
                if head is None:
                    return
                if self._console.is_terminal:
                    live.update(self._picture(head, farm), refresh=True)
                self._must_change(farm, head)

    def _must_change(self, farm: FarmState, head: str) -> None:
        state = (farm.jobs(), [archiver.transfers for archiver in farm.archivers.values()], head)
        if state != self._state:
            self._state, self._changed_s = state, time.monotonic()
        elif time.monotonic() - self._changed_s > _STALL_S:
            reasons = "; ".join(dict.fromkeys(wait.reason for wait in waits(farm)))
            raise PlotmanError(
                f"Nothing has changed for {_STALL_S:.0f} s: {reasons or 'no reason is known'}.",
                f"See {self._up.log}.",
            )

    def _picture(self, head: str, farm: FarmState) -> Group:
        return Group(
            Text(head, style="bold"), Text.from_ansi(on_terminal(status_text(farm, self._console.width)))
        )


def print_lines(console: Console, *lines: str) -> None:
    """Print lines that may hold colours, as they are, at any width."""
    for line in lines:
        console.print(Text.from_ansi(on_terminal(line)), soft_wrap=True)
