"""`plotman evacuate`, as an operator runs it, on a board that shows a farm; and what `dirs` and `why` say."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
import yaml

from common.model.snapshot import DirState, Drive, DriveUse, Evacuating, HarvesterSnapshot, Wait, Waits
from common.names import Keys, Role
from common.store import Board
from tests.support.installed import from_wheel

GB, TB = 10**9, 10**12
NOW = datetime.now(UTC)
Plotman = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def plotman(broker_url: str, tmp_path: Path) -> Plotman:
    """Run it on the machine `desk`."""
    config = tmp_path / "plotman.yaml"
    farm = {"host": "desk", "broker": broker_url, "state": str(tmp_path / "state")}
    config.write_text(yaml.safe_dump({"version": [2], "farm": farm}), encoding="utf-8")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            from_wheel("plotman", *words),
            env=os.environ | {"PLOTMAN_CONFIG": str(config)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def drive(path: str, device: str, free_bytes: int, **fields: object) -> Drive:
    given: dict[str, object] = {"state": DirState.OK, "total_bytes": 16 * TB, "plots": 100, **fields}
    return Drive.model_validate({"path": path, "device": device, "free_bytes": free_bytes, **given})


@pytest.fixture
def shown(board: Board) -> Board:
    old = drive("/farm/old", "8:1", TB, plots=870)
    same = drive("/farm/same", "8:1", TB)
    board.put_snapshot(
        Role.HARVESTER,
        HarvesterSnapshot(host="h1", at=NOW, drives=(old, same, drive("/farm/1", "8:2", 2 * TB))),
    )
    full = drive("/farm/2", "8:3", 5 * TB, use=DriveUse.DRAINING)
    board.put_snapshot(
        Role.HARVESTER, HarvesterSnapshot(host="h2", at=NOW, drives=(drive("/farm/1", "8:1", 3 * TB), full))
    )
    return board


def test_before_it_asks_it_says_what_moves_and_where_there_is_room(shown: Board, plotman: Plotman) -> None:
    asked = plotman("evacuate", "h1:/farm/old")
    assert asked.returncode != 0
    assert "h1:/farm/old has 870 plots (15.0 TB in use)." in asked.stderr
    assert "2 drives may take them, with 5.0 TB free." in asked.stderr
    assert "That is not enough for all" in asked.stderr
    only = plotman("evacuate", "h1:/farm/old", "--to", "h2")
    assert "1 drive may take them, with 3.0 TB free." in only.stderr


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("h1",), 2, "is no drive: write HOST:/DRIVE"),
        (("all",), 2, "is no drive"),
        (("h1:/farm/odl",), 5, "Did you mean /farm/old?"),
        (("h9:/farm/old",), 5, "No host is called h9"),
        (("h1:/farm/old", "--to", "h1:/farm/old"), 1, "cannot take its own plots"),
        (("h1:/farm/old", "--to", "h9"), 5, "No host is called h9"),
        (("h1:/farm/old", "--to", "all"), 2, "is neither HOST nor HOST:/DRIVE"),
        (("h1:/farm/old", "--stop", "--to", "h2"), 2, "--stop takes no other options"),
        (("h1:/farm/old", "--bandwidth", "soon"), 2, "soon is not a rate"),
    ],
)
def test_a_wrong_order_is_refused_with_the_remedy(
    shown: Board, plotman: Plotman, words: tuple[str, ...], code: int, why: str
) -> None:
    ran = plotman("evacuate", "--yes", *words)
    assert ran.returncode == code, ran.stderr
    assert why in ran.stderr
    assert shown.queue_lengths(["harvester.h1"]) == {"harvester.h1": 0}


@pytest.mark.parametrize("words", [("xy",), ("h1:farm",), ("h1:/farm/old", "--to", "all"), ("xy", "--stop")])
def test_wrong_words_are_refused_before_the_broker_is_asked(tmp_path: Path, words: tuple[str, ...]) -> None:
    config = tmp_path / "plotman.yaml"
    farm = {"host": "desk", "broker": "redis://127.0.0.1:1/0", "state": str(tmp_path / "state")}
    config.write_text(yaml.safe_dump({"version": [2], "farm": farm}), encoding="utf-8")
    env = os.environ | {"PLOTMAN_CONFIG": str(config)}
    ran = subprocess.run(
        from_wheel("plotman", "evacuate", *words), env=env, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2, ran.stderr
    assert "HOST:/DRIVE" in ran.stderr


def test_a_silent_harvester_is_not_asked(board: Board, plotman: Plotman) -> None:
    stopped = HarvesterSnapshot(host="h1", at=NOW, stopped=True, drives=(drive("/farm/old", "8:1", TB),))
    board.put_snapshot(Role.HARVESTER, stopped)
    ran = plotman("evacuate", "--yes", "h1:/farm/old")
    assert ran.returncode == 4
    assert "The harvester of h1 was stopped." in ran.stderr


def test_dirs_status_and_why_show_the_progress_and_what_it_waits_for(
    board: Board, broker_url: str, plotman: Plotman
) -> None:
    entry = Evacuating(
        drive="/farm/old",
        since=NOW - timedelta(hours=10),
        total_plots=870,
        total_bytes=13 * TB,
        left_plots=746,
        left_bytes=12 * TB,
        stays=("photos.tar: not named like a plot", "x.plot: cannot be read: Input/output error"),
        stays_count=2,
        stays_plots=1,
    )
    old = drive("/farm/old", "8:1", TB, plots=747, use=DriveUse.DRAINING)
    board.put_snapshot(
        Role.HARVESTER, HarvesterSnapshot(host="h1", at=NOW, drives=(old,), evacuations=(entry,))
    )
    wait = Wait(host="h1", rule="drives", reason="plot needs 108.9 GB", subject="/farm/old")
    failed = Wait(host="h1", rule="retry", reason="EIO", subject="/farm/old/y.plot")
    board.put_waits(Waits(beat="desk:1:x", at=NOW, waits=(wait, failed)))
    with redis.Redis.from_url(broker_url) as client:
        client.set(Keys.LEASE, "desk:1:x")  # without an end: this machine may be slow
    text = "evacuating: 123 of 869 plots moved, 12.0 TB left, 5d 0h; 2 files stay"
    assert text in plotman("dirs").stdout
    status = plotman("status").stdout
    assert f"h1: /farm/old: {text}" in status
    assert "x.plot: cannot be read: Input/output error" in status
    assert "is drained" not in status
    why = plotman("why", "/farm/old").stdout
    assert f"/farm/old: {text}; waits: plot needs 108.9 GB" in why
    assert "/farm/old/y.plot: EIO" in why
    (shown,) = json.loads(plotman("dirs", "--json").stdout)["drives"]
    assert shown["evacuation"]["text"] == text
    assert shown["evacuation"]["left_plots"] == 746
    assert shown["evacuation"]["eta_s"] == pytest.approx(120 * 3600, rel=0.01)
