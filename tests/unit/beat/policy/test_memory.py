"""A round with a memory decides as one without it does."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from beat.policy.memory import Memory, refresh_s
from common.model.pending import PendingOrder
from common.model.snapshot import PlotterSnapshot, Wait
from tests.unit.beat.builders import T, archiver, at, decided, drive, farm, job, keeper, order, plot, plotter
from tests.unit.beat.policy.test_properties import hosts, pending


def rules(waits: tuple[Wait, ...]) -> list[tuple[str, str | None]]:
    return [(wait.rule, wait.subject) for wait in waits]


@settings(max_examples=200, deadline=None)
@given(hosts(), pending, st.lists(st.integers(0, 2_000_000), min_size=1, max_size=6))
def test_at_any_later_time_the_decision_is_the_same(
    snapshot: PlotterSnapshot, orders: list[PendingOrder], pauses_ms: list[int]
) -> None:
    memory, now = Memory(), T
    for pause_ms in (0, *pauses_ms):
        now += timedelta(milliseconds=pause_ms)
        given_ = ({"p1": snapshot}, {}, {}, {"p1": orders}, {}, now)
        remembered, fresh = decided(*given_, memory=memory), decided(*given_)
        assert remembered.starts == fresh.starts
        assert rules(remembered.waits) == rules(fresh.waits)
        if fresh.due_at is not None:
            assert remembered.due_at is not None
            assert remembered.due_at <= fresh.due_at + timedelta(milliseconds=2)  # nobody oversleeps


def test_what_did_not_change_is_the_same_object_and_what_did_is_not() -> None:
    memory = Memory()
    busy, idle = plotter(host="p1", jobs=(job(),)), plotter(host="p2", jobs=(job(),))
    before = decided({"p1": busy, "p2": idle}, {}, {}, {}, {}, T, memory=memory).waits_of
    changed = busy.model_copy(update={"jobs": (job(phase="3:1"),), "global_max_jobs": 1})
    after = decided({"p1": changed, "p2": idle}, {}, {}, {}, {}, at(0.1), memory=memory).waits_of
    assert after["p2"] is before["p2"]
    assert [wait.rule for wait in before["p1"]] == ["tmp phase"]
    assert [wait.rule for wait in after["p1"]] == ["max jobs"]


def test_a_start_is_not_decided_again_once_it_is_ordered() -> None:
    memory, snapshot = Memory(), plotter()
    first = decided({"p1": snapshot}, {}, {}, {}, {}, T, memory=memory)
    assert [start.tmp for start in first.starts] == ["/tmp1"]
    orders = {"p1": [order()]}
    assert decided({"p1": snapshot}, {}, {}, orders, {}, at(1), memory=memory).starts == ()
    # The order came to nothing: it is void, and the start is due again.
    assert len(decided({"p1": snapshot}, {}, {}, orders, {}, at(60), memory=memory).starts) == 1


def test_the_numbers_of_a_reason_are_renewed() -> None:
    memory, snapshot = Memory(), plotter(global_stagger_s=1800, last_start_at=T)
    shown = [
        decided({"p1": snapshot}, {}, {}, {}, {}, at(seconds), memory=memory).waits[0].reason
        for seconds in (10, 10.1, 20)
    ]
    assert shown[0] == shown[1]
    assert (shown[0][:11], shown[2][:11]) == ("stagger 10s", "stagger 20s")
    assert refresh_s("p1", hosts=3) <= 1.5
    assert len({refresh_s(f"p{number}", hosts=1000) for number in range(100)}) == 100  # they take turns


def test_moves_are_decided_afresh_each_time() -> None:
    memory, waiting = Memory(), keeper(plot("a"))
    given_ = ({"p1": waiting}, {"p1": archiver()})
    assert decided(*given_, {}, {}, {}, T, memory=memory).moves == ()
    moves = decided(*given_, farm(h1=[drive()]), {}, {}, at(0.1), memory=memory).moves
    assert [move.harvester for move in moves] == ["h1"]


def test_a_host_that_is_gone_is_forgotten() -> None:
    memory = Memory()
    full = plotter(jobs=(job(),), global_max_jobs=1)
    assert decided({"p1": full}, {}, {}, {}, {}, T, memory=memory).waits_of
    assert decided({}, {}, {}, {}, {}, T, memory=memory).waits_of == {}
    assert decided({"p1": full}, {}, {}, {}, {}, T, memory=memory).waits_of


def test_a_window_that_opens_lets_plots_start_though_nobody_said_anything_new() -> None:
    memory, snapshot = Memory(), plotter(windows=("12:30-13:00",))
    closed = decided({"p1": snapshot}, {}, {}, {}, {}, T, memory=memory)
    assert (closed.starts, closed.due_at) == ((), at(1800))
    assert decided({"p1": snapshot}, {}, {}, {}, {}, at(1799), memory=memory).starts == ()
    assert len(decided({"p1": snapshot}, {}, {}, {}, {}, at(1800), memory=memory).starts) == 1
