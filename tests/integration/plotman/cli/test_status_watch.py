"""`plotman status --watch` on a real Redis."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from common.names import Role
from common.store import Board
from tests.support.installed import from_wheel
from tests.support.terminal import terminal
from tests.support.told import plotter
from tests.support.waiting import eventually


@pytest.fixture
def desk(board: Board, broker_url: str, tmp_path: Path) -> dict[str, str]:
    """The environment of a machine that looks at a farm with one plotter."""
    board.put_snapshot(Role.PLOTTER, plotter())
    config = tmp_path / "plotman.yaml"
    farm = {"host": "desk", "broker": broker_url, "state": str(tmp_path / "state")}
    config.write_text(yaml.safe_dump({"version": [2], "farm": farm}), encoding="utf-8")
    return os.environ | {"PLOTMAN_CONFIG": str(config)}


def test_in_a_terminal_each_look_takes_the_place_of_the_last(desk: dict[str, str]) -> None:
    with terminal(from_wheel("plotman", "status", "--watch"), desk) as screen:
        eventually(lambda: screen.drawn.count(b"Updated at") >= 2, "two looks", 60)
        screen.process.send_signal(signal.SIGINT)
        assert screen.process.wait(30) == 0
    assert screen.drawn.count(b"\x1b[H\x1b[J") >= 2
    assert b"\\x1b" not in screen.drawn


def test_it_shows_the_farm_again_and_again_until_ctrl_c(desk: dict[str, str]) -> None:
    watching = subprocess.Popen(
        from_wheel("plotman", "status", "--watch"), env=desk, stdout=subprocess.PIPE, text=True
    )
    assert watching.stdout is not None
    shown = 0
    for line in watching.stdout:
        assert "\x1b" not in line, "a pipe gets no control characters"
        shown += line.startswith("Updated at")
        if shown == 2:
            watching.send_signal(signal.SIGINT)
            break
    watching.stdout.read()
    assert watching.wait(30) == 0
    assert shown == 2
