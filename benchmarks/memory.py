"""Whether our processes grow while a farm makes and moves plots.

    python -m benchmarks.memory [--quick] [--long] [--plots 2000] [--moves 300]

A whole `plotman up` on one machine: its broker, beat, and the workers of plotter, archiver and harvester. The
plotter is a shell script that writes a plot's log and ends at once, eight at a time. The plots that are moved
are files of 64 KiB with a plot's header. Every order, task, result and event is a real one. --long: 10,000 of
each.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks import movers
from benchmarks.farm import Farm, up
from benchmarks.figures import Report
from benchmarks.machine import until
from benchmarks.realistic import full_log
from common.model.snapshot import Event

_PARTS = 5  # looks at the memory while plots are made, and while they are moved
_AT_ONCE = 8
_PLOT_BYTES = 64 << 10
_SETTLE_S = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="40 plots, 10 moves")
    parser.add_argument("--long", action="store_true", help="10,000 of each, in three quarters of an hour")
    parser.add_argument("--plots", type=int, default=2000)
    parser.add_argument("--moves", type=int, default=300)
    options = parser.parse_args()
    if options.long:
        options.plots = options.moves = 10_000
    if options.quick:
        options.plots, options.moves = 40, 10
    report = Report("memory", "How much memory each process takes, at rest and after many plots")
    report.note(
        f"{options.plots} plots of a plotter that ends at once, {options.moves} plots moved, in five parts."
    )
    report.note("Resident memory; each figure is one look, when nothing has been going on for some seconds.")
    with tempfile.TemporaryDirectory(prefix="plotman-bench-") as folder:
        measure(report, Path(folder), options.plots, options.moves)
    report.show()
    report.save(keep=options.quick)


def measure(report: Report, folder: Path, plots: int, moves: int) -> None:
    with up(folder, **_sections(folder)) as farm:
        time.sleep(_SETTLE_S)
        counter = Counter(farm)
        _look(report, farm, "at rest")
        for part in range(1, _PARTS + 1):
            made, moved = plots * part // _PARTS, moves * part // _PARTS
            _plot(folder, counter, made)
            _move(folder, counter, moved)
            _look(report, farm, f"{made} plots, {moved} moves")


class Counter:
    """How many plots ended and arrived, by the stream of what happened."""

    def __init__(self, farm: Farm) -> None:
        self._board = farm.board()
        self._last = "0-0"
        self.done = self.archived = 0

    def read(self) -> Counter:
        """Itself, up to date."""
        while told := self._board.events(self._last):
            for _, event in told:
                self._count(event)
            self._last = told[-1][0]
        return self

    def _count(self, event: Event) -> None:
        self.done += event.kind == "plot-done"
        self.archived += event.kind == "archived"
        if event.kind in ("plot-failed", "plotter-died"):
            raise SystemExit(f"A fake plot failed: {event.text}")


def _plot(folder: Path, counter: Counter, aim: int) -> None:
    """Let plots start until this number has ended."""
    go = folder / "bin" / "go"
    go.touch()
    until(lambda: counter.read().done >= aim, f"{aim} plots are done", 3600, every_s=0.1)
    go.unlink()  # those that start now wait
    for log in (folder / "logs").iterdir():
        if time.time() - log.stat().st_mtime > 10:
            log.unlink()


def _move(folder: Path, counter: Counter, aim: int) -> None:
    missing = aim - counter.archived
    for _ in range(missing):
        plot = movers.write_plot(folder / "staging", _PLOT_BYTES)
        plot.rename(folder / "dst" / plot.name)
    until(lambda: counter.read().archived >= aim, f"{aim} plots are moved", 3600, every_s=0.1)
    movers.empty(folder / "farm")


def _look(report: Report, farm: Farm, at: str) -> None:
    time.sleep(_SETTLE_S)
    for name, process in sorted(farm.processes().items()):
        try:
            report.add(name, at, "MiB", [process.memory_info().rss / 2**20])
        except psutil.Error:
            continue


def _sections(folder: Path) -> dict[str, Any]:
    for name in ("tmp", "dst", "logs", "staging", "farm/0", "bin"):
        (folder / name).mkdir(parents=True)
    (folder / "bin" / "plotter.log").write_bytes(full_log())
    _write_plotter(folder / "bin")
    return {
        "logging": {"plots": str(folder / "logs")},
        "directories": {"tmp": [str(folder / "tmp")], "dst": [str(folder / "dst")]},
        "scheduling": {
            "tmpdir_stagger_phase_major": 2,
            "tmpdir_stagger_phase_minor": 1,
            "tmpdir_stagger_phase_limit": _AT_ONCE,
            "tmpdir_max_jobs": _AT_ONCE,
            "global_max_jobs": _AT_ONCE,
            "global_stagger_m": 0,
            "polling_time_s": 20,
            "check_room": False,
        },
        "plotting": {
            "type": "chia",
            "farmer_pk": "aa" * 48,
            "pool_pk": "aa" * 48,
            "chia": {"executable": str(folder / "bin" / "chia")},
        },
        "archiving": {"target": "harvester", "concurrency": 2},
        "harvester": {"drives": [str(folder / "farm" / "*")], "plain_folders": True, "proofs": 0},
    }


def _write_plotter(folder: Path) -> None:
    """A shell that is called `python` runs it, since that is how a script named chia is known."""
    shell = shutil.which("dash") or "/bin/sh"
    (folder / "python").symlink_to(shell)
    chia = folder / "chia"
    chia.write_text(
        f"#!{folder}/python\n"
        # Those that still wait when the benchmark ends leave with its folder.
        f"until [ -e {folder}/go ]; do [ -e {folder}/plotter.log ] || exit; sleep 0.2; done\n"
        f"id=$(tr -dc a-f0-9 < /dev/urandom | head -c 64)\n"
        f'exec sed "s/^ID: .*/ID: $id/" {folder}/plotter.log\n',
        encoding="utf-8",
    )
    chia.chmod(0o755)


if __name__ == "__main__":
    main()
