"""What one target has yet to be told, and when: quiet hours, at most so many an hour, retries. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import AwareDatetime

from common.config.notifications import NotificationTarget
from common.model import notification_kinds
from common.model.notification_kinds import Severity
from common.model.snapshot import Notice
from common.model.windows import is_open
from plotman.notifications.notification import Notification

_HOUR = timedelta(hours=1)
RETRIES_S = (10.0, 60.0, 300.0, 900.0, 3600.0)  # pauses; what then fails is dropped
_MOST_KEPT = 1000  # of a target that is told nothing for long; the oldest go first
_URL_AT_MOST = 20


@dataclass(frozen=True)
class TargetRules:
    """kinds: what the target is told. quiet: hours (common.model.windows). at_most: messages an hour;
    None: no limit. one_by_one: never several in one message."""

    kinds: frozenset[str]
    quiet: str | None = None
    critical_always: bool = False
    at_most: int | None = None
    one_by_one: bool = False


def rules_of(target: NotificationTarget) -> TargetRules:
    by_url = target.url is not None
    return TargetRules(
        kinds=notification_kinds.names(target.events),
        quiet=target.quiet_hours,
        critical_always=target.critical_always,
        at_most=target.at_most or (_URL_AT_MOST if by_url else None),
        one_by_one=not by_url,
    )


class TargetQueue(Notice):
    """waiting: oldest first. sent_at: of the messages of the last hour. attempts: failures in a row."""

    waiting: tuple[Notification, ...] = ()
    sent_at: tuple[AwareDatetime, ...] = ()
    attempts: int = 0
    retry_at: AwareDatetime | None = None

    def with_(self, notification: Notification) -> TargetQueue:
        return self.model_copy(update={"waiting": (*self.waiting, notification)[-_MOST_KEPT:]})


def due(box: TargetQueue, rules: TargetRules, now: datetime, local: datetime) -> tuple[Notification, ...]:
    """What is to be sent now, as one message; empty where nothing is. local: now, by the wall clock."""
    if not box.waiting or (box.retry_at is not None and now < box.retry_at):
        return ()
    recent = sum(now - at < _HOUR for at in box.sent_at)
    held = (rules.quiet is not None and is_open(rules.quiet, local)) or (
        rules.at_most is not None and recent >= rules.at_most
    )
    found = box.waiting
    if held:
        passing = (one for one in found if one.severity is Severity.CRITICAL)
        found = tuple(passing) if rules.critical_always else ()
    return found[:1] if rules.one_by_one else found


def delivered(box: TargetQueue, sent: tuple[Notification, ...], now: datetime) -> TargetQueue:
    recent = (at for at in box.sent_at if now - at < _HOUR)
    return TargetQueue(waiting=_without(box, sent), sent_at=(*recent, now))


def failed(box: TargetQueue, sent: tuple[Notification, ...], now: datetime) -> tuple[TargetQueue, bool]:
    """The mailbox, to be tried again after a pause; True: it was the last try, and they are dropped."""
    if box.attempts >= len(RETRIES_S):
        return TargetQueue(waiting=_without(box, sent), sent_at=box.sent_at), True
    retry_at = now + timedelta(seconds=RETRIES_S[box.attempts])
    return box.model_copy(update={"attempts": box.attempts + 1, "retry_at": retry_at}), False


def _without(box: TargetQueue, sent: tuple[Notification, ...]) -> tuple[Notification, ...]:
    gone = {one.id for one in sent}
    return tuple(one for one in box.waiting if one.id not in gone)
