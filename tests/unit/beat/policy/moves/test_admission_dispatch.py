"""Which harvesters learn that a plot is sent to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from beat.policy.moves.admission_dispatch import due_admissions, with_admissions_sent
from common.model.messages import Delivery, Reservation
from common.model.pending import MoveStep, PendingMove, under_way

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


def test_a_plot_that_is_sent_is_passed_on_once() -> None:
    moves = {"p1": [sent(), sent(path="/dst/b.plot", delivery=None)]}
    assert [passing.move.path for passing in due_admissions(moves)] == ["/dst/a.plot"]
    assert due_admissions(with_admissions_sent(moves, NOW)) == ()


def test_what_was_sent_while_no_beat_was_there_is_passed_on_and_not_sent_again() -> None:
    moves = {"p1": [sent(expires_at=NOW - timedelta(hours=5))]}
    assert len(due_admissions(moves)) == 1
    (after,) = with_admissions_sent(moves, NOW)["p1"]
    assert under_way(after, NOW)
    assert after.attempts == 2
    assert after.move == "m1"


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
def test_a_delivery_that_does_not_fit_its_move_is_not_with_admissions_sent(changes: dict[str, Any]) -> None:
    moves = {"p1": [sent(**changes)]}
    assert due_admissions(moves) == ()
    assert with_admissions_sent(moves, NOW)["p1"] == (sent(**changes),)


def test_nobody_has_the_plot_of_another_taken_in() -> None:
    assert due_admissions({"p2": [sent()]}) == ()
