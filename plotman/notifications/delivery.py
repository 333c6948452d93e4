"""Sends what is due, to each target in a thread of its own: one that hangs or fails hurts no other."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from common.config.notifications import NotificationTarget
from plotman.notifications import queue
from plotman.notifications.channels import NotDelivered, deliver
from plotman.notifications.notification import Notification
from plotman.notifications.queue import TargetQueue, TargetRules

log = logging.getLogger(__name__)

_GRACE_S = 5.0  # beyond a target's own timeout, which hooks keep by themselves

Deliver = Callable[[NotificationTarget, Sequence[Notification]], None]


@dataclass
class _Sending:
    """A message that is on its way. error: why it was not told; None while it is, and when it was."""

    told: tuple[Notification, ...]
    deadline_s: float
    thread: threading.Thread = field(init=False)
    error: str | None = None
    given_up: bool = False


class DeliveryPool:
    """targets: by name. Mailboxes come and go with each call; what is being sent is remembered here."""

    def __init__(self, targets: Mapping[str, NotificationTarget], send: Deliver = deliver) -> None:
        self._send = send
        self._sending: dict[str, _Sending] = {}
        self.follow(targets)

    def follow(self, targets: Mapping[str, NotificationTarget]) -> None:
        """Tell these from now on. What is on its way goes on; that of targets that are gone is forgotten."""
        self._targets = targets
        self._rules: dict[str, TargetRules] = {
            name: queue.rules_of(target) for name, target in targets.items()
        }
        self._sending = {name: one for name, one in self._sending.items() if name in targets}

    def put(self, boxes: Mapping[str, TargetQueue], notification: Notification) -> dict[str, TargetQueue]:
        """The mailboxes with the notification in those of the targets that want to be told."""
        return {
            name: box.with_(notification) if notification.kind in self._rules[name].kinds else box
            for name, box in self.boxes(boxes).items()
        }

    def boxes(self, boxes: Mapping[str, TargetQueue]) -> dict[str, TargetQueue]:
        """One for each target that there is; those of others are thrown away."""
        return {name: boxes.get(name, TargetQueue()) for name in self._targets}

    def turn(self, boxes: Mapping[str, TargetQueue], now: datetime) -> dict[str, TargetQueue]:
        """Collect what was sent, begin to send what is due. Never blocks. now: aware."""
        turned = {}
        for name, box in self.boxes(boxes).items():
            box = self._collect(name, box, now)
            told = queue.due(box, self._rules[name], now, now.astimezone())
            sending = self._sending.get(name)
            if told and sending is None:
                self._begin(name, told)
            elif told and sending is not None and sending.given_up:
                box = self._failed(name, box, told, "It still does not answer.", now)
            turned[name] = box
        return turned

    def busy(self) -> bool:
        """Whether a message is on its way."""
        return any(not sending.given_up for sending in self._sending.values())

    def _begin(self, name: str, told: tuple[Notification, ...]) -> None:
        target = self._targets[name]
        sending = _Sending(told, time.monotonic() + target.timeout_s + _GRACE_S)

        def send() -> None:
            try:
                self._send(target, told)
            except NotDelivered as error:
                sending.error = str(error)
            except Exception as error:  # noqa: BLE001  a hundred services' code, and what they raise is theirs
                sending.error = f"It broke off with {type(error).__name__}."  # its text may hold the address

        sending.thread = threading.Thread(target=send, name=f"notify-{name}", daemon=True)
        sending.thread.start()
        self._sending[name] = sending

    def _collect(self, name: str, box: TargetQueue, now: datetime) -> TargetQueue:
        sending = self._sending.get(name)
        if sending is None:
            return box
        if sending.thread.is_alive():
            if sending.given_up or time.monotonic() < sending.deadline_s:
                return box
            sending.given_up = True  # what is due fails until it lets go: threads must not pile up
            return self._failed(name, box, sending.told, "It does not answer.", now)
        del self._sending[name]
        if sending.given_up and sending.error is not None:
            return box  # counted as a failure already
        if sending.error is not None:
            return self._failed(name, box, sending.told, sending.error, now)
        log.info("%s was told: %s", name, ", ".join(one.kind for one in sending.told))
        return queue.delivered(box, sending.told, now)

    def _failed(
        self, name: str, box: TargetQueue, told: tuple[Notification, ...], why: str, now: datetime
    ) -> TargetQueue:
        after, dropped = queue.failed(box, told, now)
        if dropped:
            log.error("%s could not be told, %d notifications are dropped: %s", name, len(told), why)
        else:
            log.warning("%s could not be told (try %d): %s", name, after.attempts, why)
        return after
