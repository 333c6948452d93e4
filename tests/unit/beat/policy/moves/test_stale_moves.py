"""Which moves leave the notice board because their plots no longer exist."""

from __future__ import annotations

from typing import Any

import pytest

from beat.policy.moves.stale_moves import stale_moves
from common.model.figures import PLOTS_MAX
from common.model.pending import MoveStep
from common.model.snapshot import DirState
from tests.support.paper import T
from tests.unit.beat.builders import at, decided, directory, keeper, move, plot

ENDED: dict[str, Any] = {"expires_at": at(-1)}
SEEN = {"p1": keeper(plot("other"))}


@pytest.mark.parametrize(
    "fields",
    [
        {"step": MoveStep.RELEASE},
        {"step": MoveStep.TRANSFER, "attempts": 3, "retry_at": at(3600)},
        {"path": "/tmp1/a.plot"},
    ],
    ids=["its last message was lost", "it would be tried again", "it lay in tmp"],
)
def test_a_move_that_ended_leaves_with_its_plot(fields: dict[str, Any]) -> None:
    ended = move(**(ENDED | fields))
    assert stale_moves(SEEN, {"p1": [ended]}, T) == (("p1", ended.path),)


def test_a_move_that_somebody_works_on_stays() -> None:
    assert stale_moves(SEEN, {"p1": [move(expires_at=at(1))]}, T) == ()


def test_a_move_whose_plot_lies_there_stays() -> None:
    assert stale_moves({"p1": keeper(plot("a"))}, {"p1": [move(**ENDED)]}, T) == ()


def test_what_a_silent_plotter_has_is_not_known() -> None:
    assert stale_moves({}, {"p1": [move(**ENDED)]}, T) == ()


@pytest.mark.parametrize(
    "directories",
    [
        {"dst_dirs": (directory("/dst1", state=DirState.UNKNOWN),)},
        {"dst_dirs": (directory("/dst1", state=DirState.HANGING),)},
        {"dst_dirs": (directory("/dst2"),)},
    ],
    ids=["not looked at yet", "hanging", "no more in plotman.yaml"],
)
def test_what_lies_in_a_directory_that_is_not_seen_is_not_known(directories: dict[str, Any]) -> None:
    assert stale_moves({"p1": keeper(**directories)}, {"p1": [move(**ENDED)]}, T) == ()


def test_a_directory_may_be_written_with_a_slash_at_its_end() -> None:
    snapshot = keeper(dst_dirs=(directory("/dst1/"),))
    assert stale_moves({"p1": snapshot}, {"p1": [move(**ENDED)]}, T) == (("p1", "/dst1/a.plot"),)


HOURS_AGO = at(-3 * 3600)


def test_a_move_under_the_old_name_of_a_host_leaves_once_no_part_can_wait_for_it() -> None:
    """After a rename nobody renews it, and no plotter of that name reads its directories."""
    left = move(step=MoveStep.RELEASE, expires_at=HOURS_AGO)
    renamed = {"new": keeper(host="new")}
    assert stale_moves(renamed, {"old": [left]}, T, {"old"}) == (("old", left.path),)
    failed = left.model_copy(update={"retry_at": at(10**6)})
    assert stale_moves(renamed, {"old": [failed]}, T, {"old"}) == (("old", left.path),)


@pytest.mark.parametrize(
    "changes",
    [{"expires_at": at(1)}, {"expires_at": at(-2 * 3600)}, {"delivery": {}, "step": MoveStep.ADMIT}],
    ids=["a harvester still works on it", "a part may wait for it", "beat has not passed it on"],
)
def test_a_move_of_a_silent_host_stays_while_it_is_of_use(changes: dict[str, Any]) -> None:
    left = move(**{"step": MoveStep.TRANSFER, "expires_at": HOURS_AGO} | changes)
    assert stale_moves({}, {"old": [left]}, T, {"old"}) == ()


def test_a_move_of_a_live_host_does_not_leave_for_its_age() -> None:
    old = move(expires_at=HOURS_AGO)
    assert stale_moves({"p1": keeper(plot("a"))}, {"p1": [old], "spoilt": [old]}, T, ()) == ()


def test_the_decision_names_the_moves_of_silent_hosts() -> None:
    left = move(step=MoveStep.RELEASE, expires_at=HOURS_AGO)
    lost = {"old": keeper(host="old")}
    decision = decided({}, {}, {}, {}, {"old": [left]}, T, lost=lost)
    assert decision.stale_moves == (("old", left.path),)


def test_a_plotter_that_lists_no_more_plots_than_it_may_has_others_besides() -> None:
    crowded = keeper(*(plot(f"{number:05}") for number in range(PLOTS_MAX)))
    assert stale_moves({"p1": crowded}, {"p1": [move(**ENDED)]}, T) == ()
