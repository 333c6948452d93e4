"""Changes of the journal, and what counts. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, datetime

from common.model.replot_order import ReplotOrder
from harvester_worker.replot.journal import Credit, Deleted, Journal, Victim, VictimStep
from harvester_worker.replot.rule import Account

# New plots that are kept as credits: 4 TB of the smallest. Of more, the largest count.
CREDITS_MOST = 4096
# Plots that arrive under one order: 200 TB of the smallest.
ARRIVED_MOST = 200_000
_ID_DIGITS = 16  # of an id that are kept


def ordered(journal: Journal, order: ReplotOrder, now: datetime) -> Journal:
    """Keep an order. What was counted stays if it has no other classes than the one before it, whatever their
    dates and their order: `start` leaves out a class that is done."""
    former = _criteria(journal.order) if journal.order else []
    if all(one in former for one in _criteria(order)):
        return journal.model_copy(update={"order": order, "paused": None, "done": False, "refused": {}})
    return stopped(journal).model_copy(update={"order": order, "since": now})


def stopped(journal: Journal) -> Journal:
    """End the order. What was deleted today still counts for the next one."""
    kept = {name: getattr(journal, name) for name in ("day", "day_plots", "victim", "last")}
    return Journal(**kept)


def _criteria(order: ReplotOrder) -> list[object]:
    return [one.old for one in order.classes]


def has_arrived(journal: Journal, plot_id: str) -> bool:
    """Whether a plot has arrived since the order."""
    return plot_id[:_ID_DIGITS] in journal.arrived


def landed(journal: Journal, credit: Credit, counts: bool) -> Journal:
    """Note a plot that is about to get its name on a drive.

    Args:
        journal: the present one.
        credit: the plot.
        counts: whether it was proved, and is new.
    """
    if journal.order is None:
        return journal
    refused = {drive: why for drive, why in journal.refused.items() if drive != credit.drive}
    journal = journal.model_copy(update={"refused": refused})
    if has_arrived(journal, credit.plot_id):
        return _again(journal, credit) if counts else journal
    if len(journal.arrived) >= ARRIVED_MOST:
        return journal
    made = journal.model_copy(update={"arrived": journal.arrived | {credit.plot_id[:_ID_DIGITS]}})
    if not counts:
        return made
    left, forgotten_bytes = journal.credits, 0
    if len(left) >= CREDITS_MOST:
        # Else plots that are too small for an old one to go would keep the others from counting.
        uses = journal.victim.uses if journal.victim else {}
        least = min(
            (one for one in left if one.plot_id not in uses), key=lambda one: one.left_bytes, default=None
        )
        if least is None or least.left_bytes >= credit.left_bytes:
            return made
        left, forgotten_bytes = tuple(one for one in left if one != least), least.left_bytes
    return made.model_copy(
        update={
            "credits": (*left, credit),
            "new_plots": journal.new_plots + 1,
            "new_bytes": journal.new_bytes + credit.left_bytes - forgotten_bytes,
            "largest_bytes": max(journal.largest_bytes, credit.size_bytes),
        }
    )


def _again(journal: Journal, credit: Credit) -> Journal:
    """The same plot once more, as after an admission that was cut off: it counts once, with its file now."""
    uses = journal.victim.uses if journal.victim else {}

    def renewed(known: Credit) -> Credit:
        is_unused = known.left_bytes == credit.left_bytes and known.plot_id not in uses
        return credit if known.plot_id == credit.plot_id and is_unused else known

    return journal.model_copy(update={"credits": tuple(map(renewed, journal.credits))})


def dropped(journal: Journal, plot_ids: Collection[str]) -> Journal:
    """Forget new plots whose files are lost, to count others in their place. They never count again."""
    uses = journal.victim.uses if journal.victim else {}
    left = tuple(one for one in journal.credits if one.plot_id not in plot_ids or one.plot_id in uses)
    return journal.model_copy(update={"credits": left})


def refused(journal: Journal, drive: str, why: str) -> Journal:
    """Note that a plot that arrived on a drive was refused."""
    if journal.order is None:
        return journal
    return journal.model_copy(update={"refused": {**journal.refused, drive: why}})


def uses(credits: Iterable[Credit], size_bytes: int) -> dict[str, int] | None:
    """Bytes of new plots for which an old one may go, by plot id; None: there are not enough.

    Args:
        credits: the new plots that are there, the oldest first.
        size_bytes: of the old one.
    """
    found: dict[str, int] = {}
    for credit in credits:
        taken = min(credit.left_bytes, size_bytes - sum(found.values()))
        if taken > 0:
            found[credit.plot_id] = taken
    return found if sum(found.values()) == size_bytes else None


def chosen(journal: Journal, victim: Victim) -> Journal:
    """Begin to delete an old plot. Raises ValueError if another one is in work, or if it goes for too few
    bytes."""
    left = {credit.plot_id: credit.left_bytes for credit in journal.credits}
    if journal.victim is not None:
        raise ValueError(f"{journal.victim.path} is in work")
    if sum(victim.uses.values()) != victim.size_bytes or victim.size_bytes <= 0:
        raise ValueError(f"{victim.path} does not go for as many bytes of new plots")
    if any(not 0 < taken <= left.get(plot_id, 0) for plot_id, taken in victim.uses.items()):
        raise ValueError(f"{victim.path} goes for bytes that do not count")
    return journal.model_copy(update={"victim": victim})


def deleting(journal: Journal, order: ReplotOrder, victim: Victim) -> Journal:
    """The file is unlinked next. Raises ValueError if another plot is in work, or the order is not in force
    any more."""
    if journal.victim != victim or journal.order != order or journal.paused is not None:
        raise ValueError(f"{victim.path} is not in work, or the order was changed")
    return journal.model_copy(update={"victim": victim.model_copy(update={"step": VictimStep.DELETING})})


def kept(journal: Journal) -> Journal:
    """The plot in work stays."""
    return journal.model_copy(update={"victim": None})


def settled(journal: Journal, today: date) -> Journal:
    """The plot in work is deleted: count it."""
    victim = journal.victim
    if victim is None:
        return journal
    of_class = journal.deleted.get(victim.class_name, Deleted())
    more = Deleted(plots=of_class.plots + 1, bytes=of_class.bytes + victim.size_bytes)
    left = (_used(credit, victim.uses.get(credit.plot_id, 0)) for credit in journal.credits)
    return journal.model_copy(
        update={
            "victim": None,
            "last": victim,
            "deleted": {**journal.deleted, victim.class_name: more},
            "credits": tuple(credit for credit in left if credit.left_bytes > 0),
            "day": max(today, journal.day or today),
            "day_plots": journal.deleted_on(today) + 1,
        }
    )


def _used(credit: Credit, taken_bytes: int) -> Credit:
    return (
        credit.model_copy(update={"left_bytes": credit.left_bytes - taken_bytes}) if taken_bytes else credit
    )


def account(journal: Journal, today: date, there: Collection[str] | None = None) -> Account:
    """What was counted, for the rule.

    Args:
        journal: the present one.
        today: the day (UTC).
        there: ids of the new plots whose files were seen just now; None: all of them count.
    """
    unused = (one.left_bytes for one in journal.credits if there is None or one.plot_id in there)
    return Account(
        new_bytes=journal.new_bytes,
        largest_bytes=journal.largest_bytes,
        unused_bytes=sum(unused),
        deleted_bytes=journal.deleted_bytes,
        deleted_today=journal.deleted_on(today),
        unsettled=journal.victim is not None,
    )
