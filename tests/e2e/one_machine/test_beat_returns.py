"""No beat decides while plots pile up. When one does, all are moved, a few at a time."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from common.model.pending import SENT, under_way
from common.names import Role
from common.store.farm_clock import CLOCK
from tests.support.farm import HOST, Farm
from tests.support.installed import celery
from tests.support.plots import write_plot
from tests.support.waiting import eventually

PLOTS, AT_ONCE = 100, 2
LONGEST_S = 10.0  # of `plotman why`, which takes a second on a machine at rest


@pytest.mark.timeout(240)
def test_a_beat_that_was_away_moves_all_plots_once_and_no_more_at_once_than_allowed(farm: Farm) -> None:
    farm.configure(tmp=1, dst=1, drives=4, archiving={"concurrency": AT_ONCE}, harvester={"proofs": 0})
    farm.allow(0)
    dst = farm.folder / "dst" / "1"
    made = Counter(write_plot(dst, 100_000).name for _ in range(PLOTS))
    without_beat = ("broker", "plotter", "archiver", "harvester")
    farm.up(*(word for name in without_beat for word in ("--only", name)))
    eventually(lambda: len(farm.plotter().plots) == PLOTS, "all are seen", 60)
    assert "no scheduler decides" in farm.run("status").stdout
    assert not farm.board().moves([HOST])

    farm.spawn(*celery("beat", "-s", str(farm.folder / "beat")), log="beat.log")
    board, most = farm.board(), 0

    def left() -> int:
        nonlocal most
        moves = board.moves([HOST]).get(HOST, [])
        sent = [move for move in moves if move.step not in SENT and under_way(move, CLOCK.now())]
        most = max(most, len(sent), len(board.snapshots(Role.ARCHIVER)[HOST].transfers))
        return len(list(dst.glob("*.plot")))

    eventually(lambda: left() < PLOTS, "the first is moved", 60)
    began_s = time.monotonic()
    assert f"moves {AT_ONCE}/{AT_ONCE}" in farm.run("why").stdout
    assert time.monotonic() - began_s < LONGEST_S
    eventually(lambda: not left(), "all are moved", 120)
    assert most == AT_ONCE
    assert Counter(file.name for file in farm.folder.glob("drives/*/*.plot")) == made
    assert Counter(event.kind for event in farm.events("sent", "archived")) == {
        "sent": PLOTS,
        "archived": PLOTS,
    }
