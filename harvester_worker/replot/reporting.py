"""The report of the replacing of old plots, for the snapshot. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from common.model.replot_report import ReplotClassReport, ReplotReport, ReplotState
from harvester_worker.replot.journal import Deleted, Journal


def report(
    journal: Journal,
    trouble: str | None,
    stopped: str | None,
    why: str,
    low_water_bytes: int,
    today: date,
    left: Mapping[str, tuple[int, int]] | None = None,
) -> ReplotReport | None:
    """Make the report; None: there is no order.

    Args:
        journal: as it is now.
        trouble: why it cannot be read; None: it can.
        stopped: why nothing may be deleted at all; None: it may.
        why: what the order waits for.
        low_water_bytes: stay free on each drive.
        today: the day (UTC).
        left: plots of each class that are left, and their bytes; None: not known yet.
    """
    order = journal.order
    if trouble is not None:
        return ReplotReport(state=ReplotState.STOPPED, why=trouble)
    if order is None:
        return None
    state, words = _state(journal, stopped, why)
    return ReplotReport(
        state=state,
        why=words,
        since=journal.since,
        by=order.by,
        reason=order.reason,
        classes=tuple(
            _class_report(one.name, one.not_before, journal.deleted.get(one.name, Deleted()), left)
            for one in order.classes
        ),
        low_water_bytes=low_water_bytes,
        max_per_day=order.max_per_day,
        deleted_today=journal.deleted_on(today),
        deleted_plots=journal.deleted_plots,
        deleted_bytes=journal.deleted_bytes,
        new_plots=journal.new_plots,
        new_bytes=journal.new_bytes,
        unused_bytes=sum(one.left_bytes for one in journal.credits),
        victim=f"{journal.victim.drive}/{journal.victim.name}" if journal.victim else None,
    )


def _state(journal: Journal, stopped: str | None, why: str) -> tuple[ReplotState, str]:
    if journal.done:
        return ReplotState.DONE, "no plot of the classes is left"
    if stopped is not None:
        return ReplotState.STOPPED, stopped
    if journal.paused is not None:
        return ReplotState.PAUSED, journal.paused
    return (ReplotState.WAITING if journal.victim is None else ReplotState.RUNNING), why


def _class_report(
    name: str,
    not_before: datetime | None,
    deleted: Deleted,
    left: Mapping[str, tuple[int, int]] | None,
) -> ReplotClassReport:
    plots, size_bytes = (None, None) if left is None else left.get(name, (0, 0))
    return ReplotClassReport(
        name=name,
        not_before=not_before,
        deleted_plots=deleted.plots,
        deleted_bytes=deleted.bytes,
        left_plots=plots,
        left_bytes=size_bytes,
    )
