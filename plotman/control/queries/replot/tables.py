"""The plan of `plotman replot plan` as tables. Pure."""

from __future__ import annotations

from beat.policy.replot.planner import ClassPlan
from beat.policy.replot.worth import height_after
from common.model.plots_in_words import class_text, pool_text
from common.model.units import counted, human_bytes
from plotman.control.queries.replot.plan import PlanAnswer
from plotman.control.queries.tables import PlainTable

_UNKNOWN, NEVER = "?", "never"
_KEPT_MOST = 100  # rows of plots that stay; a harvester may name kinds without end


def classes_table(answer: PlanAnswer) -> PlainTable:
    """The classes in their order."""
    numbered = list(enumerate(answer.plan.classes))
    return PlainTable.of(
        numbered,
        {
            "class": lambda row: row[1].old.name,
            "plots": lambda row: f"{row[1].plots:,}",
            "size": lambda row: human_bytes(row[1].bytes),
            "drives": lambda row: f"{row[1].drives:,}",
            "worth per byte": lambda row: f"{row[1].weight:.2f}" if row[1].plots else "",
            "pays from": lambda row: _pays_from(answer, row[1]),
            "begins": lambda row: _span(answer, row[0], True),
            "ends": lambda row: _span(answer, row[0], False),
        },
        title="What is replaced, in this order",
        right=frozenset({"plots", "size", "drives", "worth per byte"}),
        spare=("drives", "worth per byte"),
    )


def _pays_from(answer: PlanAnswer, one: ClassPlan) -> str:
    if not one.plots:
        return ""
    if answer.when.fork_day is None:
        return "the fork" if not one.due_days else f"fork + {counted(one.due_days, 'day')}"
    assert answer.heights.fork_height is not None
    height = height_after(answer.heights.fork_height, one.due_epochs)
    return f"{answer.calendar.date_of(height):%Y-%m-%d}"


def _span(answer: PlanAnswer, number: int, begins: bool) -> str:
    if not answer.plan.classes[number].plots:
        return ""
    if answer.spans is None:
        return _UNKNOWN
    span = answer.spans[number]
    return date_text(answer, span.begins if begins else span.ends)


def date_text(answer: PlanAnswer, day: float) -> str:
    """`2027-02-16`; `never` if it is too far away for a date. day: from now."""
    date = answer.date_of(day)
    return NEVER if date is None else f"{date:%Y-%m-%d}"


def kept_table(answer: PlanAnswer) -> PlainTable:
    """What stays, and why."""
    return PlainTable.of(
        answer.plan.kept[:_KEPT_MOST],
        {
            "plots": lambda kept: f"{kept.plots:,}",
            "size": lambda kept: human_bytes(kept.bytes),
            "class": lambda kept: class_text(kept.plot_class),
            "pool": lambda kept: pool_text(kept.plot_class),
            "why it stays": lambda kept: kept.why,
        },
        title="What stays",
        right=frozenset({"plots", "size"}),
        spare=("pool",),
    )


def first_table(answer: PlanAnswer) -> PlainTable:
    """The plots that go first on each drive."""
    names = [one.old.name for one in answer.plan.classes]

    return PlainTable.of(
        answer.first,
        {
            "turn": lambda one: "first" if one.at_once else "later",
            "class": lambda one: names[one.victim.number],
            "size": lambda one: human_bytes(one.victim.size_bytes),
            "host": lambda one: one.victim.drive.host,
            "plot": lambda one: f"{one.victim.drive.path}/{one.victim.name}",
        },
        title="What goes first on each drive",
        right=frozenset({"size"}),
        paths=frozenset({"plot"}),
    )


def kept_beyond(answer: PlanAnswer) -> int:
    """How many rows `kept_table` leaves out."""
    return max(0, len(answer.plan.kept) - _KEPT_MOST)
