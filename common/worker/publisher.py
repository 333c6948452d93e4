"""Puts a host's snapshot on the notice board whenever something changed, and renews it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from common.errors import BrokerError
from common.model.snapshot import Event, Snapshot
from common.names import SNAPSHOT_RENEW, Role
from common.store import Board
from common.worker.duplicate_host import DuplicateHost

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_PROGRESS_S = 1.0
_PROGRESS_SHARE = 0.002  # of a core that showing progress may take: with 200 plots it is shown each 3-4 s
_EVENTS_KEPT = 1000  # while Redis is away; the oldest go first


class Publisher:
    """One thread per process; nobody else waits for Redis.

    build: makes the snapshot of this moment; called by one thread at a time.
    mark: of this plotman (common.worker.duplicate_host). Another one of our name is listed in the problems.
    min_interval_s: changes that follow each other faster than this share one snapshot.

    While Redis is away it goes on trying, keeps the events, and has the newest snapshot up within
    a second or two of Redis' return.
    """

    def __init__(
        self,
        board: Board,
        role: Role,
        build: Callable[[], Snapshot],
        mark: str,
        min_interval_s: float = 0.02,
    ) -> None:
        self._board = board
        self._role = role
        self._build = build
        self._mark = mark
        self._namesake = DuplicateHost(mark)
        self._told: str | None = None  # of the namesake
        self._min_interval_s = min_interval_s
        self._wake = threading.Event()
        self._decisive = False  # what woke is more than progress
        self._progressed = False
        self._progress_at = 0.0  # monotonic; not shown before
        self._renew_at = 0.0
        self._stopping = False
        self._events: list[Event] = []
        self._lock = threading.Lock()
        self._publishing = threading.Lock()
        self._away = False
        self._thread = threading.Thread(target=self._run, name=f"publish-{role}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Publish what is left, if that goes at once, and end."""
        self._stopping = True
        self.changed()
        self._thread.join(timeout=3)

    def changed(self) -> None:
        """Something that the snapshot shows has changed."""
        with self._lock:
            self._decisive = True
        self._wake.set()

    def progressed(self) -> None:
        """Something has changed on which nothing is decided, such as a plot's percent: it is shown within
        seconds, and beat reads it with the next renewal. Plotters write hundreds of lines in a second."""
        if not self._progressed:
            self._progressed = True
            self._wake.set()

    def tell(self, event: Event) -> None:
        """Put an event on the stream, after a snapshot that already shows what it tells of."""
        with self._lock:
            self._events.append(event)
            del self._events[:-_EVENTS_KEPT]
        self.changed()

    def publish_now(self) -> None:
        """Publish in the caller's thread, for what must stand on the board before the next step. While
        Redis is away nothing happens: it follows when it is back."""
        self._publish(decisive=True)

    def _run(self) -> None:
        while True:
            decisive = self._wait()
            last = self._stopping  # before, so that all that was told until then is published
            published = self._publish(decisive)
            if last:
                return
            time.sleep(self._min_interval_s if published else _RETRY_S)
            if not published:
                self.changed()

    def _wait(self) -> bool:
        """Until there is something to publish, or the snapshot to be renewed. Whether it is more than
        progress. Sleeps as long as nothing happens: an idle host does nothing."""
        while not (self._decisive or self._stopping) and (left_s := self._rest_s()) > 0:
            self._wake.wait(left_s)
            self._wake.clear()
        with self._lock:
            decisive = self._decisive or time.monotonic() >= self._renew_at
            self._decisive = self._progressed = False
        return decisive

    def _rest_s(self) -> float:
        """How long nothing has to be shown, if nothing decisive happens."""
        until = min(self._renew_at, self._progress_at) if self._progressed else self._renew_at
        return until - time.monotonic()

    def _publish(self, decisive: bool) -> bool:
        # Events are taken before the snapshot is built: whoever is woken by one finds a snapshot that
        # is at least as new.
        with self._lock:
            events = list(self._events)
        began_s = time.thread_time()
        try:
            with self._publishing:
                self._put(events, decisive)
        except BrokerError as error:
            if not self._away:
                log.warning("%s We go on, and publish when it is back.", error)
            self._away = True
            return False
        except Exception:
            # A host that falls silent for a bug in one of its figures would cost the farm more.
            log.exception("the snapshot could not be made; it is tried again")
            return False
        pause_s = max(_PROGRESS_S, (time.thread_time() - began_s) / _PROGRESS_SHARE)
        self._progress_at = time.monotonic() + pause_s
        if self._away:
            log.info("Redis is back: snapshot published")
        self._away = False
        return True

    def _put(self, events: list[Event], decisive: bool) -> None:
        if decisive:
            self._renew_at = time.monotonic() + SNAPSHOT_RENEW.total_seconds()
        snapshot = self._with_namesake(self._build())
        before = self._board.put_snapshot(self._role, snapshot, decisive, self._mark)
        self._namesake.saw(before, time.monotonic())
        for event in events:
            with self._lock:
                if not self._events or self._events[0] is not event:
                    continue  # told by another thread
            self._board.tell(event)
            with self._lock:
                if self._events and self._events[0] is event:  # else too many have come meanwhile
                    del self._events[0]

    def _with_namesake(self, snapshot: Snapshot) -> Snapshot:
        problem = self._namesake.problem(snapshot.host, time.monotonic())
        if problem is not None and problem != self._told:
            log.warning("%s", problem, extra={"action": "namesake"})
        self._told = problem
        if problem is None:
            return snapshot
        return snapshot.model_copy(update={"problems": (*snapshot.problems, problem)})
