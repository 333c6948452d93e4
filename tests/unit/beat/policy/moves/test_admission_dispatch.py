"""Which harvesters learn that a plot is sent to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from beat.policy.decision import AdmissionOrder
from beat.policy.moves.admission_dispatch import (
    Passed,
    PassedOn,
    due_admissions,
    passed_on,
    with_admissions_sent,
)
from beat.policy.moves.same_plot import LONGEST, Claim
from common.model.board_state import BoardState
from common.model.messages import Delivery, Reservation
from common.model.pending import MoveStep, PendingMove, under_way
from common.model.snapshot import HarvesterSnapshot
from common.names import MOVES_AT_ONCE_MAX

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DELIVERY = Delivery(
    reservation=Reservation(
        host="h1", source_host="p1", path="/dst/a.plot", size_bytes=7, drive="/d", part="/d/p", move="m1"
    )
).kwargs()


def sent(**changes: Any) -> PendingMove:
    fields: dict[str, Any] = {
        "path": "/dst/a.plot",
        "harvester": "h1",
        "size_bytes": 7,
        "step": MoveStep.ADMIT,
        "expires_at": NOW + timedelta(seconds=60),
        "delivery": DELIVERY,
        "attempts": 2,
        "move": "m1",
    }
    return PendingMove(**(fields | changes))


CLAIM = Claim("p1", "/dst/a.plot", "h1")


@dataclass
class Beat:
    """What a beat remembers of its rounds. arriving: what the harvester h1 shows."""

    orders: dict[Claim, datetime] = field(default_factory=lambda: {CLAIM: NOW})
    passed: PassedOn = field(default_factory=dict)
    decides_since: datetime = NOW - timedelta(hours=1)
    arriving: dict[str, str] = field(default_factory=dict)

    def round(self, moves: dict[str, list[PendingMove]], at: datetime = NOW) -> list[str]:
        """Return the paths of the plots whose admission is ordered in a round at that time."""
        harvester = HarvesterSnapshot(host="h1", at=at, drives=(), arriving=self.arriving)
        board = BoardState({}, {}, {"h1": harvester}, {}, moves)
        due = due_admissions(board, at, self.orders, self.passed, self.decides_since)
        for order in due:
            self.passed = passed_on(order, at, self.orders, self.passed)
        for host, records in with_admissions_sent(moves, due, at).items():
            moves[host] = list(records)
        return [order.move.path for order in due]


def test_a_plot_that_is_sent_is_passed_on_once() -> None:
    moves = {"p1": [sent(), sent(path="/dst/b.plot", delivery=None)], "p3": [sent()]}
    beat = Beat()
    assert beat.round(moves) == ["/dst/a.plot"]
    assert moves["p1"][0].delivery is None
    assert moves["p3"][0].delivery is not None
    assert beat.round(moves) == []


def test_what_was_sent_while_no_beat_was_there_is_passed_on_and_not_sent_again() -> None:
    moves = {"p1": [sent(expires_at=NOW - timedelta(hours=5))]}
    assert Beat(orders={}, decides_since=NOW).round(moves) == ["/dst/a.plot"]
    (after,) = moves["p1"]
    assert under_way(after, NOW)
    assert after.attempts == 2
    assert after.move == "m1"


def test_each_order_of_a_move_brings_three_admissions_at_most() -> None:
    """The first may have been lost with Redis' last second: then the delivery is on the board again."""
    beat = Beat()
    tried = (0, 1, 4, 5, 6, 10, 15, 3600)
    admitted = [second for second in tried if beat.round({"p1": [sent()]}, NOW + timedelta(seconds=second))]
    assert admitted == [0, 5, 10]
    again = NOW + timedelta(seconds=3601)
    beat.orders = {CLAIM: again}
    assert beat.round({"p1": [sent()]}, again) == ["/dst/a.plot"]
    assert beat.passed[CLAIM].times == 1


def test_a_delivery_that_beat_did_not_order_is_passed_on_if_the_harvester_shows_that_it_arrives() -> None:
    path = f"/dst/plot-k32-2026-11-22-15-48-{1:064x}.plot"
    reservation = DELIVERY["reservation"] | {"path": path}
    move = sent(path=path, delivery=DELIVERY | {"reservation": reservation})
    beat = Beat(orders={})
    assert beat.round({"p1": [move]}) == []
    beat.arriving = {f"{1:064x}": "p2"}
    assert beat.round({"p1": [move]}) == []
    beat.arriving = {f"{1:064x}": "p1"}
    assert beat.round({"p1": [move]}) == [path]
    assert beat.round({"p1": [move]}) == []


def test_a_beat_that_has_just_begun_passes_on_so_many_of_a_plotter_as_may_move_at_once() -> None:
    moves = {}
    for host in ("p1", "p2"):
        reservation = DELIVERY["reservation"] | {"source_host": host}
        moves[host] = [
            sent(
                path=f"/dst/{number}.plot",
                delivery=DELIVERY | {"reservation": reservation | {"path": f"/dst/{number}.plot"}},
            )
            for number in range(MOVES_AT_ONCE_MAX + 5)
        ]
    beat = Beat(orders={}, decides_since=NOW)
    assert len(beat.round(moves)) == 2 * MOVES_AT_ONCE_MAX
    assert beat.round(moves, NOW + timedelta(seconds=30)) == []
    assert beat.round(moves, NOW + timedelta(seconds=61)) == []


def test_a_clock_that_is_set_back_keeps_no_plot_from_its_harvester() -> None:
    beat = Beat(passed={CLAIM: Passed(NOW + timedelta(hours=2), 3)})
    assert beat.round({"p1": [sent()]}) == ["/dst/a.plot"]


def test_what_was_passed_on_is_forgotten_after_a_day() -> None:
    beat = Beat()
    beat.round({"p1": [sent()]})
    later = NOW + LONGEST + timedelta(seconds=1)
    order = AdmissionOrder("p1", sent(path="/dst/b.plot"))
    assert list(passed_on(order, later, {}, beat.passed)) == [Claim("p1", "/dst/b.plot", "h1")]


@pytest.mark.parametrize(
    "changes",
    [
        {"delivery": None},
        {"step": MoveStep.TRANSFER},
        {"retry_at": NOW},
        {"harvester": "h2"},
        {"path": "/dst/other.plot"},
        {"size_bytes": 8},
        {"move": "m2"},
        {"delivery": {}},
        {"delivery": {"reservation": "h1"}},
    ],
)
def test_a_delivery_that_does_not_fit_its_move_is_not_passed_on(changes: dict[str, Any]) -> None:
    moves = {"p1": [sent(**changes)]}
    assert Beat(orders={}, decides_since=NOW).round(moves) == []
    assert moves["p1"] == [sent(**changes)]


def test_nobody_has_the_plot_of_another_taken_in() -> None:
    assert Beat(orders={}, decides_since=NOW).round({"p2": [sent()]}) == []


def test_many_records_of_one_plot_bring_no_more_admissions_than_one() -> None:
    beat = Beat()
    assert beat.round({"p1": [sent(), sent(), sent()]}) == ["/dst/a.plot"]
    arriving = Beat(orders={}, arriving={f"{1:064x}": "p1"})
    moves = []
    for number in range(50):
        path = f"/d{number}/plot-k32-2026-11-22-15-48-{1:064x}.plot"
        reservation = DELIVERY["reservation"] | {"path": path}
        moves.append(sent(path=path, delivery=DELIVERY | {"reservation": reservation}))
    assert len(arriving.round({"p1": moves})) == 1
