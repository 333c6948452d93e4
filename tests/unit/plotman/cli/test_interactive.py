"""How `plotman interactive` leaves the terminal."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support.terminal import terminal
from tests.support.waiting import eventually


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(tmp_path: Path, number: signal.Signals) -> None:
    config = tmp_path / "plotman.yaml"
    away = f"farm: {{state: {tmp_path}, broker: 'redis://127.0.0.1:1'}}"
    config.write_text(f"version: [2]\n{away}\nharvester: {{drives: [/x/*]}}\n", encoding="utf-8")
    command = (sys.executable, "-m", "plotman", "interactive")
    with terminal(command, os.environ | {"PLOTMAN_CONFIG": str(config)}) as screen:
        screen.shows("NO BROKER")
        screen.process.send_signal(number)
        assert eventually(screen.process.poll, "it ends") == 128 + number
        eventually(lambda: b"\x1b[?1049l" in screen.drawn, "the alternate screen is left")
        assert b"\x1b[?1000l" in screen.drawn, "the mouse is free"
