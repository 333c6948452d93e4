"""Find when conditions begin and end: each is notified once at its begin and once at its end. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import AwareDatetime

from common.model.figures import Notice
from plotman.notifications.conditions import Condition
from plotman.notifications.notification import Notification

# After such a pause between two rounds the state in between is not known: a condition must last anew.
_GAP = timedelta(minutes=2)
# Precision of `seen_at`: not each round needs to be saved.
_NOTED = timedelta(seconds=30)
# A condition that could not be evaluated for this time is forgotten.
_FORGET = timedelta(days=30)


class Tracked(Notice):
    """A remembered condition. since: begin of `wrong`. occurrence: id of its notification; None: none."""

    wrong: bool
    since: AwareDatetime
    seen_at: AwareDatetime
    occurrence: str | None = None
    owner: str | None = None


@dataclass(frozen=True)
class Edges:
    """The changes of one round.

    tracked: all remembered conditions. raised: those to be notified now. cleared: (what, occurrence,
    condition) of those that ended; condition: None if its subject no longer exists, which is not notified.
    """

    tracked: dict[str, Tracked]
    raised: tuple[Condition, ...] = ()
    cleared: tuple[tuple[str, str, Condition | None], ...] = ()


def find_edges(
    tracked: Mapping[str, Tracked],
    current: Iterable[Condition],
    alive: Set[str],
    now: datetime,
    raised_before: Mapping[str, str] = {},
) -> Edges:
    """Compare the current conditions with the remembered ones.

    Args:
        current: all conditions that are known now.
        alive: nodes whose conditions are all in `current`.
        raised_before: what -> occurrence, raised by any notifier; these are not raised again.
    """
    kept: dict[str, Tracked] = {}
    raised: list[Condition] = []
    cleared: list[tuple[str, str, Condition | None]] = []
    seen = {condition.what: condition for condition in current}
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
            seen_at = before.seen_at if before and noted else now
            kept[what] = Tracked(
                wrong=condition.wrong,
                since=since,
                seen_at=seen_at,
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
            kept[what] = before  # its owner is silent
    return Edges(kept, tuple(raised), tuple(cleared))


def _since(before: Tracked | None, condition: Condition, now: datetime) -> datetime:
    if before is None or before.wrong != condition.wrong or now - before.seen_at > _GAP:
        return now
    return before.since


def announce(
    condition: Condition, occurrence: str, now: datetime, *, over: bool = False, shared: bool = True
) -> Notification | None:
    """Make the notification of a condition that began, or is over; None if its end is not notified."""
    kind, text = (condition.back, condition.back_text) if over else (condition.kind, condition.text)
    if kind is None:
        return None
    return Notification(
        id=f"{occurrence}:over" if over else occurrence, kind=kind, host=condition.host, at=now, text=text,
        subject=condition.subject, plot_id=condition.plot_id, shared=shared,
    )  # fmt: skip
