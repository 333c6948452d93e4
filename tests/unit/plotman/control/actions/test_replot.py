"""What an order to replace old plots would do, and the orders that are sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from common.config.sections.replot import Replot
from common.errors import OrderRefused, PlotmanError
from common.model.replot_report import ReplotClassReport, ReplotReport, ReplotState
from common.model.snapshot import HarvesterSnapshot
from common.names import REPLOT, STOP_REPLOT
from plotman.control.actions import replot
from plotman.control.actions.replot import CannotReplot, NothingToReplot, ReplotStart
from plotman.control.queries.replot import plan
from plotman.control.queries.replot.node import Heights, NodeState
from plotman.control.queries.replot.plan import NoSuchClass, PlanLimits
from plotman.control.rpc import NoAnswer, TaskCall
from tests.support.replotted import C7_BYTES, CLASSES, K32, row
from tests.support.stored import C7, OG, T, farm, harvester, let_answer

Planned = Callable[..., ReplotStart]


def sums(*rows: dict[str, Any]) -> Callable[[TaskCall], Any]:
    return lambda _: {"drives": [], "duplicates": 0, "sums": list(rows), "next": None}


def ordered(**more: Any) -> ReplotReport:
    return ReplotReport(**{"state": ReplotState.WAITING, "since": T} | more)


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Planned:
    """h1 has 30 plots og, h2 has 10 and 4 of c7; the plots of h3 may not be replaced. None is a real host."""
    let_answer(
        monkeypatch,
        {
            "h1": sums(row("/1", OG, 30, K32)),
            "h2": sums(row("/1", OG, 10, K32), row("/2", C7, 4, C7_BYTES)),
            "h3": sums(row("/1", OG, 50, K32)),
        },
    )
    monkeypatch.setattr(replot, "board", lambda: None)
    monkeypatch.setattr(replot, "requester", lambda: "someone@desk")

    def make(*others: HarvesterSnapshot, limits: PlanLimits | None = None, **settings: Any) -> ReplotStart:
        own = {
            one.host: one for one in (harvester(), harvester(host="h2"), harvester(host="h3", replot=False))
        }
        at = farm(*(own | {one.host: one for one in others}).values())
        monkeypatch.setattr(replot, "read_farm", lambda _: at)
        section = Replot.model_validate({"classes": CLASSES, "start": "now"} | settings)
        return replot.plan(section, limits or PlanLimits())

    return make


def test_each_harvester_gets_the_classes_that_it_has_and_that_were_shown(planned: Planned) -> None:
    found = planned(low_water_bytes=5)
    assert {host: [one.name for one in order.classes] for host, order in found.orders.items()} == {
        "h1": ["og"],
        "h2": ["og", "c7"],
    }
    assert found.orders["h1"].classes[0].levels == (0,)
    assert {(one.low_water_bytes, one.max_per_day, one.by) for one in found.orders.values()} == {
        (5, None, "someone@desk")
    }
    assert found.table().rows == (
        ("og", "40", "4.4 TB", "h1, h2", "now"),
        ("c7", "4", "322.6 GB", "h2", "now"),
    )
    assert "A deleted plot cannot be restored" in found.lines()[0]


def test_only_the_named_class_and_host_are_ordered(planned: Planned) -> None:
    found = planned(limits=PlanLimits(classes=("c7",)))
    assert {host: [one.name for one in order.classes] for host, order in found.orders.items()} == {
        "h2": ["c7"]
    }
    with pytest.raises(NoSuchClass, match="Did you mean og"):
        planned(limits=PlanLimits(classes=("ogg",)))


def test_nothing_is_ordered_where_the_height_of_the_fork_is_needed_and_not_known(planned: Planned) -> None:
    with pytest.raises(CannotReplot, match=r"height of the fork is not known.*write replot.fork_height"):
        planned(start="fork")


@pytest.mark.parametrize(("network", "ordered"), [("mainnet", True), ("testnet11", False)])
def test_the_fork_of_a_full_node_counts_if_it_is_of_the_main_network(
    planned: Planned, monkeypatch: pytest.MonkeyPatch, network: str, ordered: bool
) -> None:
    node = NodeState(height=9_600_000, synced=True, fork_height=9_700_000, network=network)
    found = Heights(9_600_000, "node", 9_700_000, "node", node)
    monkeypatch.setattr(plan, "heights", lambda *_: found)
    if ordered:
        assert planned(start="fork").orders["h1"].classes[0].not_before is not None
    else:
        with pytest.raises(CannotReplot, match="a full node of testnet11"):
            planned(start="fork")


def test_a_class_that_is_not_due_waits_for_its_date(planned: Planned) -> None:
    found = planned(start="fork", fork_height=9_700_000)
    og, c7 = (one.not_before for one in found.orders["h2"].classes)
    assert og == found.answer.date_of(found.answer.when.fork_day or 0)
    assert c7 is not None
    assert og is not None
    assert (c7 - og).days == 65
    assert "A class with a date waits for it" in " ".join(found.lines())
    assert [row[-1] for row in found.table().rows] == ["from 2026-12-11", "from 2027-02-14"]


@pytest.mark.parametrize(
    ("start", "not_before"),
    [
        ("now", None),
        ("2026-11-01", None),
        ("2026-12-24", datetime(2026, 12, 24, tzinfo=UTC)),
    ],
)
def test_an_owner_who_says_when_needs_no_height(
    planned: Planned, start: str, not_before: datetime | None
) -> None:
    assert planned(start=start).orders["h1"].classes[0].not_before == not_before


def test_the_limit_of_a_day_is_divided_by_the_plots_of_each_harvester(planned: Planned) -> None:
    found = planned(max_per_day=12)
    assert {host: order.max_per_day for host, order in found.orders.items()} == {"h1": 8, "h2": 4}
    assert "Most old plots in a day, of replot.max_per_day: h1 8, h2 4." in found.lines()
    with pytest.raises(CannotReplot, match="too few for 2 more harvesters"):
        planned(max_per_day=1)


def test_what_other_harvesters_have_of_the_limit_of_a_day_is_theirs(planned: Planned) -> None:
    other = harvester(host="h2", replot_report=ordered(max_per_day=4))
    found = planned(other, max_per_day=12, limits=PlanLimits(host="h1"))
    assert {host: order.max_per_day for host, order in found.orders.items()} == {"h1": 8}
    with pytest.raises(CannotReplot, match="h2 have 4 of it"):
        planned(other, max_per_day=4, limits=PlanLimits(host="h1"))


def test_classes_of_an_earlier_order_that_end_are_named(planned: Planned) -> None:
    before = ordered(classes=(ReplotClassReport(name="og"), ReplotClassReport(name="c7")))
    found = planned(harvester(host="h2", replot_report=before), limits=PlanLimits(classes=("c7",)))
    assert "h2 has an order for og, which ends: its plots stay." in found.lines()


def test_without_plots_nothing_is_ordered_and_the_switch_is_named(planned: Planned) -> None:
    with pytest.raises(NothingToReplot, match="write `replot: true` into the section harvester"):
        planned(limits=PlanLimits(host="h3"))
    with pytest.raises(NothingToReplot, match="shows why each plot stays"):
        planned(classes={"k33": {"k": 33}}, limits=PlanLimits(host="h1"))


def test_a_harvester_that_does_not_answer_is_named_and_gets_no_order(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_answer(monkeypatch, {"h1": sums(row("/1", OG, 30, K32)), "h2": lambda _: NoAnswer("h2 is mute.")})
    found = planned()
    assert list(found.orders) == ["h1"]
    assert "h2 was not asked to replace plots: h2 is mute." in str(found.absent["h2"])


def answering(monkeypatch: pytest.MonkeyPatch, answers: dict[str, str | PlotmanError]) -> list[TaskCall]:
    calls: list[TaskCall] = []

    def ask_each(questions: list[TaskCall]) -> list[Any]:
        calls.extend(questions)
        return [answers[call.host] for call in questions]

    monkeypatch.setattr(replot, "ask_each", ask_each)
    return calls


def test_orders_are_sent_as_the_harvester_reads_them(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = OrderRefused("h2 replaces no plots.")
    calls = answering(monkeypatch, {"h1": "h1 begins", "h2": refused})
    answers = replot.start(planned(start="fork", fork_height=9_700_000, max_per_day=12))
    assert [(one.host, one.answer) for one in answers] == [("h1", "h1 begins"), ("h2", refused)]
    for call in calls:
        assert call.task == REPLOT
        assert replot.ReplotOrder.read(host=call.host, **call.kwargs).max_per_day in (8, 4)


def test_an_order_is_stopped_where_there_is_one_and_silent_harvesters_are_named(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, silent = (harvester(host=host, replot_report=ordered()) for host in ("h1", "h2"))
    monkeypatch.setattr(
        replot, "read_farm", lambda _: farm(own, silent, harvester(host="h3"), silent=("h2",))
    )
    calls = answering(monkeypatch, {"h1": "h1 ends"})
    orders = replot.with_orders(None)
    answers = replot.stop(orders)
    assert [(call.task, call.host) for call in calls] == [(STOP_REPLOT, "h1")]
    assert [one.host for one in answers] == ["h1", "h2"]
    assert "It keeps its order when it returns" in str(answers[1].answer)
    with pytest.raises(NothingToReplot, match="h3 replaces no plots"):
        replot.with_orders("h3")


def test_a_harvester_whose_report_cannot_be_read_is_asked_to_pause_and_to_stop(
    planned: Planned,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = harvester(host="h1", replot_report=ordered())
    at = replace(farm(own), spoilt={"h2": "Keys of h2 cannot be read: x."})
    monkeypatch.setattr(replot, "read_farm", lambda _: at)
    calls = answering(monkeypatch, {"h1": "h1 is paused", "h2": "h2 is paused"})
    replot.pause(None, None)
    replot.pause("h2", None)
    assert [call.host for call in calls] == ["h1", "h2", "h2"]
