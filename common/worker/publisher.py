"""Puts a host's snapshot on the notice board whenever something changed, and renews it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from common.errors import BrokerError
from common.model.snapshot import Event, Snapshot, later
from common.names import SNAPSHOT_RENEW, SUPERVISOR_VARIABLE, Role
from common.store import Board
from common.store.farm_clock import CLOCK
from common.store.server_checks import clock_finding
from common.worker import startup
from common.worker.duplicate_host import DuplicateHost

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_PROGRESS_S = 1.0
_PROGRESS_SHARE = 0.002  # of a core that showing progress may take: with 200 plots it is shown each 3-4 s
_EVENTS_KEPT = 1000  # while Redis is away; the oldest go first


class Publisher:
    """One thread per process, the only one that waits for Redis.

    While Redis is away it retries and keeps the events; the newest snapshot is up within a second or two of
    Redis' return.
    """

    def __init__(
        self,
        board: Board,
        role: Role,
        build: Callable[[], Snapshot],
        mark: str,
        min_interval_s: float = 0.02,
    ) -> None:
        """
        Args:
            build: Makes the snapshot of this moment; called by one thread at a time.
            mark: Identifies this plotman (common.worker.duplicate_host); a duplicate is listed in the
                problems.
            min_interval_s: Changes within this time share one snapshot.
        """
        self._board = board
        self._role = role
        self._build = build
        self._mark = mark
        self._duplicate = DuplicateHost(mark)
        self._warned: set[str] = set()  # actions of the present problems
        self._min_interval_s = min_interval_s
        self._wake = threading.Event()
        self._decisive = False  # the change is more than progress
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
        """Publish what is left, and that the worker is stopped, if Redis answers at once; and end. One whose
        supervisor has died was not stopped by an operator: it falls silent, as after a crash."""
        self._stopping = True
        self.changed()
        self._thread.join(timeout=3)

    def changed(self) -> None:
        """Publish soon: a fact in the snapshot has changed."""
        with self._lock:
            self._decisive = True
        self._wake.set()

    def progressed(self) -> None:
        """Publish within seconds: a fact has changed on which no decision depends, such as a plot's percent.
        Beat reads it with the next renewal. Plotters write hundreds of lines a second."""
        if not self._progressed:
            self._progressed = True
            self._wake.set()

    def tell(self, event: Event) -> None:
        """Put an event on the stream, after a snapshot that already shows its effect."""
        with self._lock:
            self._events.append(event)
            del self._events[:-_EVENTS_KEPT]
        self.changed()

    def publish_now(self) -> None:
        """Publish in the caller's thread, before this returns. While Redis is away this has no effect; the
        snapshot follows later."""
        self._publish(decisive=True)

    def _run(self) -> None:
        while True:
            decisive = self._wait()
            last = self._stopping  # read before publishing, so that nothing is lost
            published = self._publish(decisive)
            if last:
                return
            time.sleep(self._min_interval_s if published else _RETRY_S)
            if not published:
                self.changed()

    def _wait(self) -> bool:
        """Sleep until a change or the next renewal. Returns whether there is more than progress to
        publish."""
        while not (self._decisive or self._stopping) and (left_s := self._rest_s()) > 0:
            self._wake.wait(left_s)
            self._wake.clear()
        with self._lock:
            decisive = self._decisive or time.monotonic() >= self._renew_at
            self._decisive = self._progressed = False
        return decisive

    def _rest_s(self) -> float:
        """Seconds until the next publication, unless a decisive change comes first."""
        until = min(self._renew_at, self._progress_at) if self._progressed else self._renew_at
        return until - time.monotonic()

    def _publish(self, decisive: bool) -> bool:
        # Events are taken before the snapshot is built: a reader that an event wakes finds a snapshot at
        # least as new.
        with self._lock:
            events = list(self._events)
        began_s = time.thread_time()
        try:
            with self._publishing:
                self._put(events, decisive)
        except BrokerError as error:
            if not self._away:
                log.warning("%s Work continues; the snapshot is published when Redis is back.", error)
            self._away = True
            return False
        except Exception:
            # A host without snapshots would cost the farm more than one bug.
            log.exception("the snapshot could not be made; another try follows")
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
        if CLOCK.due:
            self._board.measure_clock()
        snapshot = self._in_farm_time(self._build())
        before = self._board.put_snapshot(self._role, snapshot, decisive, self._mark)
        self._duplicate.saw(before, time.monotonic())
        for event in events:
            with self._lock:
                if not self._events or self._events[0] is not event:
                    continue  # published by another thread
            self._board.tell(later(event, CLOCK.correction))
            with self._lock:
                if self._events and self._events[0] is event:  # else dropped: too many
                    del self._events[0]

    def _in_farm_time(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot by Redis' clock, with the problems that only the publisher knows."""
        skew_s, correction = CLOCK.skew_s, CLOCK.correction
        found = (
            self._noted("namesake", self._duplicate.problem(snapshot.host, time.monotonic())),
            self._noted("clock", str(wrong) if (wrong := clock_finding(skew_s)) else None),
        )
        return (later(snapshot, correction) if correction else snapshot).model_copy(
            update={
                "clock_skew_s": skew_s if skew_s is None else round(skew_s, 1),
                "full_folders": startup.full_folders(),
                "messages_tls": self._board.is_by_tls,
                "stopped": self._stopping and not _is_orphan(),
                "problems": (*snapshot.problems, *filter(None, found)),
            }
        )

    def _noted(self, action: str, problem: str | None) -> str | None:
        """Log a problem when it begins; returns it."""
        if problem is not None and action not in self._warned:
            log.warning("%s", problem, extra={"action": action})
        (self._warned.discard if problem is None else self._warned.add)(action)
        return problem


def _is_orphan() -> bool:
    """Whether the supervisor of this process has died. The kernel then stops the process by SIGTERM, as the
    supervisor itself does in order (plotman.supervisor.exec_with_pdeathsig)."""
    supervisor = os.environ.get(SUPERVISOR_VARIABLE)
    return supervisor is not None and supervisor != str(os.getppid())
