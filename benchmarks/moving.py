"""How fast finished plots get to their drives, for good.

    python -m benchmarks.moving [--quick] [--long] [--rounds 5]

By plotman the whole way: from the plot's appearance in dst until it is on its drive and flushed, and its
source deleted. By bare tools: from the start of the tool until the copy and its folder are flushed. In each
round every one moves a plot of its own, which was flushed and dropped from memory before, one after
another.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks import movers, peer
from benchmarks.farm import Farm, up
from benchmarks.figures import Report
from benchmarks.machine import OURS, until, used_s
from benchmarks.movers import BEST, FORMER, GIB, RESUMING, Took

_CUT_AT = 0.6
_CUT_RATE_BYTES_S = 100_000_000  # so that there is time to cut
_ONE_MOVE_S = 600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of small plots")
    parser.add_argument("--long", action="store_true", help="plots of 4 GiB; needs 40 GiB of room")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    size_bytes = (64 << 20) if options.quick else 4 * GIB if options.long else GIB
    rounds = 1 if options.quick else options.rounds
    report = Report("moving", "How fast plots get to their drives")
    report.note(
        f"Plots of {size_bytes / GIB:g} GiB, read from the drive; proofs are off (the fakes hold none)."
    )
    report.note("plotman: from the plot's appearance in dst until its source is deleted, all steps.")
    report.note("the others: from their start until the copy is flushed; nothing is checked or deleted.")
    report.note(f"0.5.3's flags: {' '.join(FORMER)}; without its limit of 80 MB/s for rsyncd.")
    report.note("beside the copy: longer than the best rsync, for all the other steps together.")
    report.note("sent again: after the sender was killed when 60 % had arrived.")
    with tempfile.TemporaryDirectory(prefix="plotman-bench-", dir="/var/tmp") as folder:
        one_machine(report, Path(folder) / "one", size_bytes, rounds)
        two_machines(report, Path(folder) / "two", size_bytes, rounds)
        at_once(report, Path(folder) / "once", size_bytes // 4, 1 if options.quick else 3)
        cut(report, Path(folder) / "cut", min(size_bytes, 300 << 20))
    report.show()
    report.save(keep=options.quick)


def one_machine(report: Report, folder: Path, size_bytes: int, rounds: int) -> None:
    """Drive and dst on one machine."""
    with up(folder / "p", **_plotter(folder / "p", 1), **_harvester(folder, 1)) as farm:
        bare = _folder(folder / "bare")
        ways: dict[str, Callable[[Path], Took]] = {
            OURS: lambda plot: archived(plot, folder / "p" / "dst", [farm]),
            "rsync, best flags": lambda plot: movers.rsync(BEST, plot, bare),
            "rsync, 0.5.3's flags": lambda plot: movers.rsync(FORMER, plot, bare),
            "cp": lambda plot: movers.copy(plot, bare),
        }
        alternate(report, "one machine", ways, folder, size_bytes, rounds)


def two_machines(report: Report, folder: Path, size_bytes: int, rounds: int) -> None:
    """The plotter sends to a harvester elsewhere; both are here, and the loopback is their network."""
    with ExitStack() as stack:
        harvester = stack.enter_context(
            up(folder / "h", "h", **_harvester(folder, 1), farm={"scheduler": True})
        )
        plotter = stack.enter_context(up(folder / "p", "p", harvester.url, **_plotter(folder / "p", 1)))
        bare = _folder(folder / "bare")
        rsyncd = stack.enter_context(movers.daemon(bare, folder / "rsyncd"))
        ways: dict[str, Callable[[Path], Took]] = {
            OURS: lambda plot: archived(plot, folder / "p" / "dst", [plotter, harvester]),
            "rsync, best flags": lambda plot: rsyncd.send(BEST, plot),
            "rsync, 0.5.3's flags": lambda plot: rsyncd.send(FORMER, plot),
        }
        alternate(report, "two machines", ways, folder, size_bytes, rounds)


def alternate(
    report: Report,
    at: str,
    ways: dict[str, Callable[[Path], Took]],
    folder: Path,
    size_bytes: int,
    rounds: int,
) -> None:
    found: dict[str, list[Took]] = {subject: [] for subject in ways}
    staging = _folder(folder / "staging")
    for number in range(rounds + 1):
        for subject, move in ways.items():
            took = move(movers.write_plot(staging, size_bytes))
            if number:  # the first round only warms up
                found[subject].append(took)
            for place in (staging, folder / "bare", folder / "farm"):
                movers.empty(place)
    copied_s = statistics.median(took.seconds for took in found["rsync, best flags"])
    report.add(OURS, f"{at}, beside the copy", "s a plot", [took.seconds - copied_s for took in found[OURS]])
    for subject, all_took in found.items():
        report.add(subject, at, "MB/s", [size_bytes / took.seconds / 1e6 for took in all_took])
        report.add(subject, at, "CPU s/GiB", [took.cpu_s / (size_bytes / GIB) for took in all_took])


def archived(plot: Path, dst: Path, farms: list[Farm]) -> Took:
    """Let plotman find this plot in `dst`, and wait until its source is deleted."""
    before, began = _cpu_s(farms), time.perf_counter()
    source = plot.rename(dst / plot.name)
    until(lambda: not source.exists(), f"{source} is archived", _ONE_MOVE_S, every_s=0.005)
    took_s = time.perf_counter() - began
    time.sleep(0.5)  # what it has to note after that costs something, too
    return Took(took_s, _cpu_s(farms) - before)


def _cpu_s(farms: list[Farm]) -> float:
    return sum(sum(used_s(farm.processes()).values()) for farm in farms)


def at_once(report: Report, folder: Path, size_bytes: int, rounds: int) -> None:
    """Two plotters send two plots each at a time to a harvester with four drives."""
    with ExitStack() as stack:
        harvester = stack.enter_context(
            up(folder / "h", "h", **_harvester(folder, 4), farm={"scheduler": True})
        )
        for name in ("p1", "p2"):
            sections = _plotter(folder / name, 2)
            stack.enter_context(up(folder / name, name, harvester.url, **sections))
        bare = _folder(folder / "bare")
        for number in range(4):
            _folder(bare / str(number))
        rsyncd = stack.enter_context(movers.daemon(bare, folder / "rsyncd"))
        staging = _folder(folder / "staging")
        rates: dict[str, list[float]] = {OURS: [], "rsync, best flags": []}
        for _ in range(rounds):
            for subject, found in rates.items():
                plots = [movers.write_plot(staging, size_bytes) for _ in range(8)]
                began = time.perf_counter()
                if subject == OURS:
                    _archive_all(plots, [folder / name / "dst" for name in ("p1", "p2")])
                else:
                    _send_all(plots, rsyncd)
                found.append(8 * size_bytes / (time.perf_counter() - began) / 1e6)
                for place in (staging, bare, folder / "farm"):
                    movers.empty(place)
        for subject, found in rates.items():
            report.add(subject, "2 plotters, 4 drives", "MB/s", found)


def _archive_all(plots: list[Path], folders: list[Path]) -> None:
    sources = [plot.rename(folders[number % 2] / plot.name) for number, plot in enumerate(plots)]
    until(lambda: not any(source.exists() for source in sources), "all are archived", _ONE_MOVE_S, 0.01)


def _send_all(plots: list[Path], rsyncd: movers.Daemon) -> None:
    """Four at a time, each to a drive of its own, as plotman does it."""
    for half in (plots[:4], plots[4:]):
        argvs = [rsyncd.argv(BEST, plot, str(drive)) for drive, plot in enumerate(half)]
        for process in [subprocess.Popen(argv, stdout=subprocess.DEVNULL) for argv in argvs]:
            process.wait()


def cut(report: Report, folder: Path, size_bytes: int) -> None:
    """Kill the sender when 60 % have arrived; what all senders together have sent beyond the plot's size."""
    limit = f"--bwlimit={_CUT_RATE_BYTES_S // 1024}"
    with ExitStack() as stack:
        harvester = stack.enter_context(
            up(folder / "h", "h", **_harvester(folder, 1), farm={"scheduler": True})
        )
        sections = _plotter(folder / "p", 1)
        sections["archiving"]["bwlimit_bytes_s"] = _CUT_RATE_BYTES_S
        plotter = stack.enter_context(up(folder / "p", "p", harvester.url, **sections))
        bare, staging = _folder(folder / "bare"), _folder(folder / "staging")
        rsyncd = stack.enter_context(movers.daemon(bare, folder / "rsyncd"))
        source = movers.write_plot(staging, size_bytes)
        source = source.rename(folder / "p" / "dst" / source.name)
        parts = _Parts(folder / "farm" / "0" / ".incoming", size_bytes)
        sent = movers.written_bytes(lambda: parts.cutting(_rsyncs(plotter.pid)), lambda: not source.exists())
        report.add(OURS, "sent again after a cut", "% of the plot", [100 * (sent / size_bytes - 1)])
        for subject, options in (("rsync, resuming", RESUMING), (f"rsync, {peer.NAME}'s flags", FORMER)):
            movers.empty(bare)
            plot = movers.write_plot(staging, size_bytes)
            parts = _Parts(bare, size_bytes)
            sent = _send_until_done(rsyncd.argv((*options, limit), plot), parts)
            report.add(subject, "sent again after a cut", "% of the plot", [100 * (sent / size_bytes - 1)])


def _send_until_done(argv: list[str], parts: _Parts) -> int:
    sent, code = 0, 1
    while code != 0:
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        one = psutil.Process(process.pid)
        sent += movers.written_bytes(partial(_cutting, parts, one), partial(_has_ended, process))
        code = process.returncode
    return sent


def _cutting(parts: _Parts, sender: psutil.Process) -> Iterator[psutil.Process]:
    return parts.cutting(iter([sender]))


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


def _rsyncs(pid: int) -> Iterator[psutil.Process]:
    """Those below this process."""
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if process.name() == "rsync":
                yield process
        except psutil.Error:
            continue


class _Parts:
    """Kills the sender, once, when enough has arrived."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self._folder, self._enough_bytes = folder, _CUT_AT * size_bytes
        self._cut = False

    def cutting(self, senders: Iterator[psutil.Process]) -> Iterator[psutil.Process]:
        for sender in senders:
            yield sender  # it is asked what it sent before it ends
            if not self._cut and self._arrived_bytes() >= self._enough_bytes:
                self._cut = True
                os.kill(sender.pid, signal.SIGKILL)

    def _arrived_bytes(self) -> int:
        try:
            return max((path.stat().st_size for path in self._folder.iterdir() if path.is_file()), default=0)
        except FileNotFoundError:
            return 0


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _harvester(folder: Path, drives: int) -> dict[str, Any]:
    for number in range(drives):
        _folder(folder / "farm" / str(number))
    section = {"drives": [str(folder / "farm" / "*")], "plain_folders": True, "proofs": 0, "margin_bytes": 0}
    return {"harvester": section}


def _plotter(folder: Path, concurrency: int) -> dict[str, Any]:
    """One that plots nothing."""
    for name in ("tmp", "dst", "logs"):
        _folder(folder / name)
    return {
        "logging": {"plots": str(folder / "logs")},
        "directories": {"tmp": [str(folder / "tmp")], "dst": [str(folder / "dst")]},
        "scheduling": {
            "tmpdir_stagger_phase_major": 2,
            "tmpdir_stagger_phase_minor": 1,
            "tmpdir_max_jobs": 0,
            "global_max_jobs": 0,
            "global_stagger_m": 0,
            "polling_time_s": 20,
        },
        "plotting": {"type": "chia", "farmer_pk": "aa" * 48, "pool_pk": "aa" * 48},
        "archiving": {"target": "harvester", "concurrency": concurrency},
    }


if __name__ == "__main__":
    main()
