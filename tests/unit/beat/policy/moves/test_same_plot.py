"""One plot id, listed at several paths or hosts: one file moves, the others wait, and none waits for ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beat.policy.decide import decide
from beat.policy.decision import Decision
from beat.policy.memory import Memory
from beat.policy.moves.same_plot import LONGEST, PATIENCE, Claim
from common.model.board_state import BoardState
from common.model.pending import MoveStep, PendingMove
from common.model.plot_name import plot_id_of
from common.model.snapshot import FinishedPlot, HarvesterSnapshot, PlotState, PlotterSnapshot, Transfer, Wait
from tests.unit.beat.builders import T, archiver, at, drive, farm, keeper, move, plot


def name(number: int, day: int = 22) -> str:
    return f"plot-k32-2026-11-{day}-15-48-{number:064x}"


def path(number: int = 1, folder: str = "/dst1", day: int = 22) -> str:
    return f"{folder}/{name(number, day)}.plot"


def listed(number: int = 1, folder: str = "/dst1", day: int = 22, **fields: Any) -> FinishedPlot:
    return plot(name(number, day), folder, **fields)


@dataclass
class Farm:
    """What the board shows. harvesters: with room for everything."""

    plotters: dict[str, PlotterSnapshot]
    moves: dict[str, list[PendingMove]] = field(default_factory=dict)
    harvesters: dict[str, HarvesterSnapshot] = field(default_factory=lambda: farm(h1=[drive()], h2=[drive()]))
    transfers: dict[str, Transfer] = field(default_factory=dict)
    lost: dict[str, HarvesterSnapshot] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)

    def decided(self, seconds: float = 0) -> Decision:
        archivers = {
            host: archiver(host, transfers=(self.transfers[host],) if host in self.transfers else ())
            for host in self.plotters
        }
        board = BoardState(
            self.plotters, archivers, self.harvesters, {}, self.moves, lost_harvesters=self.lost
        )
        return decide(board, at(seconds), memory=self.memory)

    def ordered(self, seconds: float = 0) -> list[tuple[str, str, str]]:
        return [(each.host, each.plot.path, each.harvester) for each in self.decided(seconds).moves]

    def reasons(self, seconds: float = 0) -> dict[str, tuple[str, str]]:
        waits = of_plots(self.decided(seconds))
        return {wait.host: (wait.rule, wait.reason) for wait in waits}


def of_plots(decision: Decision) -> list[Wait]:
    return [wait for wait in decision.waits if wait.subject is not None]


def host(name: str, *plots: FinishedPlot, **fields: Any) -> PlotterSnapshot:
    return keeper(*plots, **{"host": name, "moves_at_once": 9, **fields})


def two_folders() -> PlotterSnapshot:
    return host("p1", listed(folder="/dst1", since=at(-9)), listed(folder="/dst2"))


ONE = Farm({"p1": two_folders()})


@pytest.mark.parametrize(
    "other",
    [listed(folder="/dst2"), listed(day=23), listed(folder="/dst2", day=23)],
    ids=["in another folder", "under another name", "both"],
)
def test_of_a_plot_with_two_paths_one_file_moves(other: FinishedPlot) -> None:
    """`dst: [/x/buffer, /x/link-to-buffer]`, a rename, or a copy."""
    there = Farm({"p1": host("p1", listed(), other)})
    decision = there.decided()
    assert [each.plot.path for each in decision.moves] == [path()]
    assert [(wait.rule, wait.subject, wait.reason) for wait in of_plots(decision)] == [
        ("same plot", other.path, f"the same plot, {path()}, is on its way to h1")
    ]


def test_of_a_plot_with_two_hosts_one_file_moves() -> None:
    there = Farm({"p1": host("p1", listed(since=at(-99))), "p2": host("p2", listed())})
    decision = there.decided()
    assert [(each.host, each.plot.path) for each in decision.moves] == [("p1", path())]
    assert [(wait.host, wait.rule, wait.reason, wait.until) for wait in of_plots(decision)] == [
        ("p2", "same plot", f"the same plot, p1:{path()}, is on its way to h1", T + PATIENCE)
    ]


@pytest.mark.parametrize("step", list(MoveStep))
def test_a_plot_waits_while_its_other_file_is_on_its_way_at_any_step(step: MoveStep) -> None:
    there = Farm({"p1": two_folders()}, {"p1": [move(path(folder="/old"), "h2", step=step)]})
    assert there.ordered() == []
    assert there.reasons()["p1"] == (
        "same plot",
        f"the same plot, {path(folder='/old')}, is on its way to h2",
    )


def transfer(source: str) -> Transfer:
    return Transfer(path=source, plot_id=None, size_bytes=1, harvester="h2", drive="/d", started_at=T)


def test_a_transfer_that_only_the_archiver_shows_counts(host_name: str = "p2") -> None:
    there = Farm({"p1": host("p1", listed()), host_name: host(host_name)}, transfers={"p2": transfer(path())})
    assert there.ordered() == []
    assert there.reasons()["p1"] == ("same plot", f"the same plot, p2:{path()}, is on its way to h2")


def test_a_plot_does_not_wait_for_itself() -> None:
    there = Farm({"p1": host("p1", listed())}, {"p1": [move(path())]}, transfers={"p1": transfer(path())})
    assert (there.ordered(), there.reasons()) == ([], {})


def test_once_a_move_has_failed_or_expired_another_file_is_tried() -> None:
    failed = move(path(), attempts=1, reason="broken", retry_at=at(90), expires_at=at(-9))
    assert Farm({"p1": two_folders()}, {"p1": [failed]}).ordered()[0][1] == path(folder="/dst2")
    expired = move(path(3), expires_at=at(-1))
    assert Farm({"p1": host("p1", listed(3))}, {"p1": [expired]}).ordered()


def test_other_plots_and_files_without_an_id_do_not_wait() -> None:
    there = Farm({"p1": host("p1", listed(1), listed(2), plot("a"), plot("a", "/dst2"))})
    there.harvesters = farm(h1=[drive()] * 4)
    assert len(there.ordered()) == 4


def test_after_a_rename_the_plot_returns_to_the_harvester_that_has_a_part_of_it() -> None:
    there = Farm({"p1": host("p1", listed(folder="/dst2"))})
    begun = move(path(), "h2", step=MoveStep.TRANSFER, retry_at=at(90), attempts=1)
    assert there.ordered() == [("p1", path(folder="/dst2"), "h1")]
    there.moves["p1"] = [begun]
    assert there.ordered() == [("p1", path(folder="/dst2"), "h2")]
    there.moves["p1"] = [begun.model_copy(update={"step": MoveStep.ADMIT})]
    assert there.ordered() == [("p1", path(folder="/dst2"), "h1")], "the plotter itself knows what it sent"


# What harvesters say of plots that they have.


def having(harvesters: dict[str, HarvesterSnapshot], which: str, **fields: Any) -> None:
    harvesters[which] = harvesters[which].model_copy(update=fields)


def test_a_copy_goes_to_the_harvester_that_took_the_plot_in() -> None:
    """There it is compared, and no second harvester gets it."""
    there = Farm({"p2": host("p2", listed(), listed(2))})
    there.harvesters = farm(h1=[drive()], h2=[drive(0)])
    having(there.harvesters, "h2", taken_in=(f"{7:064x}", f"{1:064x}"))
    assert there.ordered() == [("p2", path(1), "h2"), ("p2", path(2), "h1")]


def test_the_plotters_own_knowledge_comes_first() -> None:
    there = Farm({"p2": host("p2", listed(copied_to="h1"))})
    having(there.harvesters, "h2", taken_in=(f"{1:064x}",))
    assert there.ordered() == [("p2", path(), "h1")]


@pytest.mark.parametrize(
    ("silent", "why"), [(True, "it does not report"), (False, "archiving.harvesters does not name it")]
)
def test_a_plot_waits_a_day_for_a_harvester_that_has_it_and_may_not_get_it(silent: bool, why: str) -> None:
    there = Farm({"p1": host("p1", listed(), harvesters=() if silent else ("h1",))})
    having(there.harvesters, "h2", taken_in=(f"{1:064x}",))
    if silent:
        there.lost["h2"] = there.harvesters.pop("h2")
    assert there.ordered() == []
    assert there.reasons()["p1"] == ("taken in", f"harvester h2 has taken this plot in, and {why}")
    for minutes in range(0, 24 * 60, 10):
        assert there.ordered(60 * minutes) == []
    assert there.ordered(LONGEST.total_seconds()) == [("p1", path(), "h1")]


@pytest.mark.parametrize(
    ("stopped", "step", "ordered"),
    [
        (True, MoveStep.TRANSFER, []),
        (False, MoveStep.TRANSFER, [("p1", path(), "h2")]),
        (True, MoveStep.RESERVE, [("p1", path(), "h2")]),
    ],
)
def test_a_plot_waits_a_minute_for_a_harvester_that_has_a_part_and_was_stopped(
    stopped: bool, step: MoveStep, ordered: list[tuple[str, str, str]]
) -> None:
    begun = move(path(), "h1", step=step, retry_at=at(-1))
    there = Farm({"p1": host("p1", listed())}, {"p1": [begun]})
    there.lost["h1"] = there.harvesters.pop("h1").model_copy(update={"at": T, "stopped": stopped})
    assert there.ordered() == ordered
    if not ordered:
        assert there.reasons()["p1"] == (
            "harvester",
            "harvester h1, which has a part of this plot, was just stopped",
        )
        assert there.decided().due_at == at(60)
    assert there.ordered(60) == [("p1", path(), "h2")]


# What another plotter claims, which may be forged.


def forged(seconds: float, number: int = 1, harvester: str = "h2", **fields: Any) -> PendingMove:
    given = {"step": MoveStep.TRANSFER, "expires_at": at(seconds + 60)}
    return move(path(number, "/evil"), harvester, **{**given, **fields})


def sends_nothing(there: Farm, seconds: float, harvester: str = "h2") -> None:
    """Of a plot that it lists too, a plotter got the order, and only renews the record."""
    there.moves["evil"] = [forged(seconds, harvester=harvester)]
    there.memory.orders = {**there.memory.orders, Claim("evil", path(folder="/evil"), harvester): T}


def tries(there: Farm, minutes: int, begin: int = 0) -> Iterator[tuple[int, str]]:
    for minute in range(begin, minutes):
        sends_nothing(there, 60 * minute)
        for _, _, harvester in there.ordered(60 * minute):
            yield minute, harvester


def test_a_forged_move_delays_a_plot_and_does_not_stop_it() -> None:
    """The harvester that is named knows which of the two is real."""
    there = Farm({"p1": host("p1", listed())})
    assert list(tries(there, 50)) == [(20, "h2"), (41, "h2")]


def test_where_a_plot_failed_it_does_not_go_again_for_anothers_move_if_there_is_other_room() -> None:
    there = Farm({"p1": host("p1", listed())}, harvesters=farm(h1=[drive()], h2=[drive(0)]))
    tried = list(tries(there, 21))
    assert tried == [(20, "h2")], "it has no room, and knows whether the plot is there"
    there.moves["p1"] = [
        move(path(), "h2", reason="no drive", retry_at=at(1230), expires_at=at(1260), absent=True)
    ]
    assert list(tries(there, 50, 21)) == [(41, "h1")]


@pytest.mark.parametrize("shown_by", ["a record", "the archiver"])
def test_a_move_that_this_beat_did_not_order_binds_no_other_plotter_after_a_minute(shown_by: str) -> None:
    """Its record alone would steer the plot to a harvester that is full."""
    there = Farm({"p1": host("p1", listed()), "evil": host("evil")})
    there.harvesters = farm(h1=[drive()], h2=[drive(0)])
    for seconds in (0, 30, 60):
        there.moves = {"evil": [forged(seconds)] if shown_by == "a record" else []}
        if shown_by == "the archiver":
            there.transfers = {"evil": transfer(path(folder="/evil"))}
        assert there.ordered(seconds) == []
    there.moves = {"evil": [forged(61)] if shown_by == "a record" else []}
    assert there.ordered(61) == [("p1", path(), "h1")]


def test_a_beat_that_decides_again_after_another_one_takes_a_minute_to_learn() -> None:
    there = Farm({"p1": host("p1", listed())})
    there.plotters = {}
    there.decided(0)
    there.plotters = {"p1": host("p1", listed())}
    there.memory.decides_since = at(500)
    there.moves = {"evil": [forged(510)]}
    assert there.ordered(560) == []
    there.moves = {"evil": [forged(570)]}
    assert there.ordered(561) == [("p1", path(), "h1")]


def test_a_record_of_another_path_or_harvester_than_beat_ordered_is_not_known() -> None:
    for other in (forged(61, harvester="h1"), forged(61).model_copy(update={"path": path(folder="/x")})):
        there = Farm({"p1": host("p1", listed())}, memory=Memory())
        there.memory.decides_since = T
        sends_nothing(there, 61)
        assert there.ordered(61) == []
        there.moves["evil"] = [other]
        assert there.ordered(62) == [("p1", path(), "h1")]


def test_a_reservation_that_beat_did_not_order_takes_no_place_after_a_minute() -> None:
    there = Farm({"p1": host("p1", listed())}, harvesters=farm(h1=[drive()]))
    for seconds in (0, 60):
        there.moves = {"evil": [forged(seconds, 9, "h1", step=MoveStep.RESERVE)]}
        assert there.ordered(seconds) == []
    there.moves = {"evil": [forged(61, 9, "h1", step=MoveStep.RESERVE)]}
    assert there.ordered(61) == [("p1", path(), "h1")]


def test_an_ordered_reservation_takes_its_place_for_two_minutes() -> None:
    """Nothing but the plotter renews it: a harvester would have answered."""
    there = Farm({"evil": host("evil", listed(9, "/evil"))}, harvesters=farm(h1=[drive()]))
    assert there.ordered() == [("evil", path(9, "/evil"), "h1")]
    there.plotters["p1"] = host("p1", listed())
    for seconds in (5, 60, 61, 120):
        there.moves = {"evil": [forged(seconds, 9, "h1", step=MoveStep.RESERVE)]}
        assert there.ordered(seconds) == []
    there.moves = {"evil": [forged(121, 9, "h1", step=MoveStep.RESERVE)]}
    assert there.ordered(121) == [("p1", path(), "h1")]


def test_a_plot_that_arrives_proves_no_reservations() -> None:
    there = Farm({"p1": host("p1", listed())}, harvesters=farm(h1=[drive()]))
    there.ordered()
    having(there.harvesters, "h1", arriving={f"{9:064x}": "evil"})
    claimed = [
        forged(61, 9, "h1", step=MoveStep.RESERVE).model_copy(update={"path": path(9, f"/{number}")})
        for number in range(50)
    ]
    there.moves = {"evil": claimed}
    there.memory.orders = {}
    assert there.ordered(61) == [("p1", path(), "h1")]


@pytest.mark.parametrize("records_kept", [True, False])
@pytest.mark.parametrize("step", list(MoveStep))
def test_after_a_restart_of_beat_a_move_under_way_is_not_ordered_again(
    step: MoveStep, records_kept: bool
) -> None:
    """Also if Redis lost its data; then the archiver shows what it sends. p2 has a copy of the plot."""
    there = Farm({"p1": host("p1", listed()), "p2": host("p2", listed(folder="/dst2"))})
    having(there.harvesters, "h1", arriving={f"{1:064x}": "p1"})
    if not records_kept:
        there.transfers = {"p1": transfer(path()).model_copy(update={"harvester": "h1"})}
    for seconds in (0, 30, 61, 600, 5000):
        if records_kept:
            there.moves = {"p1": [move(path(), "h1", step=step, expires_at=at(seconds + 60))]}
        assert there.ordered(seconds) == []


def test_within_the_minute_after_a_restart_moves_count_that_no_harvester_shows_yet() -> None:
    there = Farm({"p1": host("p1", listed()), "p2": host("p2", listed(folder="/dst2"), listed(3))})
    there.harvesters = farm(h1=[drive()])
    for seconds in (0, 30, 60):
        there.moves = {"p1": [move(path(), "h1", expires_at=at(seconds + 60))]}
        assert there.ordered(seconds) == []
    having(there.harvesters, "h1", arriving={f"{1:064x}": "p1"}, drives=(drive(incoming=1),))
    there.moves = {"p1": [move(path(), "h1", step=MoveStep.TRANSFER, expires_at=at(999))]}
    assert there.ordered(900) == []


def test_a_forged_move_to_no_harvester_keeps_the_plot_from_none() -> None:
    there = Farm({"p1": host("p1", listed(), harvesters=("h1",))})
    assert list(tries(there, 30)) == [(20, "h1")]
    there = Farm({"p1": host("p1", listed())})
    del there.harvesters["h2"]
    assert list(tries(there, 30)) == [(20, "h1")]


def test_a_forger_gains_no_time_by_pauses() -> None:
    """It claims the plot only while the owner could send it."""
    there = Farm({"p1": host("p1", listed())})
    for minute in range(19):
        there.plotters["p1"] = host("p1", listed())
        there.moves = {}
        sends_nothing(there, 60 * minute)
        assert there.ordered(60 * minute) == []
        there.moves = {"p1": [move(path(9), expires_at=at(60 * minute + 60))]}
        there.plotters["p1"] = host("p1", listed(), listed(9), moves_at_once=1)
        assert there.ordered(60 * minute + 30) == []
    there.plotters["p1"] = host("p1", listed())
    there.moves = {}
    sends_nothing(there, 1200)
    assert there.ordered(1200) == [("p1", path(), "h2")]


@pytest.mark.parametrize("alive", [True, False])
def test_as_long_as_the_harvester_says_that_the_plot_arrives_from_there_the_other_waits(alive: bool) -> None:
    there = Farm({"p1": host("p1", listed())})
    having(there.harvesters, "h2", arriving={f"{1:064x}": "evil"})
    if not alive:
        there.lost["h2"] = there.harvesters.pop("h2")
    assert list(tries(there, 300)) == []
    shown = there.lost if not alive else there.harvesters
    having(shown, "h2", arriving={f"{1:064x}": "p3"})
    assert list(tries(there, 330, 300)) == [(320, "h2" if alive else "h1")]


@pytest.mark.parametrize("shown", ["arriving", "taken_in"])
@pytest.mark.parametrize("alive", [True, False])
@pytest.mark.parametrize("known", [True, False], ids=["the plotter knows who has it", "it forgot"])
def test_a_record_that_says_that_a_harvester_has_no_copy_counts_only_if_the_harvester_shows_none(
    shown: str, alive: bool, known: bool
) -> None:
    """Each harvester may write the record, and could have the plot farmed twice."""
    if shown == "arriving" and not known:
        return  # then no harvester has all of it
    there = Farm({"p1": host("p1", listed(copied_to="h2" if known else None))})
    forged = {"step": MoveStep.TRANSFER, "attempts": 5, "retry_at": at(-2), "expires_at": at(-1)}
    there.moves = {"p1": [move(path(), "h2", absent=True, **forged)]}
    plot_id = f"{1:064x}"
    own: dict[str, Any] = {"taken_in": (plot_id,)} if shown == "taken_in" else {"arriving": {plot_id: "p1"}}
    having(there.harvesters, "h2", **own)
    if not alive:
        there.lost["h2"] = there.harvesters.pop("h2")
    assert there.ordered() == ([("p1", path(), "h2")] if alive else [])
    having(there.lost if not alive else there.harvesters, "h2", taken_in=(), arriving={})
    assert there.ordered() == [("p1", path(), "h1")]


def test_a_record_of_a_harvester_that_is_not_known_says_nothing_of_its_copy() -> None:
    there = Farm({"p1": host("p1", listed(copied_to="h9"))})
    there.moves = {"p1": [move(path(), "h9", absent=True, expires_at=at(-1))]}
    assert there.ordered() == []


def test_what_a_lost_harvester_showed_to_arrive_keeps_a_plot_from_others_for_a_day() -> None:
    there = Farm({"p1": host("p1", listed(copied_to="h2"))})
    having(there.harvesters, "h2", arriving={f"{1:064x}": "p1"})
    there.lost["h2"] = there.harvesters.pop("h2")
    there.moves = {"p1": [move(path(), "h2", absent=True, expires_at=at(-1))]}
    day_s = int(LONGEST.total_seconds())
    assert there.ordered(day_s - 60) == []
    assert there.ordered(day_s + 60) == [("p1", path(), "h1")]


def test_after_a_day_a_plot_does_not_wait_for_what_a_harvester_says_to_arrive() -> None:
    there = Farm({"p1": host("p1", listed())})
    having(there.harvesters, "h2", arriving={f"{1:064x}": "evil"})
    day = int(LONGEST.total_seconds() / 60)
    assert list(tries(there, day + 1)) == [(day, "h2")]


@pytest.mark.parametrize("failures", ["of reservations", "of transfers"])
def test_a_harvester_that_says_that_it_has_a_plot_and_never_takes_it_keeps_it_from_others_for_a_day(
    failures: str,
) -> None:
    there = Farm({"p1": host("p1", listed())})
    having(there.harvesters, "h2", taken_in=(f"{1:064x}",))
    attempts, pause_s = 0, 600
    for seconds in range(0, 3 * int(LONGEST.total_seconds()), pause_s):
        ordered = there.ordered(seconds)
        if ordered == [("p1", path(), "h1")]:
            break
        assert ordered == [("p1", path(), "h2")]
        attempts += failures == "of transfers"
        failed: dict[str, Any] = {"attempts": attempts, "reason": "x", "retry_at": at(seconds + 1)}
        there.moves["p1"] = [move(path(), "h2", expires_at=at(seconds), **failed)]
    assert seconds == LONGEST.total_seconds()


def test_a_clock_that_is_set_back_does_not_make_a_plot_wait_longer() -> None:
    there = Farm({"p1": host("p1", listed())})
    for seconds in (600, 0):
        sends_nothing(there, seconds)
        there.ordered(seconds)
    assert list(tries(there, 25, 1)) == [(20, "h2")]


def test_the_files_of_a_host_wait_for_each_other_however_long_it_takes() -> None:
    there = Farm({"p1": two_folders()})
    for minute in range(100):
        there.moves = {"p1": [move(path(), expires_at=at(60 * minute + 60))]}
        assert there.ordered(60 * minute) == []


def test_a_plot_that_is_no_plot_for_a_harvester_claims_nothing() -> None:
    there = Farm({"p1": host("p1", listed(state=PlotState.OPEN, since=at(-9)), listed(folder="/dst2"))})
    assert there.ordered() == [("p1", path(folder="/dst2"), "h1")]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_never_two_moves_of_a_plot_and_never_none_for_ever(data: st.DataObject) -> None:
    """Moves advance, fail, expire and end by chance; plots are listed anywhere, several times."""
    draw = data.draw
    places = st.tuples(
        st.integers(1, 3), st.sampled_from(["p1", "p2", "p3"]), st.sampled_from(["/dst1", "/dst2"])
    )
    files = {(host, path(number, folder)) for number, host, folder in draw(st.sets(places, max_size=9))}
    moves: dict[tuple[str, str], PendingMove] = {}
    memory, seconds = Memory(), 0.0
    plotters = ("p1", "p2", "p3")
    at_once = {each: draw(st.integers(1, 3)) for each in plotters}
    for round_ in range(50):
        quiet = round_ >= 20  # from now on, each move ends well
        if not quiet and draw(st.integers(0, 4)) == 0:
            memory = Memory()  # beat restarts
        seconds += draw(st.sampled_from([1, 20, 70])) if not quiet else 70
        shown = {
            each: keeper(
                *(plot(file.rpartition("/")[2][:-5], file.rpartition("/")[0]) for at_, file in sorted(files)
                  if at_ == each),
                host=each, moves_at_once=at_once[each],
            )
            for each in plotters
        }  # fmt: skip
        records = {each: [m for (at_, _), m in moves.items() if at_ == each] for each in plotters}
        harvesters = farm(h1=[drive()] * 9, h2=[drive()] * 9)
        for name_ in harvesters:
            coming = {
                str(plot_id_of(m.path)): at_
                for (at_, _), m in moves.items()
                if m.harvester == name_ and m.retry_at is None and m.expires_at > at(seconds)
            }
            having(harvesters, name_, arriving=coming)
        board = BoardState(shown, {each: archiver(each) for each in plotters}, harvesters, {}, records)
        decision = decide(board, at(seconds), memory=memory)
        for each in decision.moves:
            moves[each.host, each.plot.path] = move(
                each.plot.path, each.harvester, expires_at=at(seconds + 60)
            )
        live = [m for m in moves.values() if m.retry_at is None and m.expires_at > at(seconds)]
        assert max(Counter(plot_id_of(m.path) for m in live).values(), default=0) <= 1
        explained = {(wait.host, wait.subject) for wait in decision.waits}
        assert files <= explained | moves.keys()
        for key, each in list(moves.items()):
            if each not in live:
                continue
            fate = "ends" if quiet else draw(st.sampled_from(["ends", "fails", "dies", "goes on"]))
            if fate == "ends":
                files.discard(key)
                del moves[key]
            elif fate == "fails":
                moves[key] = each.model_copy(update={"retry_at": at(seconds + 30), "attempts": 1})
            elif fate == "goes on":
                moves[key] = each.model_copy(update={"expires_at": at(seconds + 60 + 70)})
    assert not files


def test_what_is_remembered_of_waiting_plots_is_forgotten() -> None:
    there = Farm({"p1": host("p1", listed(), listed(2))}, {"evil": [forged(0)]})
    assert there.ordered()
    assert there.memory.contests
    assert there.memory.orders
    there.moves = {}
    there.plotters = {}
    there.decided((PATIENCE + timedelta(seconds=1)).total_seconds())
    assert there.memory.contests == {}
    assert there.memory.orders == {}


@pytest.mark.parametrize("ahead_s", [7200, 10 * 365 * 86_400])
def test_a_harvester_that_was_stopped_in_the_future_keeps_no_plot_waiting(ahead_s: float) -> None:
    """The clock was set back, or the harvester's user wrote the time."""
    there = Farm({"p1": host("p1", listed())})
    there.moves = {"p1": [move(path(), "h1", step=MoveStep.TRANSFER, retry_at=at(-2), expires_at=at(-1))]}
    there.lost["h1"] = there.harvesters.pop("h1").model_copy(update={"at": at(ahead_s), "stopped": True})
    assert there.ordered() == [("p1", path(), "h2")]


def test_a_plot_whose_record_was_deleted_goes_where_its_bytes_arrive() -> None:
    there = Farm({"p1": host("p1", listed())}, harvesters=farm(h1=[drive(200)], h2=[drive()]))
    having(there.harvesters, "h1", arriving={f"{1:064x}": "p1"})
    assert there.ordered() == [("p1", path(), "h1")]
