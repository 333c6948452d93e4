"""The disk of plotman's state and logs is full: workers start and work, and each place names the folder."""

from __future__ import annotations

from common.store import Board
from plotman.control.farm import read_farm
from tests.support.farm import HOST, Farm
from tests.support.tiny import fill, tiny
from tests.support.waiting import eventually


def test_workers_start_and_work_on_a_full_state_disk(farm: Farm, broker_url: str) -> None:
    with tiny(farm.state, "size=2m"):
        try:
            _on_a_full_disk(farm, Board.connect(broker_url), broker_url)
        finally:
            farm.stop()


def _on_a_full_disk(farm: Farm, board: Board, broker_url: str) -> None:
    farm.configure(farm={"broker": broker_url, "scheduler": True}, tmp=1)
    taken = fill(farm.state)
    farm.up(wait=False)
    full = f"The folder of plotman's state, {farm.state}, is full: 0 B are left."

    def named() -> bool:
        state = read_farm(board)
        plotter, harvester = state.plotters.get(HOST), state.harvesters.get(HOST)
        return bool(plotter and harvester and plotter.full_folders and harvester.full_folders)

    eventually(named, "both workers are there and name the folder", 60)
    assert full in farm.run("status").stdout
    assert full in farm.run("why").stdout
    reason = eventually(
        lambda: (snapshot := read_farm(board).plotters[HOST]).refused and snapshot.refused.reason,
        "an order is refused", 60,
    )  # fmt: skip
    assert str(reason).startswith(f"No plot can be noted in {farm.state}/jobs/")
    assert "No space left on device" in str(reason)
    assert read_farm(board).plotters[HOST].failures.consecutive == 0
    ended = [line for line in (farm.folder / "up.log").read_text().splitlines() if " ended (" in line]
    assert ended == []
    taken.unlink()
    eventually(farm.archived, "a plot is made and on its drive", 90)
    eventually(lambda: not read_farm(board).plotters[HOST].full_folders, "it is named no more", 30)
