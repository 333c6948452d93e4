"""A plot that waits for a harvester which disappeared goes to any, once an operator has given that one up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common.config import Config
from common.errors import NoSuchPlot, OrderRefused
from common.model.pending import MoveStep, PendingMove
from common.names import Role
from common.store import Board
from common.system.delivered import DeliveredFile
from plotter_worker.service import ServedPlotter
from plotter_worker.tasks.resend import forget_copy, give_up
from tests.support.plots import write_plot
from tests.support.sections import SCHEDULING
from tests.support.waiting import eventually

HERE, GONE = "plotter1", "gone1"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "dst").mkdir()
    return write_plot(tmp_path / "dst")


@pytest.fixture
def plotter(board: Board, tmp_path: Path, source: Path) -> Iterator[ServedPlotter]:
    settings = Config.model_validate(
        {
            "version": [2],
            "farm": {"host": HERE, "state": str(tmp_path / "state")},
            "directories": {"tmp": [str(tmp_path / "tmp")], "dst": [str(tmp_path / "dst")]},
            "scheduling": SCHEDULING,
            "plotting": {"farmer_pk": "a", "pool_pk": "b"},
            "archiving": {"target": "harvester"},
        }
    )
    made = ServedPlotter(settings, board, lambda *_, **__: None)
    made.start()
    eventually(lambda: _paths(board) == [str(source)], "the plot is seen")
    yield made
    made.stop()


def _plots(board: Board) -> Any:
    snapshot = board.snapshots(Role.PLOTTER).get(HERE)
    return snapshot.plots if snapshot else ()


def _paths(board: Board) -> list[str]:
    return [plot.path for plot in _plots(board)]


def _note(board: Board, source: Path, **fields: Any) -> None:
    now = datetime.now(UTC)
    given = {"harvester": GONE, "step": MoveStep.ADMIT, "expires_at": now - timedelta(seconds=1)}
    move = PendingMove(path=str(source), size_bytes=source.stat().st_size, **{**given, **fields})
    board.put_move(HERE, move)


def test_what_it_had_is_forgotten_for_good_and_beat_sees_that_at_once(
    plotter: ServedPlotter, board: Board, tmp_path: Path, source: Path
) -> None:
    delivered = DeliveredFile(tmp_path / "state")  # the archiver's
    delivered.put(str(source), GONE)
    delivered.put("/dst/other.plot", GONE)
    _note(board, source)

    assert give_up(plotter, source.name, GONE) == str(source)

    assert [plot.copied_to for plot in _plots(board)] == [None]
    assert board.moves([HERE]) == {}
    assert DeliveredFile(tmp_path / "state").harvester_of(str(source)) is None
    assert delivered.harvester_of("/dst/other.plot") == GONE
    (told,) = [event for _, event in board.newest_events(9) if event.kind == "steered"]
    assert GONE in told.text


def test_a_record_alone_of_a_plot_that_was_sent_is_forgotten_too(
    plotter: ServedPlotter, board: Board, source: Path
) -> None:
    _note(board, source, step=MoveStep.RELEASE)
    give_up(plotter, str(source), GONE)
    assert board.moves([HERE]) == {}


def test_a_plot_that_somebody_works_on_is_left_alone(
    plotter: ServedPlotter, board: Board, tmp_path: Path, source: Path
) -> None:
    DeliveredFile(tmp_path / "state").put(str(source), GONE)
    _note(board, source, expires_at=datetime.now(UTC) + timedelta(seconds=60))

    with pytest.raises(OrderRefused, match="under way to gone1"):
        give_up(plotter, source.name, GONE)

    assert DeliveredFile(tmp_path / "state").harvester_of(str(source)) == GONE
    assert board.moves([HERE])


def test_only_the_harvester_that_was_named_is_given_up(
    plotter: ServedPlotter, board: Board, tmp_path: Path, source: Path
) -> None:
    DeliveredFile(tmp_path / "state").put(str(source), GONE)
    with pytest.raises(OrderRefused, match="does not wait for gone2"):
        give_up(plotter, source.name, "gone2")
    with pytest.raises(NoSuchPlot):
        give_up(plotter, "ffffffffffff", GONE)

    _note(board, source, harvester="alive1")  # all bytes may be there as well
    give_up(plotter, source.name, GONE)
    assert [move.harvester for move in board.moves([HERE])[HERE]] == ["alive1"]


def test_a_harvester_tells_that_its_copy_is_none_and_speaks_only_for_itself(
    plotter: ServedPlotter, board: Board, tmp_path: Path, source: Path
) -> None:
    DeliveredFile(tmp_path / "state").put(str(source), "alive1")
    plotter.publisher.publish_now()
    forget_copy(plotter, str(source), "alive2")
    assert DeliveredFile(tmp_path / "state").harvester_of(str(source)) == "alive1"

    forget_copy(plotter, str(source), "alive1")

    assert DeliveredFile(tmp_path / "state").harvester_of(str(source)) is None
    eventually(lambda: [plot.copied_to for plot in _plots(board)] == [None], "beat sees it", 5)
