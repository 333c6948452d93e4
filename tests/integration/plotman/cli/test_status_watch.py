"""`plotman status --watch` on a real Redis."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import yaml

from common.names import Role
from common.store import Board
from tests.support.installed import from_wheel
from tests.support.terminal import terminal
from tests.support.told import plotter
from tests.support.waiting import eventually


def test_in_a_terminal_each_look_takes_the_place_of_the_last(
    board: Board, broker_url: str, tmp_path: Path
) -> None:
    board.put_snapshot(Role.PLOTTER, plotter())
    config = tmp_path / "plotman.yaml"
    farm = {"host": "desk", "broker": broker_url, "state": str(tmp_path / "state")}
    config.write_text(yaml.safe_dump({"version": [2], "farm": farm}), encoding="utf-8")
    variables = os.environ | {"PLOTMAN_CONFIG": str(config)}
    with terminal(from_wheel("plotman", "status", "--watch"), variables) as screen:
        eventually(lambda: screen.drawn.count(b"Updated at") >= 2, "two looks", 60)
        screen.process.send_signal(signal.SIGINT)
        assert screen.process.wait(30) == 0
    assert screen.drawn.count(b"\x1b[H\x1b[J") >= 2
    assert b"\\x1b" not in screen.drawn


def test_it_shows_the_farm_again_and_again_until_ctrl_c(
    board: Board, broker_url: str, tmp_path: Path
) -> None:
    board.put_snapshot(Role.PLOTTER, plotter())
    config = tmp_path / "plotman.yaml"
    farm = {"host": "desk", "broker": broker_url, "state": str(tmp_path / "state")}
    config.write_text(yaml.safe_dump({"version": [2], "farm": farm}), encoding="utf-8")
    watching = subprocess.Popen(
        from_wheel("plotman", "status", "--watch"),
        env=os.environ | {"PLOTMAN_CONFIG": str(config)},
        stdout=subprocess.PIPE,
        text=True,
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
