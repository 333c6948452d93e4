"""The queue of one target: quiet hours, messages per hour, retries. Pure.

A message fails because the service is down, or because of one of its notifications; nothing tells which. So
the next message has half as many notifications, and other ones first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import AwareDatetime, Field

from common.config.sections.notifications import NotificationTarget
from common.model import notification_kinds
from common.model.figures import Notice
from common.model.notification_kinds import Severity
from common.model.windows import is_open
from plotman.notifications.notification import Notification

_HOUR = timedelta(hours=1)
RETRIES_S = (10.0, 60.0, 300.0, 900.0, 3600.0)  # pauses; after the last one a notification is dropped
_MOST_KEPT = 1000  # notifications in a queue; the oldest are dropped first
_URL_AT_MOST = 20


@dataclass(frozen=True)
class TargetRules:
    """When a target gets which notifications.

    kinds: those it gets. quiet: hours without messages (common.model.windows); critical_always: but for
    critical ones. at_most: messages per hour; None: no limit. The second half of them is only for what an
    operator must act on: harmless events, of which there are many, must not keep these back. one_by_one:
    never several in one message.
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
    """The queue.

    waiting: those that failed last. sent_at: times of the last hour's messages. tries: by the id of each that
    failed, how often it failed alone. retry_at: no failed one is sent before; others_at: no other one.
    most: how many go into the next message; None: all.
    """

    waiting: tuple[Notification, ...] = ()
    sent_at: tuple[AwareDatetime, ...] = ()
    tries: dict[str, int] = Field(default_factory=dict)
    retry_at: AwareDatetime | None = None
    others_at: AwareDatetime | None = None
    most: int | None = None

    def with_(self, notification: Notification) -> TargetQueue:
        return self.model_copy(update={"waiting": (*self.waiting, notification)[-_MOST_KEPT:]})


def due(target: TargetQueue, rules: TargetRules, now: datetime, local: datetime) -> tuple[Notification, ...]:
    """Return the notifications to be sent now as one message; may be empty. local: `now` in local time."""
    recent = sum(now - at < _HOUR for at in target.sent_at)
    at_most = rules.at_most
    held = (rules.quiet is not None and is_open(rules.quiet, local)) or (
        at_most is not None and recent >= at_most
    )
    found = tuple(one for one in target.waiting if _may_go(target, one, now))
    if at_most is not None and recent >= at_most - at_most // 2:
        found = tuple(one for one in found if _calls_for_action(one))
    if held:
        critical = (one for one in found if one.severity is Severity.CRITICAL)
        found = tuple(critical) if rules.critical_always else ()
    least_tried_first = sorted(found, key=lambda one: target.tries.get(one.id, -1))
    message = least_tried_first[: 1 if rules.one_by_one else target.most]
    return tuple(sorted(message, key=lambda one: one.at))


def _calls_for_action(one: Notification) -> bool:
    kind = notification_kinds.KINDS.get(one.kind)
    return kind is not None and kind.action


def _may_go(target: TargetQueue, one: Notification, now: datetime) -> bool:
    at = target.retry_at if one.id in target.tries else target.others_at
    return at is None or now >= at


def delivered(target: TargetQueue, sent: tuple[Notification, ...], now: datetime) -> TargetQueue:
    """Return the queue after a message was delivered: the service works, so all others may go."""
    waiting = _without(target, sent)
    most = None if target.most is None or 2 * target.most >= len(waiting) else 2 * target.most
    recent = (at for at in target.sent_at if now - at < _HOUR)
    return TargetQueue(
        waiting=waiting, sent_at=(*recent, now), tries=_tries_of(waiting, target.tries), most=most
    )


def failed(
    target: TargetQueue, sent: tuple[Notification, ...], now: datetime
) -> tuple[TargetQueue, tuple[Notification, ...]]:
    """Return the queue after a failure, to be retried after a pause; and what is dropped instead."""
    alone = len(sent) == 1
    tries = target.tries | {one.id: target.tries.get(one.id, 0) + alone for one in sent}
    dropped = tuple(one for one in sent if tries[one.id] > len(RETRIES_S))
    others = _without(target, sent)
    waiting = (*others, *(one for one in sent if one not in dropped))
    pause_s = RETRIES_S[tries[sent[0].id] - 1] if alone and not dropped else RETRIES_S[0]
    after = TargetQueue(
        waiting=waiting,
        sent_at=target.sent_at,
        tries=_tries_of(waiting, tries),
        retry_at=now + timedelta(seconds=pause_s),
        others_at=now + timedelta(seconds=RETRIES_S[0]),
        most=max(1, len(sent) // 2),
    )
    return after, dropped


def _tries_of(waiting: tuple[Notification, ...], tries: dict[str, int]) -> dict[str, int]:
    return {one.id: tries[one.id] for one in waiting if one.id in tries}


def _without(target: TargetQueue, sent: tuple[Notification, ...]) -> tuple[Notification, ...]:
    done = {one.id for one in sent}
    return tuple(one for one in target.waiting if one.id not in done)
