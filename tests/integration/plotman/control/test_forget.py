"""`plotman forget`, as an operator runs it, on a board of which one machine is lost for good."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
import yaml

from beat.policy.starts.farm_rules import FarmLimits
from common.model.pending import MoveStep, PendingMove
from common.model.snapshot import ArchiverSnapshot, FinishedPlot, HarvesterSnapshot, PlotState
from common.names import Keys, Role, queue
from common.store import Board
from plotman.control.queries.why import picture
from tests.support import showcase
from tests.support.installed import from_wheel

NOW = datetime.now(UTC)
Plotman = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def plotman(broker_url: str, tmp_path: Path) -> Plotman:
    """Run it on the machine `desk`. typed: the operator's input at a terminal; None: there is none."""
    config = tmp_path / "plotman.yaml"
    farm = {"host": "desk", "broker": broker_url, "state": str(tmp_path / "state")}
    config.write_text(yaml.safe_dump({"version": [2], "farm": farm}), encoding="utf-8")

    def run(*words: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
        ours, theirs = pty.openpty()
        os.write(ours, f"{typed}\n".encode())
        try:
            return subprocess.run(
                from_wheel("plotman", *words),
                env=os.environ | {"PLOTMAN_CONFIG": str(config)},
                stdin=subprocess.DEVNULL if typed is None else theirs,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        finally:
            os.close(ours)
            os.close(theirs)

    return run


@pytest.fixture
def left(board: Board, broker_url: str) -> Board:
    """p2, which plots, sends and takes plots in, has been silent for two hours. p1 is alive; a plot of it may
    lie on p2's drives."""
    ago = NOW - timedelta(hours=2)
    running = showcase.job(1, "/mnt/tmp/0", eta_s=6 * 3600)
    over = showcase.job(2, "/mnt/tmp/0", eta_s=60)
    board.put_snapshot(Role.PLOTTER, showcase.plotter("p2", jobs=(running, over), at=ago))
    board.put_snapshot(Role.ARCHIVER, ArchiverSnapshot(host="p2", at=ago))
    board.put_snapshot(Role.HARVESTER, HarvesterSnapshot(host="p2", at=ago, drives=()))
    move = PendingMove(
        path="/mnt/dst/x.plot",
        harvester="h1",
        size_bytes=1,
        step=MoveStep.ADMIT,
        expires_at=NOW + timedelta(hours=1),
    )
    board.put_move("p2", move)
    plot = FinishedPlot(path="/d/a.plot", size_bytes=1, state=PlotState.READY, since=NOW, copied_to="p2")
    tmp = showcase.tmp_dir("/mnt/tmp/0")
    board.put_snapshot(Role.PLOTTER, showcase.plotter("p1", tmp, plots=(plot,), at=NOW))
    with redis.Redis.from_url(broker_url) as client:
        client.delete(*(Keys.alive(role, "p2") for role in Role))
        client.lpush(queue(Role.PLOTTER, "p2"), "a", "b")
    return board


def hosts(board: Board) -> set[str]:
    return {host for names in board.hosts().values() for host in names}


def test_what_is_forgotten_with_a_host_is_shown_and_a_no_leaves_all_as_it_was(
    left: Board, plotman: Plotman
) -> None:
    unasked = plotman("forget", "p2")
    assert unasked.returncode == 2
    assert "With --yes the host is forgotten without asking." in unasked.stderr
    refused = plotman("forget", "p2", typed="n")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert re.sub(r"2h \d+m", "2h 0m", refused.stderr).splitlines() == [
        "p2: plotter, last seen 2h 0m ago; archiver, last seen 2h 0m ago; harvester, last seen 2h 0m ago",
        "  1 plot may still run there and count for farm.max_jobs; after this, others may start in "
        "their place",
        "  1 plot of it on the way to a drive",
        "  1 plot of p1 may be on its drives, and no other harvester gets it before `plotman resend`",
        "  2 messages for it, to be deleted",
        "Forget p2? [y/N]: Nothing was done.",
    ]
    assert hosts(left) == {"p1", "p2"}


def test_a_host_is_forgotten_its_plots_count_no_more_and_it_comes_back_by_itself(
    left: Board, plotman: Plotman
) -> None:
    def may_start() -> list[str]:
        return [start.host for start in picture(left, FarmLimits(max_jobs=1)).starts]

    assert may_start() == []
    done = plotman("forget", "p2", typed="y")
    assert (done.returncode, done.stdout) == (0, "p2 is forgotten.\n"), done.stderr
    assert hosts(left) == {"p1"}
    assert left.moves(["p2"]) == {}
    assert left.queue_lengths(["plotter.p2"]) == {"plotter.p2": 0}
    assert may_start() == ["p1"]
    for verb in ("status", "dirs"):
        assert "p2" not in plotman(verb).stdout
    ((_, event),) = left.newest_events(10)
    assert (event.kind, event.host, "p2 is forgotten, by " in event.text) == ("steered", "desk", True)

    left.put_snapshot(Role.PLOTTER, showcase.plotter("p2", at=datetime.now(UTC)))
    assert hosts(left) == {"p1", "p2"}
    assert set(left.snapshots(Role.PLOTTER)) == {"p1", "p2"}


def test_programs_forget_unasked_and_read_what_was_done(left: Board, plotman: Plotman) -> None:
    done = plotman("forget", "p2", "-y", "--json")
    answer = {"host": "p2", "answer": "p2 is forgotten.", "error": None}
    assert json.loads(done.stdout) == {"version": 1, "answers": [answer]}
    assert hosts(left) == {"p1"}


def test_a_host_whose_last_word_is_gone_too_is_struck_off(
    left: Board, plotman: Plotman, broker_url: str
) -> None:
    with redis.Redis.from_url(broker_url) as client:
        client.delete(*(Keys.snapshot(role, "p2") for role in Role))
    done = plotman("forget", "p2", typed="y")
    assert "p2: plotter, last seen more than a month ago" in done.stderr
    assert (done.returncode, hosts(left)) == (0, {"p1"})


def test_who_is_alive_or_not_known_is_not_forgotten(left: Board, plotman: Plotman) -> None:
    unknown = plotman("forget", "p3", "-y")
    assert unknown.returncode == 5
    assert unknown.stderr == "plotman: No host is called p3. Hosts that were ever seen: p1, p2.\n"
    left.put_snapshot(Role.ARCHIVER, ArchiverSnapshot(host="p2", at=NOW))
    for host, role in (("p1", "plotter"), ("p2", "archiver")):
        alive = plotman("forget", host, "-y")
        assert (alive.returncode, alive.stdout) == (1, "")
        assert f"{host} is not lost: its {role} was seen" in alive.stderr
    assert hosts(left) == {"p1", "p2"}
