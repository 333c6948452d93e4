"""Reads the board in a thread of its own, and posts events and the farm as messages.

An event is posted as soon as it is read. The farm takes longer, and is read and posted at a pace of its own.

The thread is a daemon, not a worker of Textual: quitting does not wait for a broker that hangs.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from textual.message import Message

from common.errors import PlotmanError
from common.model.snapshot import Event
from common.model.text import one_line
from common.names import Role
from common.store import Board
from common.store.farm_clock import CLOCK
from plotman.control.farm import FarmState, read_farm

log = logging.getLogger(__name__)

READ_S = 1.0  # longest time between two reads: progress of a plot is no event
# Between two reads of the farm while events follow each other: after the first it is read at once, and the
# pause doubles while more come.
_PAUSE_S = 0.2
_PAUSE_MAX_S = 1.5
_READ_SHARE = 0.02  # of a core that reading may take: 500 plots on 50 hosts take 20 to 30 ms
LONGEST_PAUSE_S = 5.0  # however large the farm is, what is shown is hardly older
_GAP_S = 0.1  # between two reads of events
_RETRY_S = 2.0
_ERROR_MAX = 300  # characters
LOG_KEPT = 500  # events


class Source(Protocol):
    """Reads the farm. Both methods raise BrokerError."""

    def read(self) -> FarmState: ...

    def events(self, after: str | None, wait_s: float) -> list[tuple[str, Event]]:
        """Events after this id, the oldest first; None: the newest ones. Waits up to wait_s for one."""
        ...


class BoardSource:
    """connect: called before the first use and after each failure: the broker's address may have changed."""

    def __init__(self, connect: Callable[[], Board]) -> None:
        self._connect = connect
        self._board: Board | None = None
        self._known: dict[tuple[Role, str], tuple[str, Any]] = {}

    def read(self) -> FarmState:
        with self._connected() as board:
            return read_farm(board, self._known)

    def events(self, after: str | None, wait_s: float) -> list[tuple[str, Event]]:
        with self._connected() as board:
            return board.newest_events(LOG_KEPT) if after is None else board.events(after, wait_s)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Board]:
        board = self._board = self._board or self._connect()
        try:
            yield board
        except Exception:
            self._board = None
            board.close()
            raise


@dataclass
class EventsRead(Message):
    """What happened since the events before, the oldest first."""

    events: list[tuple[str, Event]]


@dataclass
class FarmRead(Message):
    """The farm. asked: an operator waits for it."""

    farm: FarmState
    asked: bool = False


class ReadPace:
    """When the farm is read next. Times are monotonic, in seconds."""

    def __init__(self) -> None:
        self._pause_s = _PAUSE_S
        self._earliest, self._due = 0.0, 0.0
        self._happened = False

    @property
    def left_s(self) -> float:
        """Seconds until it is due; 0 if it is."""
        return max(0.0, self._due - time.monotonic())

    def happened(self) -> None:
        """An event came: the next read is due as soon as the pause after the last one permits."""
        self._happened, self._due = True, self._earliest

    def was_read(self, spent_s: float) -> None:
        """spent_s: seconds of processor time that reading took."""
        self._pause_s = min(_PAUSE_MAX_S, 2 * self._pause_s) if self._happened else _PAUSE_S
        self._happened = False
        now = time.monotonic()
        self._earliest = now + max(self._pause_s, min(spent_s / _READ_SHARE, LONGEST_PAUSE_S))
        self._due = max(self._earliest, now + READ_S)


@dataclass
class BrokerLost(Message):
    """The farm cannot be read, mostly since the broker does not answer. Posted after each attempt."""

    error: str
    at: datetime


class Feed:
    """post: posts a message, from any thread."""

    def __init__(self, source: Source, post: Callable[[Message], object]) -> None:
        self._source = source
        self._post = post
        self._stopping = threading.Event()
        self._reading = threading.Lock()  # held until it is posted: no older state comes after a newer one
        self._thread = threading.Thread(target=self._run, name="dashboard-feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Make the thread end; do not wait for it."""
        self._stopping.set()

    def read_now(self) -> None:
        """Read and post in the caller's thread. The feed's own thread reports errors."""
        with contextlib.suppress(Exception):
            self._read(asked=True)

    def _read(self, asked: bool = False) -> None:
        with self._reading:
            self._post(FarmRead(self._source.read(), asked))

    def _lost(self, error: str) -> None:
        self._post(BrokerLost(error, CLOCK.now()))
        self._stopping.wait(_RETRY_S)

    def _run(self) -> None:
        after: str | None = None
        pace, logged = ReadPace(), ""
        while not self._stopping.is_set():
            try:
                # Not 0: as long as nothing happens, this is where the thread waits.
                events = self._source.events(after, max(0.05, pace.left_s))
                after = events[-1][0] if events else after or "0"
                if events:
                    self._post(EventsRead(events))
                    pace.happened()
                if not pace.left_s:
                    began_s = time.thread_time()
                    self._read()
                    pace.was_read(time.thread_time() - began_s)
            except PlotmanError as error:  # also: plotman.yaml is wrong when it connects again
                self._lost(str(error))
                continue
            except Exception as error:
                # Without this thread the dashboard would show an old farm as the present one.
                text = one_line(f"The farm cannot be read: {type(error).__name__}: {error}", _ERROR_MAX)
                if text != logged:
                    log.exception("%s", text)
                logged = text
                self._lost(text)
                continue
            if events:
                self._stopping.wait(_GAP_S)


def same_snapshots(one: FarmState, other: FarmState | None) -> bool:
    """Whether no snapshot changed on the board between two reads."""
    if other is None or one.stale != other.stale or one.waits != other.waits:
        return False
    return all(
        len(new) == len(old) and all(old.get(host) is snapshot for host, snapshot in new.items())
        for new, old in zip(one.snapshots.values(), other.snapshots.values(), strict=True)
    )
