"""What the verbs of the command line cost.

    python -m benchmarks.command_line [--quick] [--jobs 0,20,100,200] [--rounds 7]

plotman's read a notice board on which a plotter has put this number of jobs; 0.5.3's look for as many
plotters in the process table and read their logs, as they do. One after the other in each round.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import yaml

from benchmarks import ours, peer
from benchmarks.broker import own_broker
from benchmarks.deciding import job, plotter, put
from benchmarks.figures import Report
from benchmarks.machine import OURS, Machine, until
from benchmarks.realistic import LATE
from common.model.phase import Phase
from common.store import Board

VERBS = (("status",), ("dirs",), ("--help",))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2 jobs, one round")
    parser.add_argument("--jobs", default="0,20,100,200")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    if options.quick:
        options.jobs, options.rounds = "2", 1
    ours.program()
    peer.program()
    report = Report("command_line", "How long the verbs of the command line take")
    report.note("From the start of the command to its end, its output read. CPU: its own and the kernel's.")
    report.note("The logs that 0.5.3 reads are as long as those of k32 plots in phase 4.")
    for jobs in map(int, options.jobs.split(",")):
        measure(report, jobs, options.rounds)
    report.show()
    report.save(keep=options.quick)


def measure(report: Report, jobs: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="plotman-bench-") as folder, ExitStack() as stack:
        broker = stack.enter_context(own_broker())
        machine = Machine(Path(folder) / "machine", tmp=-(-jobs // 4)).lay_out(begins=LATE, line_s=11)
        machine.configure(max_jobs=4, most=1000)
        settings = yaml.safe_load(machine.config.read_text(encoding="utf-8"))
        settings["farm"]["broker"] = broker.url
        machine.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        tell(Board.connect(broker.url), machine, jobs)
        # Both run where the plotters do: in their process table, in which 0.5.3 looks for them.
        inside = stack.enter_context(machine.run("nobody", "version", jobs=jobs, others=1))
        until(lambda: inside.plotters() >= jobs, "all plotters run", 120)
        into = (
            "nsenter",
            f"--target={_first(inside.pid)}",
            "--user",
            "--pid",
            "--mount",
            "--preserve-credentials",
        )
        for verb in VERBS:
            found: dict[str, list[tuple[float, float]]] = {OURS: [], peer.NAME: []}
            for number in range(rounds + 1):
                for subject, timed in found.items():
                    argv, environment = machine.command(subject, *verb)
                    took = run((*into, *argv), environment)
                    if number:  # the first only warms up
                        timed.append(took)
            at = f"{' '.join(verb)}, {jobs} jobs"
            for subject, timed in found.items():
                report.add(subject, at, "ms", [1000 * wall_s for wall_s, _ in timed])
                report.add(subject, at, "CPU ms", [1000 * cpu_s for _, cpu_s in timed])


def tell(board: Board, machine: Machine, jobs: int) -> None:
    """Put up what a plotter with the machine's directories and this number of jobs publishes."""
    now = datetime.now(UTC)
    busy = plotter("bench", random.Random(jobs))
    directories = machine.tmp_dirs
    told = tuple(
        job("bench", number, Phase(4, 1), now).model_copy(
            update={
                "plot_id": f"{number:08x}" * 8,
                "tmp": directories[number % len(directories)],
                "dst": str(machine.folder / "dst" / "00"),
            }
        )
        for number in range(jobs)
    )
    tmp_dirs = tuple(busy.tmp_dirs[0].model_copy(update={"path": path}) for path in directories)
    dst_dirs = (busy.dst_dirs[0].model_copy(update={"path": str(machine.folder / "dst" / "00")}),)
    put(board, busy.model_copy(update={"jobs": told, "tmp_dirs": tmp_dirs, "dst_dirs": dst_dirs}))


def run(argv: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """Wall and processor seconds. Ends the benchmark when the verb fails."""
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    wall_s = time.perf_counter() - began
    after = os.times()
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)} exits {done.returncode}: {done.stderr.decode()[-500:]}")
    cpu_s = (after.children_user + after.children_system) - (before.children_user + before.children_system)
    return wall_s, cpu_s


def _first(pid: int) -> int:
    """The first process in the table of this `unshare`, once it is there."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    until(lambda: children.read_text(encoding="ascii").split(), "the process table is there", 20)
    return int(children.read_text(encoding="ascii").split()[0])


if __name__ == "__main__":
    main()
