"""How `plotman interactive` leaves the terminal, and what it remembers."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.terminal import Terminal, terminal
from tests.support.waiting import eventually

DARK_BACKGROUND = b"48;2;15;21;25m"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(tmp_path: Path, number: signal.Signals) -> None:
    with dashboard(tmp_path) as screen:
        screen.shows("NO BROKER")
        screen.process.send_signal(number)
        assert eventually(screen.process.poll, "it ends") == 128 + number
        eventually(lambda: b"\x1b[?1049l" in screen.drawn, "the alternate screen is left")
        assert b"\x1b[?1000l" in screen.drawn, "the mouse is free"


def test_the_colours_are_those_of_the_last_time(tmp_path: Path) -> None:
    with dashboard(tmp_path) as screen:
        eventually(lambda: b"NO BROKER" in screen.drawn, "it is shown")
        assert DARK_BACKGROUND in screen.drawn
        screen.type("tq")
        assert screen.process.wait(20) == 0
    with dashboard(tmp_path) as screen:
        eventually(lambda: b"NO BROKER" in screen.drawn, "it is shown")
        assert DARK_BACKGROUND not in screen.drawn
        screen.type("q")
        assert screen.process.wait(20) == 0


@contextmanager
def dashboard(folder: Path) -> Iterator[Terminal]:
    """Of a farm whose broker does not answer."""
    config = folder / "plotman.yaml"
    away = f"farm: {{state: {folder}, broker: 'redis://127.0.0.1:1'}}"
    config.write_text(f"version: [2]\n{away}\nharvester: {{drives: [/x/*]}}\n", encoding="utf-8")
    command = (sys.executable, "-m", "plotman", "interactive")
    environment = os.environ | {"PLOTMAN_CONFIG": str(config), "XDG_DATA_HOME": str(folder / "data")}
    environment["COLORTERM"] = "truecolor"
    with terminal(command, environment) as screen:
        yield screen
