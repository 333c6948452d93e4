"""A beat that starts on a board which another one left: what stood there, and who is silent."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from beat.policy.starts.farm_rules import FarmLimits
from common.model.pending import MoveStep, PendingMove
from common.model.phase import Phase
from common.model.snapshot import DirState, Job, PlotterSnapshot, Recipe, TmpDir, Wait, Waits
from common.names import Keys, Role
from common.store import Board
from plotman.control.queries.why import picture
from tests.support.installed import celery
from tests.support.waiting import eventually

NOW = datetime.now(UTC)


def plotter(host: str, *jobs: Job) -> PlotterSnapshot:
    ready: dict[str, Any] = {"state": DirState.OK, "free_bytes": 1000}
    tmp = TmpDir(path="/tmp1", max_jobs=1, stagger_phase=Phase(2, 1), stagger_limit=1, **ready)
    return PlotterSnapshot(
        host=host,
        at=NOW,
        start_token="a:1",
        plotting=True,
        global_max_jobs=10,
        global_stagger_s=0,
        recipe=Recipe(plotter="chia", k=32, tmp_bytes=1, tmp2_bytes=0, dst_bytes=1),
        tmp_dirs=(tmp,),
        jobs=jobs,
    )


@pytest.fixture
def left(board: Board, broker_url: str) -> Board:
    """p1 is alive, and has no plot any more of those that it moved an hour ago. p2 is silent, and makes a
    plot. Of p3, which left no snapshot, an earlier beat's word stands."""
    running = Job(
        task_id="t", plotter="chia", pid=1, started_at=NOW - timedelta(hours=1), ours=True, eta_s=3600
    )
    board.put_snapshot(Role.PLOTTER, plotter("p1"))
    board.put_snapshot(Role.PLOTTER, plotter("p2", running))
    with redis.Redis.from_url(broker_url) as client:
        client.delete(Keys.alive(Role.PLOTTER, "p2"))
    for host in ("p1", "p2"):
        board.put_move(
            host,
            PendingMove(
                path="/tmp1/a.plot",
                harvester="h1",
                size_bytes=1,
                step=MoveStep.RELEASE,
                expires_at=NOW - timedelta(hours=1),
            ),
        )
    stale = tuple(Wait(host=host, rule="stagger", reason="stagger 1s/6s") for host in ("p1", "p3"))
    board.put_waits(Waits(beat="earlier", at=NOW, waits=stale))
    return board


@pytest.fixture
def beat(left: Board, tmp_path: Path, broker_url: str) -> Iterator[None]:
    config = tmp_path / "plotman.yaml"
    farm = {
        "host": "s",
        "state": str(tmp_path / "state"),
        "broker": broker_url,
        "scheduler": True,
        "max_jobs": 1,
    }
    config.write_text(yaml.safe_dump({"version": [2], "farm": farm}), encoding="utf-8")
    with (tmp_path / "beat.log").open("wb") as output:
        process = subprocess.Popen(
            celery("beat", "-l", "INFO", "--pidfile="),
            env=os.environ | {"PLOTMAN_CONFIG": str(config)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    yield
    process.kill()
    process.wait()


@pytest.mark.usefixtures("beat")
def test_a_new_beat_strikes_what_an_earlier_one_said_and_counts_the_plots_of_who_is_silent(
    left: Board,
) -> None:
    def said() -> list[tuple[str, str]]:
        waits = left.waits()
        return [] if waits is None or waits.beat == "earlier" else [(w.host, w.reason) for w in waits.waits]

    told = eventually(said, "the new beat tells why nothing starts", 20)
    assert told == [("p1", "farm max jobs 1/1 (1 of them on p2, which is silent)")]
    assert left.orders(["p1", "p2"]) == {}
    eventually(lambda: left.moves(["p1", "p2"]).keys() == {"p2"}, "a move leaves the board with its plot")


def test_where_no_beat_decides_requester_why_is_told_the_same(left: Board) -> None:
    waits = picture(left, FarmLimits(max_jobs=1)).waits
    assert [(wait.host, wait.reason) for wait in waits] == [
        ("p1", "farm max jobs 1/1 (1 of them on p2, which is silent)")
    ]
