"""plotman's scheduler for Celery beat: it sleeps until an event, decides, sends orders, publishes the waits.

One beat of a farm decides: the one that holds the lease. Others stand by. A round decides from the notice
board alone: a cache between rounds only saves work, and a beat may be killed and replaced at any moment.
Entries of Celery's own `beat_schedule` keep working.
"""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import uuid4

from celery.beat import Scheduler
from kombu.exceptions import OperationalError

from beat.dispatch import send_admission, send_move, send_start
from beat.policy.decide import decide
from beat.policy.decision import Decision
from beat.policy.memory import Memory
from beat.policy.moves.admission_dispatch import passed_on
from beat.policy.starts.farm_rules import FarmLimits
from common.config import Config
from common.config.broker_url import broker_url
from common.config.watch import ConfigWatch, NoSink, load_to_run
from common.errors import BrokerError
from common.model.snapshot import Event, Wait, Waits
from common.model.text import one_line
from common.names import LEASE, Keys
from common.store import Board
from common.store.connection import is_refusal
from common.store.farm_clock import CLOCK
from common.store.server_checks import clock_finding
from common.worker.startup import check_beat

log = logging.getLogger(__name__)

_ROUND_S = 5.0  # the longest time between two rounds: free space changes without an event
_REDIS_PAUSE_S = 1.0
# Events within this time (a plot's end and its log's last lines) are decided on together.
_GATHER_S = 0.005
# New objects after which Python collects garbage in a round; snapshots have no cycles. With its default of
# 700, or with 10,000, half of a round over a thousand hosts would be garbage collection.
_COLLECT_WITHIN_ROUND = 5_000_000
# After a round, once its orders are sent: new objects of at least this number, and all objects this often.
_COLLECT_AFTER = 10_000
_COLLECT_ALL_S = 600.0
_WARN_S = 60.0  # between two warnings about the same
_COUNTS_PAUSE_S = 10.0  # between two looks at the counters of events, which only `plotman metrics` reads
# Lines about the waits of one host in _WARN_S, and characters of a reason in a log.
_WAIT_LINES, _REASON_MAX = 5, 300
_WAITS_PAUSE_S = 1.0  # numbers in reasons change all the time; not each change is published


class FarmScheduler(Scheduler):
    """The scheduler class that Celery beat runs."""

    max_interval = _ROUND_S

    def __init__(self, app: Any, **options: Any) -> None:
        # Beat reads no results; with a result backend, each message it sends would leave a subscription.
        app.conf.update(result_backend="disabled", result_failure_expires=None)
        settings = load_to_run()
        check_beat(app, settings)
        url = broker_url(settings)
        self._board = Board.connect(url, kept=True)
        self._reader = self._board.reader()
        self._host = settings.host
        self._token = f"{self._host}:{os.getpid()}:{uuid4().hex[:6]}"
        self._lease = self._board.lease(self._token)
        self._apply(settings)
        self._watch = ConfigWatch(settings, None, self._apply, NoSink())
        self._leads = False
        self._mine_until_s = float("-inf")  # monotonic: when the lease expires that it took last
        self._last_event: str | None = None
        self._redis_lost = False
        self._memory = Memory()
        self._failed_at = self._counts_healed_at = float("-inf")
        self._collected_all_at = time.monotonic()
        self._warned_at: dict[str, float] = {}
        self._logged: dict[str, dict[str | None, str]] = {}  # by host and subject: the rule last logged
        self._wait_lines: dict[str, tuple[float, int]] = {}  # by host: since when (monotonic), how many
        self._published: dict[str, tuple[Wait, ...]] = {}  # by host: the waits on the board
        self._published_at = float("-inf")
        super().__init__(app, **options)

    def setup_schedule(self) -> None:
        """Start watching plotman.yaml. Celery calls this for the scheduler that runs, not for its banner."""
        gc.set_threshold(_COLLECT_WITHIN_ROUND)
        self._watch.start()
        super().setup_schedule()

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Run one round and the sleep after it. Returns 0: Celery's Service need not sleep any more."""
        try:
            self._round(*args, **kwargs)
            if self._redis_lost:
                log.info("Redis is back")
            self._redis_lost = False
        except (BrokerError, OperationalError) as error:
            if not self._redis_lost:
                log.error("%s Nothing is decided until it is back.", error)
            self._redis_lost, self._leads, self._last_event = True, False, None
            time.sleep(_REDIS_PAUSE_S)
        except Exception:
            # A beat that ends would find the same board again.
            if self._failed_at + _WARN_S <= time.monotonic():
                self._failed_at = time.monotonic()
                log.exception("this round failed; another follows")
            time.sleep(_REDIS_PAUSE_S)
        return 0

    def _apply(self, settings: Config) -> None:
        """Decide by these settings from now on."""
        self._limits = FarmLimits.of(settings.farm.max_jobs, settings.farm.stagger_m)

    def close(self) -> None:
        self._watch.stop()
        try:
            self._lease.drop()
            if self._leads:  # after the drop: the event wakes a beat that stands by, and the lease is free
                text = f"the beat of {self._host} has stopped deciding"
                self._board.tell(Event(kind="beat-stopped", host=self._host, at=CLOCK.now(), text=text))
            self._leads = False
        except BrokerError as error:
            log.debug("the lease is not released, and expires: %s", error)
        super().close()

    def _round(self, *args: Any, **kwargs: Any) -> None:
        rest_s = LEASE.total_seconds() / 3
        if CLOCK.due:
            self._board.measure_clock()
        leads = self._take_lease()
        if leads and (healed := self._board.heal_events(thorough=self._last_event is None)):
            self._last_event = None
            self._warn(healed, "%s: %s", Keys.EVENTS, healed)
        if leads and self._counts_healed_at + _COUNTS_PAUSE_S <= time.monotonic():
            self._counts_healed_at = time.monotonic()
            self._board.heal_shared()
        if self._last_event is None:
            self._last_event = self._board.last_event_id()
        if leads:
            decision = self._decide(CLOCK.now())
            self._send(decision)
            self._publish_waits(decision)
            rest_s = min(
                rest_s, self._until_due_s(decision), float(super().tick(*args, **kwargs) or _ROUND_S)
            )
        self._collect_garbage()
        self._sleep(rest_s)

    def _take_lease(self) -> bool:
        began_s = time.monotonic()
        leads = self._lease.take()
        # Redis may have been away for a moment; then no other beat could take the lease.
        was_mine = began_s < self._mine_until_s
        self._mine_until_s = began_s + LEASE.total_seconds() if leads else float("-inf")
        if leads != self._leads:
            level = logging.DEBUG if self._redis_lost else logging.WARNING  # it may refuse only some writes
            log.log(level, "%s %s", self._token, "decides" if leads else "stands by: another beat decides")
            self._published = {}  # the board has the other beat's waits
            if not was_mine:
                self._memory.start_ordered_at = self._memory.decides_since = CLOCK.now()
                self._memory.passed = {}  # another beat may have ordered these moves anew
        self._leads = leads
        return leads

    def _decide(self, now: datetime) -> Decision:
        return decide(self._reader.read(), now, self._limits, self._memory)

    def _send(self, decision: Decision) -> None:
        for start in decision.starts:
            text = f"plot ordered in {start.tmp}, for {start.dst}"
            if self._order("start", start.host, text, partial(send_start, start=start)):
                self._memory.start_ordered_at = CLOCK.now()
            if not self._lease.held:
                return
        for admission in decision.admissions:
            text = f"{admission.move.harvester} admits {admission.move.path}"
            send = partial(send_admission, admission=admission)
            sent = self._order("admission", admission.host, text, send, admission.move.harvester)
            if sent:
                now, memory = CLOCK.now(), self._memory
                memory.passed = passed_on(admission, now, memory.orders, memory.passed)
            if not self._lease.held:
                return
        for move in decision.moves:
            text = f"{move.plot.path} goes to {move.harvester}"
            harvester = None if move.to_target else move.harvester
            self._order("move", move.host, text, partial(send_move, move=move), harvester)
            if not self._lease.held:
                return
        for host, path in decision.stale_moves:
            if not self._lease.held:
                return
            self._board.drop_move(host, path)
            log.info("%s: the record of the move of %s has no use any more, and is deleted", host, path)

    def _order(
        self, kind: str, host: str, text: str, send: Callable[..., str], harvester: str | None = None
    ) -> bool:
        """Send an order, unless this beat may not decide any more. Returns whether it was sent.

        A host whose keys refuse the order keeps no other host from getting its own.
        """
        if not self._lease.held:  # this process was frozen after the decision
            log.warning("the lease expired before the order of a %s was sent; it is dropped", kind)
            return False
        try:
            task_id = send(self.app, self._board, now=CLOCK.now())
        except Exception as error:
            if not is_refusal(error):
                raise
            hosts = [host] if harvester is None else [host, harvester]
            deleted = ", ".join(key for each in hosts for key in self._board.heal_host(each)) or "none"
            self._warn(host, "%s: no %s is sent: %s Deleted, of a wrong type: %s", host, kind, error, deleted)
        else:
            extra = {"action": f"{kind}-ordered", "host": host, "task_id": task_id}
            log.info("%s: %s", host, text, extra=extra)
            return True
        return False

    def _warn(self, about: str, message: str, *arguments: object) -> None:
        """Log a warning, at most each _WARN_S about the same."""
        now_s = time.monotonic()
        if self._warned_at.get(about, float("-inf")) + _WARN_S <= now_s:
            self._warned_at[about] = now_s
            log.warning(message, *arguments)

    def _publish_waits(self, decision: Decision) -> None:
        """Put the waits on the board; a wait is logged when its rule changes."""
        published, waits_of = self._published, decision.waits_of
        changed = {host: waits for host, waits in waits_of.items() if published.get(host) is not waits}
        ended = [host for host in published if host not in waits_of]
        new = [host for host, waits in changed.items() if self._log_new(host, waits)]
        pause_s = time.monotonic() - self._published_at
        if not (new or ended or (changed and pause_s >= _WAITS_PAUSE_S) or pause_s > _ROUND_S):
            return
        skew_s = CLOCK.skew_s
        wrong = clock_finding(skew_s)
        head = Waits(
            beat=self._token,
            at=CLOCK.now(),
            problems=(*self._watch.problems, *([str(wrong)] if wrong else [])),
            clock_skew_s=skew_s,
        )
        if published:
            listed = self._board.put_waits(head, changed, ended)
        else:  # the board has another beat's waits, perhaps of hosts that no longer exist
            listed = self._board.put_waits(head.model_copy(update={"waits": decision.waits}))
        # If Redis lost its data meanwhile, the board lacks the unchanged ones: publish all in the next round.
        self._published = dict(waits_of) if listed == len(waits_of) else {}
        self._published_at = time.monotonic()

    def _log_new(self, host: str, waits: tuple[Wait, ...]) -> bool:
        """Log waits with a new rule; returns whether any rule of the host changed. An end is not logged."""
        rules = {wait.subject: wait.rule for wait in waits}
        logged = self._logged.get(host, {})
        if rules == logged:
            return False
        self._logged[host] = rules
        new = []
        for wait in waits:
            if wait.rule == "trouble":  # it may come and go many times a second
                self._warn(f"{host} {wait.rule}", "%s: %s", host, one_line(wait.reason, _REASON_MAX))
            elif logged.get(wait.subject) != wait.rule:
                new.append(wait)
        self._log_some(host, new)
        return True

    def _log_some(self, host: str, waits: Sequence[Wait]) -> None:
        """Log some of them: a host with thousands, or other ones each second, must not fill the disk."""
        since_s, count = self._wait_lines.get(host, (float("-inf"), 0))
        if since_s + _WARN_S <= time.monotonic():
            since_s, count = time.monotonic(), 0
        left = max(0, _WAIT_LINES - count)
        for wait in waits[:left]:
            subject = f" {wait.subject}" if wait.subject else ""
            reason = one_line(wait.reason, _REASON_MAX)
            log.info("%s%s waits: %s", host, one_line(subject), reason, extra={"action": "wait"})
        if len(waits) > left and count <= _WAIT_LINES:
            more = len(waits) - left
            log.info("%s: and %d more. No others are logged for %.0f s", host, more, _WARN_S)
            count = _WAIT_LINES
        self._wait_lines[host] = since_s, count + len(waits)

    def _until_due_s(self, decision: Decision) -> float:
        """Return the seconds until the first wait ends that time alone ends."""
        if decision.due_at is None:
            return _ROUND_S
        return max(0.0, (decision.due_at - CLOCK.now()).total_seconds())

    def _collect_garbage(self) -> None:
        if time.monotonic() - self._collected_all_at >= _COLLECT_ALL_S:
            gc.collect()
            self._collected_all_at = time.monotonic()
        elif gc.get_count()[0] >= _COLLECT_AFTER:
            gc.collect(1)

    def _sleep(self, rest_s: float) -> None:
        """Sleep until an event, at most `rest_s` seconds. The next round reads the board, not the event."""
        assert self._last_event is not None
        events = self._board.events(self._last_event, wait_s=max(rest_s, 0.01))
        if events:
            time.sleep(_GATHER_S)
            events += self._board.events(events[-1][0])
            self._last_event = events[-1][0]
