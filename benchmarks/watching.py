"""What it costs to keep an eye on plotters that run.

    python -m benchmarks.watching [--quick] [--jobs 0,1,20/100/200] [--seconds 160]

plotman's processes and 0.5.3's `plot` loop watch as many plotters of the same kind side by side, each in a
process table of its own, with 500 other processes. Nothing may start. The logs are as long as a k32
plot's in phase 4, and get a line each eleven seconds or so, as in a plot of eight hours.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

import psutil

from benchmarks import ours, peer
from benchmarks.figures import Report
from benchmarks.machine import OURS, Machine, Running, until, used_s
from benchmarks.realistic import LATE

_LINE_S = 11.0
_WATCHERS = ("plotter", "plot")  # whose figure is compared; the others serve the whole farm
_SETTLE_S = 20.0  # a process is looked at again and again in its first ten seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2 jobs, ten seconds")
    parser.add_argument("--jobs", default="0,1,20/100/200", help="what is joined by commas runs side by side")
    parser.add_argument("--seconds", type=float, default=160, help="a multiple of 0.5.3's polling, 20 s")
    options = parser.parse_args()
    if options.quick:
        options.jobs, options.seconds = "2", 10
    ours.program()
    peer.program()
    others = 20 if options.quick else 500
    report = Report("watching", "Processor time and memory to watch plotters that run")
    report.note(f"{others} other processes run beside them. Four jobs to a tmp directory. Nothing may start.")
    report.note("0.5.3 looks every 20 s (its default), plotman at every line and every exit.")
    report.note("plotter: the worker of a plotter's machine. whole: `plotman up` with all it runs there.")
    for sizes in options.jobs.split("/"):
        measure(report, [int(jobs) for jobs in sizes.split(",")], others, options.seconds)
    report.show()
    report.save(keep=options.quick)


def measure(report: Report, sizes: Sequence[int], others: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="plotman-bench-") as folder, ExitStack() as stack:
        runs = {
            (jobs, subject): stack.enter_context(
                _start(subject, Path(folder) / f"{jobs}-{number}", jobs, others)
            )
            for jobs in sizes
            for number, subject in enumerate((OURS, peer.NAME))
        }
        for (jobs, _), running in runs.items():
            until(partial(_all_run, running, jobs), "all plotters run", 120)
            until(partial(_watches, running), "somebody watches them", 120)
        time.sleep(_SETTLE_S)
        processes = {case: running.processes() for case, running in runs.items()}
        before = {case: used_s(found) for case, found in processes.items()}
        began = time.monotonic()
        time.sleep(seconds)
        took_s = time.monotonic() - began
        for case, found in processes.items():
            after = used_s(found)
            spent = {name: (after[name] - before[case][name]) / took_s * 3600 for name in found}
            jobs, subject = case
            _tell(report, subject, f"{jobs} jobs", spent, found)


def _start(subject: str, folder: Path, jobs: int, others: int) -> AbstractContextManager[Running]:
    machine = Machine(folder, tmp=-(-jobs // 4)).lay_out(begins=LATE, line_s=_LINE_S)
    machine.configure(max_jobs=1 if jobs else 0, most=max(1, jobs))
    verb = ("up",) if subject == OURS else ("plot",)
    return machine.run(subject, *verb, jobs=jobs, others=others)


def _all_run(running: Running, jobs: int) -> bool:
    return running.plotters() >= jobs


def _watches(running: Running) -> bool:
    found = running.processes()
    return any(name in found for name in _WATCHERS)


def _tell(
    report: Report, subject: str, at: str, spent: Mapping[str, float], found: Mapping[str, psutil.Process]
) -> None:
    watcher = next(name for name in _WATCHERS if name in found)
    report.add(f"{subject}: {watcher}", at, "CPU s/h", [spent[watcher]])
    report.add(f"{subject}: {watcher}", at, "MiB resident", [found[watcher].memory_info().rss / 2**20])
    if subject == OURS:
        report.add(f"{subject}: whole", at, "CPU s/h", [sum(spent.values())])
        whole = sum(process.memory_info().rss for process in found.values())
        report.add(f"{subject}: whole", at, "MiB resident", [whole / 2**20])


if __name__ == "__main__":
    main()
