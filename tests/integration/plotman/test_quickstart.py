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

SMALL_K18_BYTES = 3_400_000  # less than any k18 plot of chia


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
    argv = command(chia, farm, "--plots", "1", "--k", "19")
    with terminal(argv, os.environ) as screen:
        assert screen.process.wait(120) == 0
        eventually(lambda: b"plotman interactive" in screen.drawn, "what to try next")
        drawn = screen.drawn.decode()
    assert "Plotting: 1 of " in drawn
    assert "\x1b[2K" in drawn, "lines are erased"
    assert "\\x1b" not in drawn
    assert "\\r" not in drawn


@pytest.mark.plotter
def test_ctrl_c_stops_everything_but_running_plots(chia: Path, farm: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    with output.open("wb") as out:
        running = subprocess.Popen(
            command(chia, farm, "--plots", "50", "--k", "20"), stdout=out, stderr=subprocess.STDOUT
        )
    deadline = time.monotonic() + 60
    while b"plot started" not in output.read_bytes():
        assert running.poll() is None and time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    assert running.wait(30) == 130
    assert "Plots that still run continue" in output.read_text()
    left = processes_of(farm)
    assert left
    assert all("chiapos" in process.cmdline() for process in left)

    second = run(command(chia, farm, "--plots", "1"))
    assert "Taken up from before: " in second
    assert " still running" in second


@pytest.mark.plotter
def test_a_farm_that_stays_runs_until_ctrl_c(chia: Path, farm: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    with output.open("wb") as out:
        staying = subprocess.Popen(
            command(chia, farm, "--plots", "1", "--stay"), stdout=out, stderr=subprocess.STDOUT
        )
    eventually(lambda: "The farm runs" in output.read_text() or staying.poll() is not None, "made", 120)
    asked = ["plotman", "dirs", "--json"]
    env = os.environ | {"PLOTMAN_CONFIG": str(farm / "plotman.yaml")}
    subprocess.run(from_wheel(*asked), env=env, check=True, stdout=subprocess.DEVNULL)
    staying.send_signal(signal.SIGINT)
    assert staying.wait(60) == 130
    assert processes_of(farm) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["--plots", "0"], "--plots: at least 1"),
        (["--k", "17"], "invalid choice"),
        (["--farm", "/proc/self/cmdline/farm"], "/proc/self/cmdline is no folder"),
        (["--farm", f"/{'x' * 300}"], "cannot be used: File name too long"),
    ],
    ids=["unknown", "none", "size", "file", "long"],
)
def test_wrong_options_are_told_before_anything_is_installed(options: list[str], told: str) -> None:
    """As deploy/quickstart asks."""
    done = subprocess.run(
        from_wheel("plotman.quickstart", "--check-options", *options),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_chia_program_the_option_that_names_it_is_asked_for() -> None:
    done = subprocess.run(
        from_wheel("plotman.quickstart", "--plots", "3"), capture_output=True, text=True, check=False
    )
    assert (done.returncode, "--chia: name the chia program" in done.stderr) == (2, True)
    asked = subprocess.run(
        from_wheel("plotman.quickstart", "--help"), capture_output=True, text=True, check=False
    )
    assert "--chia CHIA" in asked.stdout
    assert "--check-options" not in asked.stdout


def test_a_folder_in_which_nothing_can_be_made_is_told(chia: Path) -> None:
    done = subprocess.run(command(chia, Path("/proc/farm")), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "The farm's folders in /proc/farm cannot be made" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_script_shows_help_and_mistakes_with_nothing_but_a_python(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    for name in ("deploy", "plotman", "common", "plotter_worker"):
        (tmp_path / name).symlink_to(root / name)
    for options, returncode in ((["--help"], 0), (["-h"], 0), (["--bogus"], 2), (["--plots", "x"], 2)):
        done = subprocess.run(
            ["deploy/quickstart", *options], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == returncode, done.stderr
        assert "usage: quickstart" in done.stdout + done.stderr
        assert not (tmp_path / ".venv").exists()


@pytest.mark.plotter
def test_new_plots_take_the_place_of_all_old_ones_and_none_goes_before_its_bytes_are_there(
    chia: Path, farm: Path
) -> None:
    output = run(command(chia, farm, "--plots", "3", "--replot"))
    assert plots(farm) == set()
    new = [*farm.glob("drives/*/plot-k20-*.gplot")]
    assert new
    assert not [*farm.glob("dst/*/*"), *farm.glob("drives/*/.incoming/*.part")]
    # In the order of the events: what has arrived is never less than what has gone.
    sizes_bytes = {path.stem.rpartition("-")[2][:8]: path.stat().st_size for path in new}
    arrived_bytes = gone = 0
    for line in output.splitlines():
        arrived_bytes += sum(size for plot, size in sizes_bytes.items() if f" {plot} is on " in line)
        if "deleted " in line and "of class old" in line:
            gone += 1
            assert arrived_bytes >= gone * SMALL_K18_BYTES, line
    assert gone == 3, output
    assert f"3 old plots made room for {len(new)} new ones" in output
    rows = [line.split() for line in output.splitlines() if line.startswith("drives/")]
    assert [row[-1] for row in rows] == ["0"] * 4, "old ones that are left"
    assert processes_of(farm) == []
