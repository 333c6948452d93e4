"""The notifier process: it reads events and the state of the farm, and sends notifications.

Its state is in one file that is written before each action, so that after a restart nothing is sent twice and
nothing is lost. Notifiers coordinate by claims on the notice board.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from uuid import uuid4

from pydantic import AwareDatetime, Field

from common.config.sections.notifications import Notifications
from common.errors import BrokerError
from common.model.figures import Notice
from common.store import Board
from common.store.farm_clock import CLOCK
from common.system import statefile
from plotman.control.farm import read_farm
from plotman.notifications.conditions import Condition, conditions, nodes
from plotman.notifications.delivery import DeliveryPool
from plotman.notifications.edges import Tracked, announce, find_edges
from plotman.notifications.notification import Notification, of_event
from plotman.notifications.queue import TargetQueue

log = logging.getLogger(__name__)

_LISTEN_S = 1.0  # the longest time between two rounds, and between two looks at the queues
_GATHER_S = 0.2
_SAVE_S = 5.0  # pause between two saves of unimportant changes
_CHECK = timedelta(seconds=5)  # between two reads of the farm's state
_NODES_NOTED = timedelta(hours=1)
_HOST_FORGOTTEN = timedelta(days=30)
_HANDLED_KEPT = 2000
_BROKER = "broker-lost"


class NotifierState(Notice):
    """The state that survives restarts.

    notifier: this notifier's name in claims. heard: id of the last event. nodes: when each was last alive.
    outbox: notifications to be claimed. handled: ids that were claimed recently. boxes: queues by target.
    """

    notifier: str
    heard: str | None = None
    nodes: dict[str, AwareDatetime] = Field(default_factory=dict)
    tracked: dict[str, Tracked] = Field(default_factory=dict)
    broker: dict[str, Tracked] = Field(default_factory=dict)
    outbox: tuple[Notification, ...] = ()
    handled: tuple[str, ...] = ()
    boxes: dict[str, TargetQueue] = Field(default_factory=dict)


class Notifier:
    """The notifier of this machine. file: of its state. clock: returns now, aware."""

    def __init__(
        self,
        board: Board,
        settings: Notifications,
        file: Path,
        clock: Callable[[], datetime] = CLOCK.now,
    ) -> None:
        self._board = board
        self._notes = board.alarms()
        self._file = file
        self._idle_s = settings.idle_m * 60
        self._changed: SimpleQueue[Notifications] = SimpleQueue()
        self._clock = clock
        self._delivery = DeliveryPool(settings.targets)
        self._memory = statefile.read(file, NotifierState) or NotifierState(notifier=uuid4().hex)
        self._conditions_at: datetime | None = None
        self._redis_trouble: str | None = None  # when it was last asked
        self._saved_s = 0.0
        self._stream_checked = False  # whether the last event id is known to fit this Redis

    def apply(self, settings: Notifications) -> None:
        """Use these settings from now on. May be called in any thread."""
        self._changed.put(settings)

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set."""
        while not stop.is_set():
            self.turn()
            # Events within this time become one message. Without a broker, nothing else limits the rounds.
            stop.wait(_LISTEN_S if self._memory.broker.get(_BROKER) else _GATHER_S)

    def turn(self, listen_s: float = _LISTEN_S) -> None:
        """Run one round. listen_s: how long to wait for the first event, in seconds."""
        before = self._memory
        broker_error: str | None = None
        try:
            self._read_events(listen_s)
            self._take_settings()
            if self._conditions_at is None or self._clock() - self._conditions_at >= _CHECK:
                self._check_conditions()
            self._save(before)
            before = self._memory
            self._claim()
        except BrokerError as error:
            broker_error = str(error)
            self._stream_checked = False
        self._check_broker(broker_error or self._redis_trouble)
        self._change(boxes=self._delivery.send_due(self._memory.boxes, self._clock()))
        self._save(before)

    def _take_settings(self) -> None:
        while not self._changed.empty():
            settings = self._changed.get()
            self._idle_s = settings.idle_m * 60
            self._delivery.set_targets(settings.targets)

    def _read_events(self, listen_s: float) -> None:
        heard = self._memory.heard or ""
        if not self._stream_checked:
            last = self._board.last_event_id()
            heard = heard or self._notes.heard() or last
            if last != "0" and _order(last) < _order(heard):
                heard = last  # Redis was restored from an older state: its events were handled
            self._stream_checked = True
        events = self._board.events(heard, wait_s=0 if self._delivery.busy() else listen_s)
        if events:
            heard = events[-1][0]
        self._change(heard=heard)
        self._add(*(of_event(event) for _, event in events))

    def _check_conditions(self) -> None:
        now = self._clock()
        farm = read_farm(self._board)
        self._redis_trouble = farm.redis_trouble
        raised = self._notes.raised()
        alive = {name for name, lives in nodes(farm).items() if lives}
        known = {name: at for name, at in self._memory.nodes.items() if now - at < _HOST_FORGOTTEN}
        current = conditions(farm, set(known), self._idle_s)
        edges = find_edges(self._memory.tracked, current, alive, now, raised)
        tracked = dict(edges.tracked)
        for condition in edges.raised:
            occurrence = self._notes.raise_(condition.what, uuid4().hex)
            tracked[condition.what] = tracked[condition.what].model_copy(update={"occurrence": occurrence})
            self._add(announce(condition, occurrence, now))
        for what, occurrence, ended in edges.cleared:
            self._notes.settle(what)
            self._add(announce(ended, occurrence, now, over=True) if ended else None)
        self._restore_claims(tracked, raised)
        fresh = {name for name in alive if name not in known or now - known[name] > _NODES_NOTED}
        self._change(tracked=tracked, nodes=known | dict.fromkeys(fresh, now))
        if self._memory.heard is not None:
            self._notes.put_heard(self._memory.heard)
        self._conditions_at = now

    def _restore_claims(self, tracked: Mapping[str, Tracked], raised: Mapping[str, str]) -> None:
        """Restore claims after Redis lost its data, so that notifications are not sent twice."""
        for what, one in tracked.items():
            if one.occurrence is not None and what not in raised:
                self._notes.raise_(what, one.occurrence)
                self._notes.claim(one.occurrence, self._memory.notifier)

    def _check_broker(self, error: str | None) -> None:
        """Track Redis itself; each notifier notifies of it by itself."""
        now = self._clock()
        broker = Condition(
            what=_BROKER, wrong=error is not None, kind="broker-lost", host="farm",
            text=f"{error} Running plots continue; nothing new starts.", back="broker-back",
            back_text="Redis answers again, and takes writes",
            raise_after_s=60 if self._redis_trouble is None else 10,  # a restart takes less than a minute
        )  # fmt: skip
        edges = find_edges(self._memory.broker, [broker], frozenset(), now)
        tracked = dict(edges.tracked)
        found: list[Notification | None] = []
        for condition in edges.raised:
            occurrence = uuid4().hex
            tracked[_BROKER] = tracked[_BROKER].model_copy(update={"occurrence": occurrence})
            found.append(announce(condition, occurrence, now, shared=False))
        found += [announce(broker, one, now, over=True, shared=False) for _, one, _ in edges.cleared]
        self._change(broker=tracked)
        for one in filter(None, found):
            self._change(boxes=self._delivery.put(self._memory.boxes, one))

    def _claim(self) -> None:
        """Claim the notifications in the outbox; those that another notifier has claimed are dropped."""
        for one in self._memory.outbox:
            boxes = self._memory.boxes
            if self._notes.claim(one.id, self._memory.notifier):
                boxes = self._delivery.put(boxes, one)
            self._change(
                boxes=boxes,
                outbox=self._memory.outbox[1:],
                handled=(*self._memory.handled, one.id)[-_HANDLED_KEPT:],
            )

    def _add(self, *found: Notification | None) -> None:
        """Add to the outbox, each once; None: nothing."""
        known = {one.id for one in self._memory.outbox} | set(self._memory.handled)
        fresh = {one.id: one for one in found if one is not None and one.id not in known}
        if fresh:
            self._change(outbox=(*self._memory.outbox, *fresh.values()))

    def _change(self, **changes: object) -> None:
        self._memory = self._memory.model_copy(update=changes)

    def _save(self, before: NotifierState) -> None:
        """Write the state if it changed. If the file cannot be written, notifications are sent anyway."""
        if self._memory == before:
            return
        unimportant = self._memory.model_copy(update={"heard": before.heard}) == before
        if unimportant and time.monotonic() - self._saved_s < _SAVE_S:
            return  # an event without a notification may be read again after a crash
        self._saved_s = time.monotonic()
        try:
            statefile.write(self._file, self._memory)
        except OSError as error:
            log.error("%s cannot be written, notifications may be sent twice: %s", self._file, error)


def _order(event_id: str) -> tuple[int, int]:
    """Parse an event id, milliseconds and a number, so that ids can be compared."""
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number or 0)
