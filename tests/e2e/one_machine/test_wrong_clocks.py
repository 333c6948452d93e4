"""Machines whose clocks are hours off: their plots start, staggered, and each place names the clock."""

from __future__ import annotations

import json

import pytest

from common.names import Role
from common.store import Board
from tests.support.farm import HOST, Farm
from tests.support.installed import celery
from tests.support.waiting import eventually
from tests.support.wrong_clock import DAY_S, HOUR_S, by_clock

STAGGER_S = 3.0


@pytest.mark.parametrize(
    ("plotter", "beat", "words"),
    [(-2 * HOUR_S, 0, "2h 0m behind Redis'"), (DAY_S, -2 * HOUR_S, "1d 0h ahead of Redis'")],
)
def test_plots_start_staggered_and_the_clock_is_named(
    farm: Farm, broker_url: str, plotter: float, beat: float, words: str
) -> None:
    """The rest of the farm's processes have the right clock."""
    farm.configure(
        farm={"broker": broker_url, "scheduler": True},
        scheduling={"global_stagger_m": STAGGER_S / 60, "tmpdir_stagger_phase_limit": 5},
        archiving=None,
        harvester=None,
    )
    farm.allow(2)
    node = f"plotter@{HOST}"
    farm.spawn(
        *by_clock(plotter, farm.folder, *celery("worker", "-n", node, "-Q", f"plotter.{HOST}")),
        log="plotter.log",
    )
    farm.spawn(*by_clock(beat, farm.folder, *celery("beat", "-s", str(farm.folder / "beat"))), log="beat.log")
    board = Board.connect(broker_url)

    def started() -> list[float]:
        return [event.at.timestamp() for _, event in board.newest_events(100) if event.kind == "plot-started"]

    first, second = eventually(lambda: len(at := started()) == 2 and at, "two plots start", 60) or ()
    assert second - first > STAGGER_S - 0.2
    status = farm.run("status").stdout
    assert f"{HOST}: This machine's clock is {words}" in status
    assert ("This machine's clock is 2h 0m behind Redis'" in status) == (-2 * HOUR_S in (plotter, beat))
    assert f"its clock is {words}" in farm.run("why").stdout
    # Celery would call it expired.
    called = farm.celery(
        "call", "plotter_worker.pause", "--kwargs", json.dumps({"host": HOST}), "--expires", "30"
    )
    assert called.returncode == 0, called.stderr
    eventually(lambda: not board.snapshots(Role.PLOTTER)[HOST].plotting, "the order is carried out", 20)
