"""The quick start with the real plotter, as a person calls it after the set-up."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.installed import from_wheel


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Path]:
    """A farm's folder; whatever still works in it at the end is stopped, by pid."""
    folder = tmp_path / "farm"
    yield folder
    for process in working_in(folder):
        process.kill()


def working_in(folder: Path) -> list[psutil.Process]:
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
    """Run it to a good end; what it said."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def plots(farm: Path) -> set[str]:
    return {path.name for path in farm.glob("drives/*/plot-*.plot")}


@pytest.mark.plotter
def test_the_plots_that_were_asked_for_are_made_moved_and_told_of(chia: Path, farm: Path) -> None:
    first = run(command(chia, farm, "--plots", "2"))
    made = plots(farm)
    assert len(made) == 2
    assert all(name.startswith("plot-k18-") and name[-69:-61] in first for name in made)
    assert "2 plots made, moved and verified" in first
    assert first.count("proofs") == 2, "how each was verified"

    run(command(chia, farm, "--plots", "1", "--k", "19"))
    assert [name[:9] for name in plots(farm) - made] == ["plot-k19-"]
    # Nothing stays behind: no source, no part, no process.
    assert not [*farm.glob("dst/*/*"), *farm.glob("drives/*/.incoming/*.part")]
    assert working_in(farm) == []


@pytest.mark.plotter
def test_ctrl_c_stops_everything_but_the_plots(chia: Path, farm: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    with said.open("wb") as out:
        running = subprocess.Popen(
            command(chia, farm, "--plots", "50", "--k", "22"), stdout=out, stderr=subprocess.STDOUT
        )
    deadline = time.monotonic() + 60
    while b"plotting" not in said.read_bytes():
        assert running.poll() is None and time.monotonic() < deadline, said.read_text()
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    assert running.wait(30) == 130
    assert "Plots in the making go on" in said.read_text()
    left = working_in(farm)
    assert left
    assert all("chiapos" in process.cmdline() for process in left)
