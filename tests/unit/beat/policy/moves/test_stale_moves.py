"""Which moves leave the notice board because their plots no longer exist."""

from __future__ import annotations

from typing import Any

import pytest

from beat.policy.moves.stale_moves import stale_moves
from common.model.pending import MoveStep
from common.model.snapshot import DirState
from tests.support.paper import T
from tests.unit.beat.builders import at, directory, keeper, move, plot

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
