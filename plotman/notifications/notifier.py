"""The process that tells people: hears events, looks at the farm, and posts what is new.

All it knows stands in one file, written before anything follows from it: after a restart nothing is told
again and nothing is left out. What other notifiers must know stands on the notice board.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from uuid import uuid4

from pydantic import AwareDatetime, Field

from common.config.notifications import Notifications
from common.errors import BrokerError
from common.model.snapshot import Notice
from common.store import Board
from common.system import statefile
from plotman.control.farm import look
from plotman.notifications.conditions import Condition, conditions, nodes
from plotman.notifications.delivery import DeliveryPool
from plotman.notifications.edges import Tracked, begun, follow, over
from plotman.notifications.notification import Notification, of_event
from plotman.notifications.queue import TargetQueue

log = logging.getLogger(__name__)

_LISTEN_S = 1.0  # a turn; mailboxes are looked at so often
_GATHER_S = 0.2
_SAVE_S = 5.0  # what is of no consequence is written so often
_LOOK = timedelta(seconds=5)
_NODES_NOTED = timedelta(hours=1)
_HOST_FORGOTTEN = timedelta(days=30)
_HANDLED_KEPT = 2000
_BROKER = "broker-lost"


class NotifierState(Notice):
    """notifier: our name for claims. heard: id of the last event. nodes: when each was last alive.
    outbox: yet to be claimed. handled: ids that were, lately."""

    notifier: str
    heard: str | None = None
    nodes: dict[str, AwareDatetime] = Field(default_factory=dict)
    tracked: dict[str, Tracked] = Field(default_factory=dict)
    broker: dict[str, Tracked] = Field(default_factory=dict)
    outbox: tuple[Notification, ...] = ()
    handled: tuple[str, ...] = ()
    boxes: dict[str, TargetQueue] = Field(default_factory=dict)


class Notifier:
    """file: where it remembers. clock: gives now, aware."""

    def __init__(
        self,
        board: Board,
        settings: Notifications,
        file: Path,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._board = board
        self._notes = board.alarms()
        self._file = file
        self._idle_s = settings.idle_m * 60
        self._changed: SimpleQueue[Notifications] = SimpleQueue()
        self._clock = clock
        self._posts = DeliveryPool(settings.targets)
        self._memory = statefile.read(file, NotifierState) or NotifierState(notifier=uuid4().hex)
        self._looked_at: datetime | None = None
        self._saved_s = 0.0
        self._checked = False  # whether the place in the stream is known to fit this Redis

    def follow(self, settings: Notifications) -> None:
        """Go by these for all that is told from now on. May be called in any thread."""
        self._changed.put(settings)

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set."""
        while not stop.is_set():
            self.turn()
            # What happens in one breath is one message; and without a broker nothing else makes us wait.
            stop.wait(_LISTEN_S if self._memory.broker.get(_BROKER) else _GATHER_S)

    def turn(self, listen_s: float = _LISTEN_S) -> None:
        """Hear, look, claim, post; each once. listen_s: how long to wait for the first event."""
        before = self._memory
        away = None
        try:
            self._hear(listen_s)
            self._take_settings()
            if self._looked_at is None or self._clock() - self._looked_at >= _LOOK:
                self._look()
            self._save(before)
            before = self._memory
            self._claim()
        except BrokerError as error:
            away = error
            self._checked = False
        self._broker(away)
        self._post()
        self._save(before)

    def _take_settings(self) -> None:
        while not self._changed.empty():
            settings = self._changed.get()
            self._idle_s = settings.idle_m * 60
            self._posts.follow(settings.targets)

    def _hear(self, listen_s: float) -> None:
        heard = self._memory.heard or ""
        if not self._checked:
            last = self._board.last_event_id()
            heard = heard or self._notes.heard() or last
            if last != "0" and _order(last) < _order(heard):
                heard = last  # an older Redis than we knew: what stands there was told
            self._checked = True
        events = self._board.events(heard, wait_s=0 if self._posts.busy() else listen_s)
        if events:
            heard = events[-1][0]
        self._change(heard=heard)
        self._add(*(told for _, event in events if (told := of_event(event)) is not None))

    def _look(self) -> None:
        now = self._clock()
        farm = look(self._board)
        raised = self._notes.raised()
        alive = {name for name, lives in nodes(farm).items() if lives}
        known = {name: at for name, at in self._memory.nodes.items() if now - at < _HOST_FORGOTTEN}
        edges = follow(self._memory.tracked, conditions(farm, set(known), self._idle_s), alive, now, raised)
        tracked = dict(edges.tracked)
        for condition in edges.raised:
            occurrence = self._notes.raise_(condition.what, uuid4().hex)
            tracked[condition.what] = tracked[condition.what].model_copy(update={"occurrence": occurrence})
            self._add(begun(condition, occurrence, now))
        for what, occurrence, over_now in edges.cleared:
            self._notes.settle(what)
            told = over(over_now, occurrence, now) if over_now else None
            self._add(*([told] if told else []))
        self._put_up_again(tracked, raised)
        fresh = {name for name in alive if name not in known or now - known[name] > _NODES_NOTED}
        self._change(tracked=tracked, nodes=known | dict.fromkeys(fresh, now))
        if self._memory.heard is not None:
            self._notes.put_heard(self._memory.heard)
        self._looked_at = now

    def _put_up_again(self, tracked: Mapping[str, Tracked], raised: Mapping[str, str]) -> None:
        """A Redis that lost its data must not let others tell again what is told."""
        for what, one in tracked.items():
            if one.occurrence is not None and what not in raised:
                self._notes.raise_(what, one.occurrence)
                self._notes.claim(one.occurrence, self._memory.notifier)

    def _broker(self, away: BrokerError | None) -> None:
        """Redis itself; each notifier tells by itself what it sees of it."""
        now = self._clock()
        broker = Condition(
            what=_BROKER,
            wrong=away is not None,
            kind="broker-lost",
            host="farm",
            text=f"{away} Plots that run go on; nothing new starts.",
            back="broker-back",
            back_text="Redis answers again",
            raise_after_s=60,
        )
        edges = follow(self._memory.broker, [broker], frozenset(), now)
        tracked = dict(edges.tracked)
        told: list[Notification | None] = []
        for condition in edges.raised:
            occurrence = uuid4().hex
            tracked[_BROKER] = tracked[_BROKER].model_copy(update={"occurrence": occurrence})
            told.append(begun(condition, occurrence, now, shared=False))
        told += [over(broker, occurrence, now, shared=False) for _, occurrence, _ in edges.cleared]
        self._change(broker=tracked)
        for one in filter(None, told):
            self._change(boxes=self._posts.put(self._memory.boxes, one))

    def _claim(self) -> None:
        """What is ours to tell goes to the targets; what another notifier tells is done."""
        for one in self._memory.outbox:
            boxes = self._memory.boxes
            if self._notes.claim(one.id, self._memory.notifier):
                boxes = self._posts.put(boxes, one)
            self._change(
                boxes=boxes,
                outbox=self._memory.outbox[1:],
                handled=(*self._memory.handled, one.id)[-_HANDLED_KEPT:],
            )

    def _post(self) -> None:
        self._change(boxes=self._posts.turn(self._memory.boxes, self._clock()))

    def _add(self, *found: Notification) -> None:
        """To the outbox, each once."""
        known = {one.id for one in self._memory.outbox} | set(self._memory.handled)
        fresh = {one.id: one for one in found if one.id not in known}
        if fresh:
            self._change(outbox=(*self._memory.outbox, *fresh.values()))

    def _change(self, **changes: object) -> None:
        self._memory = self._memory.model_copy(update=changes)

    def _save(self, before: NotifierState) -> None:
        """Where the file cannot be written, people are told all the same."""
        if self._memory == before:
            return
        trifle = self._memory.model_copy(update={"heard": before.heard}) == before
        if trifle and time.monotonic() - self._saved_s < _SAVE_S:
            return  # an event of no interest; heard again after a crash, it is of none either
        self._saved_s = time.monotonic()
        try:
            statefile.write(self._file, self._memory)
        except OSError as error:
            log.error("%s cannot be written, what was told may be told again: %s", self._file, error)


def _order(event_id: str) -> tuple[int, int]:
    """Ids of a stream are milliseconds and a number."""
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number or 0)
