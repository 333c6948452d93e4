"""Whose plot moves next: what one plotter host claims takes no other host's turn."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from beat.policy.decision import Decision
from common.model.figures import LONGEST_REASON, PLOTS_MAX
from common.model.pending import MoveStep, PendingMove
from common.model.snapshot import Drive, FinishedPlot, PlotterSnapshot, Transfer
from common.names import MOVES_AT_ONCE_MAX
from common.store.decode import read
from tests.unit.beat.builders import GB, T, archiver, at, decided, drive, farm, keeper, move, plot

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVIL = "p0"


def decided_on(
    hosts: list[PlotterSnapshot],
    drives: list[Drive],
    moves: dict[str, list[PendingMove]] | None = None,
    now: datetime = T,
    **of_evil: Any,
) -> Decision:
    archivers = {each.host: archiver(each.host) for each in hosts}
    archivers[EVIL] = archiver(EVIL, **of_evil)
    return decided({each.host: each for each in hosts}, archivers, farm(h1=drives), {}, moves or {}, now)


def greedy(plots: int = 50, **fields: Any) -> PlotterSnapshot:
    own = tuple(plot(f"{number:05}", since=EPOCH) for number in range(plots))
    return keeper(*own, host=EVIL, moves_at_once=MOVES_AT_ONCE_MAX, **fields)


times = st.sampled_from([EPOCH, at(-(10**7)), at(-60), at(0), at(60), datetime(4999, 1, 1, tzinfo=UTC)])
claimed_plots = st.lists(
    st.builds(
        lambda number, size_bytes, since: plot(f"{number:03}", size_bytes=size_bytes, since=since),
        st.integers(0, 99),
        st.sampled_from([0, 1, GB, 108 * GB, 1 << 62, -(1 << 62)]),
        times,
    ),
    max_size=40,
    unique_by=lambda each: each.path,
)
claimed_moves = st.lists(
    st.builds(
        lambda number, step, expires_s, size_bytes, harvester: move(
            f"/dst1/{number:03}.plot",
            harvester,
            step=step,
            expires_at=at(expires_s),
            size_bytes=size_bytes,
        ),
        st.integers(0, 199),
        st.sampled_from(MoveStep),
        st.sampled_from([-10, 1, 60, 600, 10**9]),
        st.sampled_from([0, GB, 108 * GB, 1 << 53]),
        st.sampled_from(["h1", "h1", "h9", ""]),
    ),
    max_size=60,
    unique_by=lambda each: each.path,
)
claimed_transfers = st.lists(
    st.builds(
        lambda number: Transfer(
            path=f"/dst1/{number:03}.plot",
            plot_id=None,
            size_bytes=1 << 62,
            harvester="h1",
            drive="/farm/1",
            started_at=EPOCH,
        ),
        st.integers(0, 99),
    ),
    max_size=5,
)


@settings(max_examples=400, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(0, 3),
    claimed_plots,
    claimed_moves,
    claimed_transfers,
    st.sampled_from([1, 2, MOVES_AT_ONCE_MAX]),
    st.integers(0, 10_000),
)
def test_with_space_for_as_many_plots_as_there_are_hosts_each_gets_a_move_whatever_one_claims(
    honest: int,
    spare: int,
    plots: list[FinishedPlot],
    moves: list[PendingMove],
    transfers: list[Transfer],
    at_once: int,
    later_s: int,
) -> None:
    hosts = [
        keeper(plot("a"), plot("b"), plot("c"), host=f"p{number}", moves_at_once=2)
        for number in range(1, honest + 1)
    ]
    evil = keeper(*plots, host=EVIL, moves_at_once=at_once)
    drives = [drive(10_000, f"/farm/{number}") for number in range(honest + 1 + spare)]
    now = T + timedelta(seconds=later_s)
    given_ = {"routed": (), "transfers": tuple(transfers)}
    decision = decided_on([evil, *hosts], drives, {EVIL: moves}, now, **given_)
    got = Counter(each.host for each in decision.moves)
    assert all(got[host.host] >= 1 for host in hosts)
    again = decided_on([evil, *hosts], drives, {EVIL: moves}, now, **given_)
    assert decision == again


def test_no_host_gets_a_second_move_before_each_has_one() -> None:
    hosts = [keeper(plot("a"), plot("b"), host=f"p{number}", moves_at_once=2) for number in (1, 2)]
    decision = decided_on([greedy(), *hosts], [drive(path=f"/farm/{number}") for number in range(4)])
    assert sorted(Counter(each.host for each in decision.moves).values()) == [1, 1, 2]


def test_a_host_with_fewer_moves_under_way_comes_first() -> None:
    sending = [move(f"/dst1/{number:05}.plot", step=MoveStep.TRANSFER) for number in range(2)]
    other = keeper(plot("a", since=at(-1)), plot("b", since=at(-1)), host="p1", moves_at_once=2)
    drives = [drive(path="/farm/1", incoming=1), drive(path="/farm/2", incoming=1), drive(path="/farm/3")]
    decision = decided_on([greedy(), other], drives, {EVIL: sending})
    assert [each.host for each in decision.moves] == ["p1"]


def test_reservations_that_are_only_claimed_keep_no_drive_from_others() -> None:
    claimed = [move(f"/dst1/{number:05}.plot") for number in range(1000)]
    other = keeper(plot("a"), host="p1")
    decision = decided_on([greedy(), other], [drive(path="/farm/1"), drive(path="/farm/2")], {EVIL: claimed})
    assert [each.host for each in decision.moves] == ["p1"]


def test_an_ordered_move_takes_its_drive_before_a_new_one_of_the_same_turn() -> None:
    ordered, other = [move("/dst1/z.plot")], keeper(plot("a"), host="p1")
    assert decided_on([greedy(), other], [drive()], {EVIL: ordered}).moves == ()


def test_a_plot_that_claims_to_wait_for_years_takes_not_every_turn_of_one_drive() -> None:
    """The other host has waited for an hour, which counts as much as half a century."""
    other = keeper(plot("a", since=at(-3600)), host="p1")
    firsts = Counter(
        decided_on([greedy(), other], [drive()], now=at(60 * minute)).moves[0].host for minute in range(200)
    )
    assert min(firsts[EVIL], firsts["p1"]) > 60


def test_a_time_of_the_future_is_no_waiting_time() -> None:
    later = keeper(plot("a", since=at(10**6)), host=EVIL)
    other = keeper(plot("a", since=at(-1)), host="p1")
    assert [each.host for each in decided_on([later, other], [drive()]).moves] == ["p1"]


def test_other_harvesters_than_those_that_are_claimed_to_be_busy_are_not_overrun() -> None:
    """Each host's records count for a limited number of plots on their way."""
    claimed = [move(f"/x/{number}.plot", step=MoveStep.TRANSFER) for number in range(10_000)]
    busy = [move(f"/y/{number}.plot", "h2", step=MoveStep.TRANSFER) for number in range(40)]
    records = {EVIL: claimed, "p2": busy[:20], "p3": busy[20:]}
    both = farm(h1=[drive(path="/farm/1")], h2=[drive(path="/farm/2")])
    decision = decided({"p1": keeper(plot("a"), host="p1")}, {"p1": archiver()}, both, {}, records, T)
    assert [each.harvester for each in decision.moves] == ["h1"]


def test_a_snapshot_claims_no_more_than_a_configuration_may() -> None:
    text = (
        greedy(PLOTS_MAX + 7)
        .model_dump_json()
        .replace(f'"moves_at_once":{MOVES_AT_ONCE_MAX}', f'"moves_at_once":{1 << 62}')
    )
    snapshot = read(PlotterSnapshot, text, EVIL)
    assert (snapshot.moves_at_once, len(snapshot.plots)) == (MOVES_AT_ONCE_MAX, PLOTS_MAX)
    none = text.replace(f'"moves_at_once":{1 << 62}', '"moves_at_once":-5')
    assert read(PlotterSnapshot, none, EVIL).moves_at_once == 1


def test_each_plot_that_waits_has_a_reason_though_not_each_is_tried() -> None:
    decision = decided_on([greedy(300)], [drive(1)])
    assert len([wait for wait in decision.waits_of[EVIL] if wait.rule == "drives"]) == 300


def test_of_hosts_with_equally_many_moves_one_whose_next_move_is_ordered_already_comes_first() -> None:
    """Its space is promised: a new move of another host must not take it."""
    ordered = [move(f"/dst1/{number}.plot") for number in range(2)]
    own = [plot(str(number), since=T) for number in range(2)]
    first = keeper(*own, host="p1", moves_at_once=2)
    longest_waiting = keeper(plot("a", since=EPOCH), plot("b", since=EPOCH), host="p2", moves_at_once=2)
    decision = decided_on([first, longest_waiting], [drive(), drive(), drive()], {"p1": ordered})
    assert [each.host for each in decision.moves] == ["p2"]


def test_what_a_host_says_once_is_not_repeated_at_length_for_each_of_its_plots() -> None:
    decision = decided_on([greedy(100, harvesters=("x" * 60_000,))], [])
    assert len(decision.waits) >= 100
    assert max(len(wait.reason) for wait in decision.waits) == LONGEST_REASON
