"""The quick start with the real plotter, called as deploy/quickstart calls it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.installed import from_wheel
from tests.support.terminal import terminal
from tests.support.waiting import eventually


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Path]:
    """A farm's folder. Processes that still use it at the end are killed, by pid."""
    folder = tmp_path / "farm"
    yield folder
    for process in processes_of(folder):
        process.kill()


def processes_of(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def command(chia: Path, farm: Path, *options: str) -> list[str]:
    return from_wheel("plotman.quickstart", "--chia", str(chia), "--farm", str(farm), *options)


def run(argv: list[str]) -> str:
    """Run it; returns its output."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def plots(farm: Path) -> set[str]:
    return {path.name for path in farm.glob("drives/*/plot-*.plot")}


@pytest.mark.plotter
def test_the_wanted_plots_are_made_moved_and_listed(chia: Path, farm: Path) -> None:
    first = run(command(chia, farm, "--plots", "2"))
    made = plots(farm)
    assert len(made) == 2
    assert all(name.startswith("plot-k18-") and name[-69:-61] in first for name in made)
    assert "2 plots made, moved and verified" in first
    assert first.count("all valid") == 4, "an event and a row of the table for each"
    assert "plotman interactive" in first, "what to try next"

    run(command(chia, farm, "--plots", "1", "--k", "19"))
    assert [name[:9] for name in plots(farm) - made] == ["plot-k19-"]
    # No source, no part and no process is left.
    assert not [*farm.glob("dst/*/*"), *farm.glob("drives/*/.incoming/*.part")]
    assert processes_of(farm) == []


@pytest.mark.plotter
def test_in_a_terminal_the_picture_is_drawn_over_the_last_one(chia: Path, farm: Path) -> None:
    argv = command(chia, farm, "--plots", "1", "--k", "20")
    with terminal(argv, os.environ) as screen:
        assert screen.process.wait(120) == 0
        eventually(lambda: b"plotman interactive" in screen.drawn, "what to try next")
        drawn = screen.drawn.decode()
    assert "Total jobs: 1" in drawn
    assert "\x1b[2K" in drawn, "lines are erased"
    assert "\\x1b" not in drawn
    assert "\\r" not in drawn


@pytest.mark.plotter
def test_ctrl_c_stops_everything_but_running_plots(chia: Path, farm: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    with output.open("wb") as out:
        running = subprocess.Popen(
            command(chia, farm, "--plots", "50", "--k", "22"), stdout=out, stderr=subprocess.STDOUT
        )
    deadline = time.monotonic() + 60
    while b"plot started" not in output.read_bytes():
        assert running.poll() is None and time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    assert running.wait(30) == 130
    assert "Running plots continue" in output.read_text()
    left = processes_of(farm)
    assert left
    assert all("chiapos" in process.cmdline() for process in left)
