"""Replace old plots by new ones: show what would be deleted, order it, pause, resume and stop it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from beat.policy.replot.planner import ClassPlan
from beat.policy.replot.schedule import daily_shares, earliest_day
from common.config.sections.replot import FORK, Replot
from common.errors import ExitCode, PlotmanError
from common.model.replot_order import ReplotClass, ReplotOrder
from common.model.units import counted, human_bytes
from common.names import PAUSE_REPLOT, REPLOT, RESUME_REPLOT, STOP_REPLOT, Role
from plotman.control.actions.holds import HoldAnswers, requester
from plotman.control.farm import FarmState, board, read_farm
from plotman.control.queries.replot.node import NodeState
from plotman.control.queries.replot.plan import PlanAnswer, PlanLimits, ask, hosts_that_keep
from plotman.control.queries.replot.progress import reports, unreadable
from plotman.control.queries.replot.sentences import remarks, switch
from plotman.control.queries.tables import PlainTable
from plotman.control.rpc import NoAnswer, TaskCall, ask_each


class CannotReplot(PlotmanError):
    """Nothing can be ordered, and nothing was."""


class NothingToReplot(CannotReplot):
    """No plot may be replaced, or no harvester has an order."""

    exit_code = ExitCode.NOTHING


@dataclass(frozen=True)
class ClassStart:
    """A class that is ordered. hosts: that have plots of it. not_before: None: its plots may go now."""

    plan: ClassPlan
    hosts: tuple[str, ...]
    not_before: datetime | None

    @property
    def name(self) -> str:
        return self.plan.old.name


@dataclass(frozen=True)
class ReplotStart:
    """What an order would do.

    classes: with plots, in the order in which they go.
    ended: by host, classes of an earlier order that are not in the new one.
    orders: by host, for each harvester that has some of these plots.
    absent: harvesters whose plots may be replaced and that were not asked, with the reason.
    """

    answer: PlanAnswer
    classes: tuple[ClassStart, ...]
    orders: dict[str, ReplotOrder]
    ended: dict[str, tuple[str, ...]]
    absent: dict[str, NoAnswer]

    def table(self) -> PlainTable:
        return PlainTable.of(
            self.classes,
            {
                "class": lambda one: one.name,
                "plots": lambda one: f"{one.plan.plots:,}",
                "size": lambda one: human_bytes(one.plan.bytes),
                "hosts": lambda one: ", ".join(one.hosts),
                "may go": lambda one: f"from {one.not_before:%Y-%m-%d}" if one.not_before else "now",
            },
            title="Old plots that are deleted, in this order",
            right=frozenset({"plots", "size"}),
        )

    def class_dicts(self) -> list[dict[str, Any]]:
        """In `plotman replot start --json`."""
        return [
            {
                "class": one.name,
                "plots": one.plan.plots,
                "bytes": one.plan.bytes,
                "hosts": list(one.hosts),
                "not_before": one.not_before and one.not_before.isoformat(),
            }
            for one in self.classes
        ]

    def lines(self) -> list[str]:
        """For an operator who is asked."""
        lines = [
            "A harvester deletes an old plot only after as many bytes of new plots have arrived there and "
            "were proved. It deletes one plot at a time. A deleted plot cannot be restored.",
            *remarks(self.answer),
        ]
        if any(one.not_before for one in self.classes):
            lines.append("A class with a date waits for it: before, its plots are worth more than new ones.")
        for host, names in self.ended.items():
            lines.append(f"{host} has an order for {', '.join(names)}, which ends: its plots stay.")
        shares = {host: one.max_per_day for host, one in self.orders.items() if one.max_per_day}
        if shares:
            each = ", ".join(f"{host} {share}" for host, share in shares.items())
            lines.append(f"Most old plots in a day, of replot.max_per_day: {each}.")
        return lines


def plan(settings: Replot, limits: PlanLimits, reason: str | None = None) -> ReplotStart:
    """Make the orders by the code of `plotman replot plan`. Nothing is ordered.

    Args:
        settings: the section `replot`, with classes.
        limits: host, classes, pace and height of the network.
        reason: for operators.

    Raises:
        CannotReplot: the height of the fork is needed and not known, or the limit of a day is too small.
        NothingToReplot: there are no plots of these classes that may be replaced.
        NoSuchClass, NoSuchHost, NoAnswer, BrokerError.
    """
    farm = read_farm(board())
    answer = ask(settings, farm, replace(limits, first=0, drives=len(farm.harvesters) + 1))
    _must_know_fork(answer)
    absent = _absent(farm, answer, limits.host)
    classes = tuple(_class_start(answer, number) for number in range(len(answer.plan.classes)))
    with_plots = tuple(one for one in classes if one.plan.plots)
    if not with_plots:
        keeping = [host for host in hosts_that_keep(farm) if limits.host in (None, host)]
        raise NothingToReplot(
            "No plot belongs to a class that may be replaced, so nothing was ordered.",
            switch(tuple(keeping)) if keeping else "`plotman replot plan` shows why each plot stays.",
        )
    orders = _orders(farm, answer, with_plots, reason)
    return ReplotStart(answer, with_plots, orders, _ended(farm, orders), absent)


def _ended(farm: FarmState, orders: Mapping[str, ReplotOrder]) -> dict[str, tuple[str, ...]]:
    ended = {}
    for host, report in reports(farm).items():
        kept = {one.name for one in orders[host].classes} if host in orders else None
        names = tuple(one.name for one in report.classes if kept is not None and one.name not in kept)
        if names:
            ended[host] = names
    return ended


def _must_know_fork(answer: PlanAnswer) -> None:
    """Raises CannotReplot."""
    if answer.settings.start != FORK:
        return
    if answer.when.fork_day is None:
        raise CannotReplot(
            "replot.start is fork, and the height of the fork is not known, so nothing was ordered.",
            "Once it is announced, write replot.fork_height. To begin without it, write replot.start: now, "
            "or a date; new plots farm nothing before the fork.",
        )
    node = answer.heights.node
    if answer.heights.fork_source == "node" and isinstance(node, NodeState) and node.network != "mainnet":
        raise CannotReplot(
            f"The height of the fork is of a full node of {node.network}, so nothing was ordered.",
            "Write replot.fork_height, which goes before it.",
        )


def _class_start(answer: PlanAnswer, number: int) -> ClassStart:
    plan = answer.plan.classes[number]
    hosts = [
        one.drive.host
        for one in answer.plan.drives
        if any(on_drive.number == number for on_drive in one.classes)
    ]
    day = earliest_day(plan, answer.rate_bytes or 0, answer.settings.max_per_day, answer.when)
    not_before = answer.date_of(day) if day else None
    return ClassStart(plan, tuple(dict.fromkeys(hosts)), not_before)


def _absent(farm: FarmState, answer: PlanAnswer, host: str | None) -> dict[str, NoAnswer]:
    return {
        name: NoAnswer(f"{name} was not asked to replace plots: {why}.", "Repeat the command later.")
        for name, why in answer.missing.items()
        if host in (None, name) and name in farm.harvesters and farm.harvesters[name].replot
    }


def _orders(
    farm: FarmState, answer: PlanAnswer, classes: Sequence[ClassStart], reason: str | None
) -> dict[str, ReplotOrder]:
    """Raises CannotReplot."""
    plots: dict[str, int] = {}
    for drive in answer.plan.drives:
        plots[drive.drive.host] = plots.get(drive.drive.host, 0) + drive.plots
    shares = _shares(farm, answer.settings.max_per_day, plots)
    return {
        host: ReplotOrder(
            host=host,
            classes=tuple(_class(one) for one in classes if host in one.hosts),
            low_water_bytes=answer.settings.low_water_bytes,
            max_per_day=shares.get(host),
            reason=reason,
            by=requester(),
        )
        for host in plots
    }


def _class(one: ClassStart) -> ReplotClass:
    old = one.plan.old
    return ReplotClass(
        name=old.name,
        k=old.k,
        levels=old.levels,
        pool=old.pool,
        pool_key=old.pool_key,
        made_before=old.made_before,
        not_before=one.not_before,
    )


def _shares(farm: FarmState, most_per_day: int | None, plots: dict[str, int]) -> dict[str, int]:
    """The limit of a day for each of these hosts; what others have of it by their orders is theirs."""
    if most_per_day is None:
        return {}
    others = {host: one.max_per_day or 0 for host, one in reports(farm).items() if host not in plots}
    left = most_per_day - sum(others.values())
    if left < len(plots):
        taken = f" {', '.join(others)} have {sum(others.values())} of it by their orders." if others else ""
        raise CannotReplot(
            f"replot.max_per_day is {most_per_day}, which is too few for "
            f"{counted(len(plots), 'more harvester')}.{taken}",
            "Allow more in a day, or name one harvester with --host.",
        )
    return daily_shares(left, plots)


def start(planned: ReplotStart) -> list[HoldAnswers]:
    """Send the orders. Returns the harvesters' sentences, and why others were not asked."""
    calls = [
        TaskCall(REPLOT, host, order.model_dump(mode="json", exclude={"host", "version"}, exclude_none=True))
        for host, order in planned.orders.items()
    ]
    answers = [HoldAnswers.of(call.host, answer) for call, answer in zip(calls, ask_each(calls), strict=True)]
    return answers + [HoldAnswers(host, error) for host, error in planned.absent.items()]


def pause(host: str | None, reason: str | None) -> list[HoldAnswers]:
    """Delete no more old plots for now. Raises as `with_orders`."""
    return _send(PAUSE_REPLOT, with_orders(host), {"reason": reason} if reason else {})


def resume(host: str | None) -> list[HoldAnswers]:
    """End a pause. Raises as `with_orders`."""
    return _send(RESUME_REPLOT, with_orders(host), {})


def stop(hosts: FarmOrders) -> list[HoldAnswers]:
    """End the orders of these hosts."""
    return _send(STOP_REPLOT, hosts, {})


@dataclass(frozen=True)
class FarmOrders:
    """Harvesters that have an order, or whose reports cannot be read.

    silent: of these, the hosts that do not report; their orders stay.
    """

    hosts: tuple[str, ...]
    silent: frozenset[str]


def with_orders(host: str | None) -> FarmOrders:
    """The harvesters that have an order. host: only this one; None: all.

    Raises:
        NothingToReplot: there are none.
        NoSuchHost, BrokerError.
    """
    farm = read_farm(board())
    hosts = (*reports(farm, host), *unreadable(farm, host))
    if not hosts:
        where = "No harvester" if host is None else host
        raise NothingToReplot(
            f"{where} has an order to replace old plots." if host is None else f"{where} replaces no plots.",
            "`plotman replot start` gives one.",
        )
    silent = frozenset(name for name in hosts if (Role.HARVESTER, name) in farm.stale)
    return FarmOrders(hosts, silent)


def _send(task: str, to: FarmOrders, details: dict[str, Any]) -> list[HoldAnswers]:
    calls = [
        TaskCall(task, host, {"by": requester(), **details}) for host in to.hosts if host not in to.silent
    ]
    answers = [HoldAnswers.of(call.host, answer) for call, answer in zip(calls, ask_each(calls), strict=True)]
    for host in sorted(to.silent):
        silent = NoAnswer(
            f"The harvester of {host} is silent and was not asked. It keeps its order when it returns.",
            "Start `plotman up` there, then repeat the command.",
        )
        answers.append(HoldAnswers(host, silent))
    return answers
