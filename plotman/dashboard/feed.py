"""Reads the notice board in a thread of its own, and posts what it sees.

The thread is a daemon and none of Textual's workers: whoever quits need not wait for a broker that hangs.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from textual.message import Message

from common.errors import PlotmanError
from common.model.snapshot import Event
from plotman.control.farm import FarmState

LOOK_S = 1.0  # a look at least so often: progress alone is no event
# Between two looks, where events follow each other: the first is shown at once, and the pause doubles while
# more come. A look and its drawing take 20 ms at 200x50 with 20 plots.
_PAUSE_S = 0.2
_PAUSE_MAX_S = 1.0
_RETRY_S = 2.0
LOG_KEPT = 500  # events


class Source(Protocol):
    """Where the farm is seen. Both raise BrokerError."""

    def look(self) -> FarmState: ...

    def events(self, after: str | None, wait_s: float) -> list[tuple[str, Event]]:
        """Those after that id, oldest first, waiting so long for the first; for None the last ones."""
        ...


@dataclass
class Seen(Message):
    """A look at the farm, and what happened since the last."""

    farm: FarmState
    events: list[tuple[str, Event]]


@dataclass
class Away(Message):
    """The broker does not answer; told again with each try."""

    error: str
    at: datetime


class Feed:
    """post: takes a message from any thread."""

    def __init__(self, source: Source, post: Callable[[Message], object]) -> None:
        self._source = source
        self._post = post
        self._stopping = threading.Event()
        self._looking = threading.Lock()  # held until it is posted: no older look comes after a newer one
        self._thread = threading.Thread(target=self._run, name="dashboard-feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends it soon; does not wait for it."""
        self._stopping.set()

    def look_now(self) -> None:
        """Look and post in the caller's thread, for what has just been done. Where the broker is away that
        is told by the feed's own next look."""
        with contextlib.suppress(PlotmanError):
            self._look([])

    def _look(self, events: list[tuple[str, Event]]) -> None:
        with self._looking:
            self._post(Seen(self._source.look(), events))

    def _run(self) -> None:
        after: str | None = None
        wait_s, pause_s = 0.0, _PAUSE_S
        while not self._stopping.is_set():
            try:
                events = self._source.events(after, wait_s)
                began = time.monotonic()
                self._look(events)
            except PlotmanError as error:  # also of a plotman.yaml that is wrong when it connects anew
                self._post(Away(str(error), datetime.now(UTC)))
                self._stopping.wait(_RETRY_S)
                continue
            after = events[-1][0] if events else after or "0"
            pause_s = min(_PAUSE_MAX_S, 2 * pause_s) if events else _PAUSE_S
            self._stopping.wait(pause_s)
            wait_s = max(0.05, LOOK_S - (time.monotonic() - began))
