"""Celery beat's scheduler, ours: it sleeps until something happens, decides, sends, and explains.

One beat of a farm decides, the holder of the lease; others stand by. A round decides from what stands on the
notice board alone: what is kept from one to the next only spares work, and a beat may be killed and replaced
at any moment.
Entries of Celery's own `beat_schedule` go on working.
"""

from __future__ import annotations

import gc
import logging
import os
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from celery.beat import Scheduler
from kombu.exceptions import OperationalError

from beat.dispatch import send_admission, send_move, send_start
from beat.policy.decide import decide
from beat.policy.decision import Decision
from beat.policy.memory import Memory
from beat.policy.starts.farm_rules import FarmLimits
from common.config import Config
from common.config.broker_url import broker_url
from common.config.last_good import load_to_run
from common.config.watch import ConfigWatch, NoSink
from common.errors import BrokerError
from common.model.snapshot import Event, Wait, Waits
from common.names import LEASE
from common.store import Board
from common.worker.startup import check_beat

log = logging.getLogger(__name__)

_LOOK_S = 5.0  # a round at least so often: free space changes without anybody telling
_REDIS_PAUSE_S = 1.0
# What happens in one breath (a plot's end and its log's last lines) is decided on together.
_GATHER_S = 0.005
# Objects made between two looks for cycles, of which snapshots have none. With the default of 700, half of a
# round over a thousand hosts would go into looking.
_COLLECT_AFTER = 10_000
_WAITS_PAUSE_S = 1.0  # numbers in reasons change all the time; people need not see each


class FarmScheduler(Scheduler):
    max_interval = _LOOK_S

    def __init__(self, app: Any, **options: Any) -> None:
        # Beat reads no results; with a backend each message it sends would leave a subscription behind.
        app.conf.update(result_backend="disabled", result_failure_expires=None)
        settings = load_to_run()
        check_beat(app, settings)
        url = broker_url(settings)
        self._board = Board.connect(url)
        self._reader = self._board.reader()
        self._host = settings.host
        self._token = f"{self._host}:{os.getpid()}:{uuid4().hex[:6]}"
        self._lease = self._board.lease(self._token)
        self._follow(settings)
        self._watch = ConfigWatch(settings, None, self._follow, NoSink())
        self._leads = False
        self._heard: str | None = None
        self._away = False
        self._memory = Memory()
        self._told: dict[str, dict[str | None, str]] = {}  # by host and subject: the rule last logged
        self._shown: dict[str, tuple[Wait, ...]] = {}  # by host: what stands on the board
        self._put_at = float("-inf")
        super().__init__(app, **options)

    def setup_schedule(self) -> None:
        """Called for the scheduler that runs, and not for a second one that Celery makes for its banner."""
        gc.set_threshold(_COLLECT_AFTER)
        self._watch.start()
        super().setup_schedule()

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """One round, and the sleep after it. Always 0: Service need not sleep any more."""
        try:
            self._round(*args, **kwargs)
            if self._away:
                log.info("Redis is back")
            self._away = False
        except (BrokerError, OperationalError) as error:
            if not self._away:
                log.error("%s Nothing is decided until it is back.", error)
            self._away, self._leads, self._heard = True, False, None
            time.sleep(_REDIS_PAUSE_S)
        return 0

    def _follow(self, settings: Config) -> None:
        """Decide by this plotman.yaml from now on."""
        farm = settings.farm
        self._limits = FarmLimits(farm.max_jobs, None if farm.stagger_m is None else farm.stagger_m * 60)

    def close(self) -> None:
        self._watch.stop()
        try:
            self._lease.drop()
            if self._leads:  # told after the drop: whoever stands by wakes, and finds the lease free
                text = f"the beat of {self._host} decides no more"
                self._board.tell(Event(kind="beat-stopped", host=self._host, at=datetime.now(UTC), text=text))
            self._leads = False
        except BrokerError as error:
            log.debug("the lease runs out by itself: %s", error)
        super().close()

    def _round(self, *args: Any, **kwargs: Any) -> None:
        if self._heard is None:
            self._heard = self._board.last_event_id()
        rest_s = LEASE.total_seconds() / 3
        if self._take_lease():
            decision = self._decide(datetime.now(UTC))
            self._send(decision)
            self._explain(decision)
            rest_s = min(rest_s, self._until_due_s(decision), float(super().tick(*args, **kwargs) or _LOOK_S))
        self._sleep(rest_s)

    def _take_lease(self) -> bool:
        leads = self._lease.take()
        if leads != self._leads:
            log.warning("%s %s", self._token, "decides" if leads else "stands by: another beat decides")
            self._shown = {}  # what stands on the board is what the other beat said
        self._leads = leads
        return leads

    def _decide(self, now: datetime) -> Decision:
        return decide(self._reader.read(), now, self._limits, self._memory)

    def _send(self, decision: Decision) -> None:
        for start in decision.starts:
            if not self._lease.held:  # we were frozen since we decided
                log.warning("the lease ran out before an order was sent; it is dropped")
                return
            now = datetime.now(UTC)
            task_id = send_start(self.app, self._board, start, now)
            self._say("start-ordered", start.host, f"plot ordered in {start.tmp}, for {start.dst}", task_id)
        for admission in decision.admissions:
            if not self._lease.held:
                log.warning("the lease ran out before a delivery was passed on; the next beat does")
                return
            task_id = send_admission(self.app, self._board, admission, datetime.now(UTC))
            text = f"{admission.move.harvester} takes in {admission.move.path}"
            self._say("admission-ordered", admission.host, text, task_id)
        for move in decision.moves:
            if not self._lease.held:
                log.warning("the lease ran out before a move was sent; it is dropped")
                return
            task_id = send_move(self.app, self._board, move, datetime.now(UTC))
            self._say("move-ordered", move.host, f"{move.plot.path} goes to {move.harvester}", task_id)
        for host, path in decision.stale_moves:
            if not self._lease.held:
                return
            self._board.drop_move(host, path)
            log.info("%s: %s is gone, and with it what is known of its move", host, path)

    def _say(self, kind: str, host: str, text: str, task_id: str) -> None:
        log.info("%s: %s", host, text, extra={"action": kind, "host": host, "task_id": task_id})

    def _explain(self, decision: Decision) -> None:
        """Put the reasons where people see them; a reason is logged when its rule changes."""
        shown, waits_of = self._shown, decision.waits_of
        changed = {host: waits for host, waits in waits_of.items() if shown.get(host) is not waits}
        gone = [host for host in shown if host not in waits_of]
        news = [host for host, waits in changed.items() if self._log_new(host, waits)]
        pause_s = time.monotonic() - self._put_at
        if not (news or gone or (changed and pause_s >= _WAITS_PAUSE_S) or pause_s > _LOOK_S):
            return
        told = Waits(beat=self._token, at=datetime.now(UTC), problems=self._watch.problems)
        if self._shown:
            listed = self._board.put_waits(told, changed, gone)
        else:  # what stands there is another beat's word, perhaps of hosts that are gone by now
            listed = self._board.put_waits(told.model_copy(update={"waits": decision.waits}))
        # A board that was wiped meanwhile lacks those that did not change: all of them, next time.
        self._shown = dict(waits_of) if listed == len(waits_of) else {}
        self._put_at = time.monotonic()

    def _log_new(self, host: str, waits: tuple[Wait, ...]) -> bool:
        """Whether a rule is new there; of those that ended nothing is logged: something happens then."""
        rules = {wait.subject: wait.rule for wait in waits}
        told = self._told.get(host, {})
        if rules == told:
            return False
        self._told[host] = rules
        for wait in waits:
            if told.get(wait.subject) != wait.rule:
                subject = f" {wait.subject}" if wait.subject else ""
                log.info("%s%s waits: %s", host, subject, wait.reason, extra={"action": "wait"})
        return True

    def _until_due_s(self, decision: Decision) -> float:
        """Until the first wait that time alone cures is over."""
        if decision.due_at is None:
            return _LOOK_S
        return max(0.0, (decision.due_at - datetime.now(UTC)).total_seconds())

    def _sleep(self, rest_s: float) -> None:
        """Until something happens, at most `rest_s` seconds. What woke us is only a hint: the next round
        looks at the board."""
        assert self._heard is not None
        heard = self._board.events(self._heard, wait_s=max(rest_s, 0.01))
        if heard:
            time.sleep(_GATHER_S)
            heard += self._board.events(heard[-1][0])
            self._heard = heard[-1][0]
