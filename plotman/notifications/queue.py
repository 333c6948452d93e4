"""The queue of one target: quiet hours, messages per hour, retries. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import AwareDatetime

from common.config.sections.notifications import NotificationTarget
from common.model import notification_kinds
from common.model.notification_kinds import Severity
from common.model.snapshot import Notice
from common.model.windows import is_open
from plotman.notifications.notification import Notification

_HOUR = timedelta(hours=1)
RETRIES_S = (10.0, 60.0, 300.0, 900.0, 3600.0)  # pauses; after the last one a message is dropped
_MOST_KEPT = 1000  # notifications in a queue; the oldest are dropped first
_URL_AT_MOST = 20


@dataclass(frozen=True)
class TargetRules:
    """When a target gets which notifications.

    kinds: those it gets. quiet: hours without messages (common.model.windows); critical_always: but for
    critical ones. at_most: messages per hour; None: no limit. one_by_one: never several in one message.
    """

    kinds: frozenset[str]
    quiet: str | None = None
    critical_always: bool = False
    at_most: int | None = None
    one_by_one: bool = False


def rules_of(target: NotificationTarget) -> TargetRules:
    """Return the rules of a configured target."""
    by_url = target.url is not None
    return TargetRules(
        kinds=notification_kinds.names(target.events),
        quiet=target.quiet_hours,
        critical_always=target.critical_always,
        at_most=target.at_most or (_URL_AT_MOST if by_url else None),
        one_by_one=not by_url,
    )


class TargetQueue(Notice):
    """waiting: oldest first. sent_at: times of the last hour's messages. attempts: failures in a row."""

    waiting: tuple[Notification, ...] = ()
    sent_at: tuple[AwareDatetime, ...] = ()
    attempts: int = 0
    retry_at: AwareDatetime | None = None

    def with_(self, notification: Notification) -> TargetQueue:
        return self.model_copy(update={"waiting": (*self.waiting, notification)[-_MOST_KEPT:]})


def due(target: TargetQueue, rules: TargetRules, now: datetime, local: datetime) -> tuple[Notification, ...]:
    """Return the notifications to be sent now as one message; may be empty. local: `now` in local time."""
    if not target.waiting or (target.retry_at is not None and now < target.retry_at):
        return ()
    recent = sum(now - at < _HOUR for at in target.sent_at)
    held = (rules.quiet is not None and is_open(rules.quiet, local)) or (
        rules.at_most is not None and recent >= rules.at_most
    )
    found = target.waiting
    if held:
        critical = (one for one in found if one.severity is Severity.CRITICAL)
        found = tuple(critical) if rules.critical_always else ()
    return found[:1] if rules.one_by_one else found


def delivered(target: TargetQueue, sent: tuple[Notification, ...], now: datetime) -> TargetQueue:
    """Return the queue after a message was delivered."""
    recent = (at for at in target.sent_at if now - at < _HOUR)
    return TargetQueue(waiting=_without(target, sent), sent_at=(*recent, now))


def failed(target: TargetQueue, sent: tuple[Notification, ...], now: datetime) -> tuple[TargetQueue, bool]:
    """Return the queue after a failure, to be retried after a pause; True: the message is dropped instead."""
    if target.attempts >= len(RETRIES_S):
        return TargetQueue(waiting=_without(target, sent), sent_at=target.sent_at), True
    retry_at = now + timedelta(seconds=RETRIES_S[target.attempts])
    return target.model_copy(update={"attempts": target.attempts + 1, "retry_at": retry_at}), False


def _without(target: TargetQueue, sent: tuple[Notification, ...]) -> tuple[Notification, ...]:
    done = {one.id for one in sent}
    return tuple(one for one in target.waiting if one.id not in done)
