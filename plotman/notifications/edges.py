"""From what is wrong now to what is told: each thing once when it begins, once when it is over. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import AwareDatetime

from common.model.snapshot import Notice
from plotman.notifications.conditions import Condition
from plotman.notifications.notification import Notification

# After such a pause in looking nobody knows what was in between: what was not told yet has to last anew.
_GAP = timedelta(minutes=2)
# How exactly it is known when something was last looked at: not each look need be written down.
_NOTED = timedelta(seconds=30)
# What nobody has been able to judge for so long is of no interest any more.
_FORGET = timedelta(days=30)


class Tracked(Notice):
    """since: of `wrong`, as far as it was looked at. occurrence: id of what was raised; None: nothing was."""

    wrong: bool
    since: AwareDatetime
    seen_at: AwareDatetime
    occurrence: str | None = None
    owner: str | None = None


@dataclass(frozen=True)
class Edges:
    """tracked: all that is remembered after this look. raised: to be told now. cleared: (what, occurrence,
    condition) that is over; condition: None where its subject is gone, of which nothing is told."""

    tracked: dict[str, Tracked]
    raised: tuple[Condition, ...] = ()
    cleared: tuple[tuple[str, str, Condition | None], ...] = ()


def follow(
    tracked: Mapping[str, Tracked],
    looks: Iterable[Condition],
    alive: Set[str],
    now: datetime,
    raised_before: Mapping[str, str] = {},
) -> Edges:
    """One look.

    alive: nodes that told of all that is theirs in this look.
    raised_before: what -> occurrence, by whichever notifier; what was raised is not raised again.
    """
    kept: dict[str, Tracked] = {}
    raised: list[Condition] = []
    cleared: list[tuple[str, str, Condition | None]] = []
    seen = {condition.what: condition for condition in looks}
    for what, condition in seen.items():
        before = tracked.get(what)
        if before is None and what in raised_before and not condition.wrong:
            before = Tracked(wrong=True, since=now, seen_at=now, occurrence=raised_before[what])
        since = _since(before, condition, now)
        lasted_s = (now - since).total_seconds()
        occurrence = before.occurrence if before else None
        if condition.wrong and occurrence is None and lasted_s >= condition.raise_after_s:
            raised.append(condition)
        elif not condition.wrong and occurrence is not None and lasted_s >= condition.clear_after_s:
            cleared.append((what, occurrence, condition))
            occurrence = None
        if condition.wrong or occurrence is not None:
            noted = before is not None and now - before.seen_at < _NOTED
            kept[what] = Tracked(
                wrong=condition.wrong,
                since=since,
                seen_at=before.seen_at if before and noted else now,
                occurrence=occurrence,
                owner=condition.owner,
            )
    for what, before in tracked.items():
        if what in seen:
            continue
        if before.owner in alive or now - before.seen_at > _FORGET:
            if before.occurrence is not None:
                cleared.append((what, before.occurrence, None))
        else:
            kept[what] = before  # whoever could tell of it is silent
    return Edges(kept, tuple(raised), tuple(cleared))


def _since(before: Tracked | None, condition: Condition, now: datetime) -> datetime:
    if before is None or before.wrong != condition.wrong or now - before.seen_at > _GAP:
        return now
    return before.since


def begun(condition: Condition, occurrence: str, now: datetime, shared: bool = True) -> Notification:
    return Notification(
        id=occurrence,
        kind=condition.kind,
        host=condition.host,
        at=now,
        text=condition.text,
        subject=condition.subject,
        plot_id=condition.plot_id,
        shared=shared,
    )


def over(condition: Condition, occurrence: str, now: datetime, shared: bool = True) -> Notification | None:
    """None where it is not told that it is over."""
    if condition.back is None:
        return None
    return Notification(
        id=f"{occurrence}:over",
        kind=condition.back,
        host=condition.host,
        at=now,
        text=condition.back_text,
        subject=condition.subject,
        plot_id=condition.plot_id,
        shared=shared,
    )
