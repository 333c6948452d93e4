"""Send due notifications, each target in a thread of its own: one that hangs does not delay the others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from common.config.sections.notifications import NotificationTarget
from plotman.notifications import queue
from plotman.notifications.channels import NotDelivered, deliver
from plotman.notifications.notification import Notification
from plotman.notifications.queue import TargetQueue, TargetRules

log = logging.getLogger(__name__)

_STUCK_MOST = 3  # of a target; a thread cannot be ended, and more must not accumulate
_GRACE_S = 5.0  # beyond a target's own timeout, which hooks are given, too

Deliver = Callable[[NotificationTarget, Sequence[Notification]], None]


@dataclass
class _Sending:
    """A message that is being sent. error: why it failed; None before that, and after success."""

    notifications: tuple[Notification, ...]
    deadline_s: float
    thread: threading.Thread = field(init=False)
    error: str | None = None


class DeliveryPool:
    """The targets, by name, and the messages that are being sent. The caller keeps the queues."""

    def __init__(self, targets: Mapping[str, NotificationTarget], send: Deliver = deliver) -> None:
        self._send = send
        self._sending: dict[str, _Sending] = {}
        self._stuck: dict[str, list[_Sending]] = {}  # given up, but their threads still run
        self.set_targets(targets)

    def set_targets(self, targets: Mapping[str, NotificationTarget]) -> None:
        """Use these targets from now on. Messages that are being sent continue, but for removed targets."""
        self._targets = targets
        self._rules: dict[str, TargetRules] = {
            name: queue.rules_of(target) for name, target in targets.items()
        }
        self._sending = {name: one for name, one in self._sending.items() if name in targets}
        self._stuck = {name: ones for name, ones in self._stuck.items() if name in targets}

    def put(self, queues: Mapping[str, TargetQueue], notification: Notification) -> dict[str, TargetQueue]:
        """Return the queues with the notification added for each target that is configured for its kind."""
        return {
            name: waiting.with_(notification) if notification.kind in self._rules[name].kinds else waiting
            for name, waiting in self._known(queues).items()
        }

    def _known(self, queues: Mapping[str, TargetQueue]) -> dict[str, TargetQueue]:
        """Return one queue for each target; queues of removed targets are dropped."""
        return {name: queues.get(name, TargetQueue()) for name in self._targets}

    def send_due(self, queues: Mapping[str, TargetQueue], now: datetime) -> dict[str, TargetQueue]:
        """Collect results, and begin to send what is due; returns the queues after that. Never blocks.

        now: aware.
        """
        after = {}
        for name, waiting in self._known(queues).items():
            waiting = self._collect(name, waiting, now)
            due = queue.due(waiting, self._rules[name], now, now.astimezone())
            if due and name not in self._sending:
                if len(self._stuck.get(name, ())) < _STUCK_MOST:
                    self._begin(name, due)
                else:
                    waiting = self._failed(name, waiting, due, "It still does not answer.", now)
            after[name] = waiting
        return after

    def busy(self) -> bool:
        """Whether a message is being sent."""
        return bool(self._sending)

    def _begin(self, name: str, notifications: tuple[Notification, ...]) -> None:
        target = self._targets[name]
        sending = _Sending(notifications, time.monotonic() + target.timeout_s + _GRACE_S)

        def send() -> None:
            try:
                self._send(target, notifications)
            except NotDelivered as error:
                sending.error = str(error)
            except Exception as error:  # noqa: BLE001  Apprise runs the code of a hundred services
                sending.error = f"It failed with {type(error).__name__}."  # its text may contain the address

        sending.thread = threading.Thread(target=send, name=f"notify-{name}", daemon=True)
        sending.thread.start()
        self._sending[name] = sending

    def _collect(self, name: str, waiting: TargetQueue, now: datetime) -> TargetQueue:
        for one in tuple(self._stuck.get(name, ())):
            if not one.thread.is_alive():
                self._stuck[name].remove(one)
                if one.error is None:  # it counted as a failure before
                    waiting = queue.delivered(waiting, one.notifications, now)
        sending = self._sending.get(name)
        if sending is None or (sending.thread.is_alive() and time.monotonic() < sending.deadline_s):
            return waiting
        del self._sending[name]
        if sending.thread.is_alive():
            self._stuck.setdefault(name, []).append(sending)
            return self._failed(name, waiting, sending.notifications, "It does not answer.", now)
        if sending.error is not None:
            return self._failed(name, waiting, sending.notifications, sending.error, now)
        log.info("sent to %s: %s", name, ", ".join(one.kind for one in sending.notifications))
        return queue.delivered(waiting, sending.notifications, now)

    def _failed(
        self, name: str, waiting: TargetQueue, tried: tuple[Notification, ...], why: str, now: datetime
    ) -> TargetQueue:
        after, dropped = queue.failed(waiting, tried, now)
        if dropped:
            log.error("sending to %s failed, %d notifications are dropped: %s", name, len(dropped), why)
        else:
            log.warning(
                "sending to %s failed (try %d): %s",
                name,
                max(after.tries.get(one.id, 0) for one in tried),
                why,
            )
        return after
