"""Which plot `plotman resend` means, and when it does not send it."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import ManyPlots, NoSuchPlot, OrderRefused
from common.model.pending import MoveStep
from common.model.snapshot import PlotState, TargetReport
from common.names import Role
from common.store import Board
from plotman.control.actions.resend import StuckPlot, find
from tests.unit.beat import builders as b

LOST = b.plot("lost", copied_to="gone1")
REFUSED = b.plot("refused", state=PlotState.REFUSED)
SENT = b.plot("sent", copied_to="h1")
UNSENT = b.plot("unsent")


def _seen(board: Board, *plots: Any, **archiver: Any) -> None:
    board.put_snapshot(Role.PLOTTER, b.keeper(*plots))
    board.put_snapshot(Role.ARCHIVER, b.archiver(**archiver))
    board.put_snapshot(Role.HARVESTER, b.farm(h1=[b.drive()])["h1"])


def test_a_plot_that_was_refused_or_that_a_lost_harvester_may_have_is_found(board: Board) -> None:
    _seen(board, LOST, REFUSED, SENT, UNSENT)

    assert find(board, "refused.plot", None) == StuckPlot("p1", REFUSED.path)
    assert find(board, "refused.plot", None).warning == ""
    lost = find(board, LOST.path, None)
    assert lost == StuckPlot("p1", LOST.path, "gone1")
    assert lost.warning == (
        f"Harvester gone1 may have {LOST.path} already. If that machine comes back with this plot, it is "
        "farmed twice: then delete it there."
    )


def test_one_that_only_the_record_of_its_move_tells_of_is_found(board: Board) -> None:
    _seen(board, UNSENT)
    board.put_move("p1", b.move(UNSENT.path, "gone1", step=MoveStep.RELEASE, expires_at=b.at(0)))
    assert find(board, UNSENT.path, None) == StuckPlot("p1", UNSENT.path, "gone1")


def test_while_its_harvester_is_there_nothing_is_given_up(board: Board) -> None:
    _seen(board, SENT)
    with pytest.raises(OrderRefused, match="Harvester h1, which may have"):
        find(board, SENT.path, None)


def test_a_target_of_plotman_0_5_is_there_as_long_as_its_archiver_has_it(board: Board) -> None:
    _seen(board, UNSENT, target=TargetReport(name="nas", place="nas"))
    board.put_move("p1", b.move(UNSENT.path, "target nas", step=MoveStep.RELEASE, expires_at=b.at(0)))
    with pytest.raises(OrderRefused, match="target nas"):
        find(board, UNSENT.path, None)


def test_what_waits_for_nobody_is_not_meant(board: Board) -> None:
    _seen(board, UNSENT, LOST, b.plot("lost", "/dst2", copied_to="gone1"))
    for word in ("unsent.plot", "ffff", ""):
        with pytest.raises(NoSuchPlot):
            find(board, word, None)
    with pytest.raises(ManyPlots, match="2 plots"):
        find(board, "lost.plot", None)
