"""What the dashboard of a large farm costs, and how long an event takes from Redis to the screen.

    python -m benchmarks.dashboard [--quick] [--hosts 50] [--seconds 150] [--events 40]

`plotman interactive` runs in a terminal of 200x50. The hosts are simulated by this process on a Redis of its
own, each a plotter with 10 jobs and a harvester with 10 drives. Each publishes its progress once a second; a
phase begins somewhere once a second, as in a farm of 500 plots.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks import ours
from benchmarks.broker import own_broker
from benchmarks.deciding import GB, job, renewed
from benchmarks.deciding import plotter as busy_plotter
from benchmarks.figures import Report
from benchmarks.thousand import used_s
from common.model.phase import Phase
from common.model.snapshot import (
    ArchiverSnapshot,
    DirState,
    DiskHealth,
    Drive,
    Event,
    HarvesterSnapshot,
    PlotterSnapshot,
)
from common.names import Role
from common.store import Board
from tests.support.terminal import Terminal, terminal

_JOBS, _DRIVES = 10, 10
_COLUMNS, _LINES = 200, 50
_SETTLE_S = 15.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5 hosts, 5 events")
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("--events", type=int, default=40)
    options = parser.parse_args()
    if options.quick:
        options.hosts, options.seconds, options.events = 5, 5, 5
    argv = [str(ours.program()), "interactive"]
    report = Report("dashboard", "The dashboard of a large farm: its processor time, and how old it is")
    report.note(f"{options.hosts} hosts with {_JOBS} plots and {_DRIVES} drives each, {_COLUMNS}x{_LINES}.")
    report.note("Each plot makes progress once a second; a phase begins somewhere once a second.")
    report.note("latency: from an event's publication in Redis to its text in the output of the terminal.")
    report.note(f"Load of the machine when it began: {os.getloadavg()[0]:.1f}.")
    measure(report, argv, options.hosts, options.seconds, options.events)
    report.show()
    report.save(keep=options.quick)


def measure(report: Report, argv: Sequence[str], hosts: int, seconds: float, events: int) -> None:
    with (
        own_broker() as server,
        tempfile.TemporaryDirectory(prefix="plotman-bench-") as folder,
        farm(server.url, hosts) as board,
    ):
        settings = Path(folder) / "plotman.yaml"
        settings.write_text(f"version: [2]\nfarm: {{broker: '{server.url}', state: '{folder}'}}\n", "utf-8")
        environment = os.environ | {"PLOTMAN_CONFIG": str(settings)}
        with terminal(argv, environment, _COLUMNS, _LINES) as shown:
            shown.shows("archive dir")
            time.sleep(_SETTLE_S)
            for at, key in (("tables", ""), ("behind the list of keys", "?")):
                shown.type(key)
                report.add(at, "CPU of a core", "%", [_cpu_share(shown, seconds)])
            shown.type("\x1b")
            report.add("event", "latency", "ms", _latencies_ms(board, shown, events))
            memory = psutil.Process(shown.process.pid).memory_info().rss
            report.add("dashboard", "resident memory", "MB", [memory / 1e6])


def _cpu_share(shown: Terminal, seconds: float) -> float:
    """Percent of a core."""
    before_s, began = used_s(shown.process.pid), time.monotonic()
    time.sleep(seconds)
    return 100 * (used_s(shown.process.pid) - before_s) / (time.monotonic() - began)


def _latencies_ms(board: Board, shown: Terminal, events: int) -> list[float]:
    chance = random.Random(7)
    found = []
    for number in range(events):
        time.sleep(chance.uniform(1.0, 4.0))
        text = f"mark {number:04} of the clock"
        shown.drawn.clear()
        began = time.monotonic()
        board.tell(Event(kind="archived", host="p0001", at=datetime.now(UTC), text=text))
        while text.encode() not in shown.drawn:
            if time.monotonic() - began > 20:
                raise SystemExit(f"Not on the screen within 20 s: {text!r}")
            time.sleep(0.002)
        found.append(1000 * (time.monotonic() - began))
    return found


@contextmanager
def farm(url: str, hosts: int) -> Iterator[Board]:
    """Publish a farm until the end of the block."""
    board, stopping = Board.connect(url), threading.Event()
    thread = threading.Thread(target=_publish, args=(Board.connect(url), hosts, stopping), daemon=True)
    for number in range(hosts):
        board.put_snapshot(Role.HARVESTER, _harvester(f"p{number:04}"))
        board.put_snapshot(Role.ARCHIVER, ArchiverSnapshot(host=f"p{number:04}", at=datetime.now(UTC)))
    thread.start()
    try:
        yield board
    finally:
        stopping.set()
        thread.join()


def _publish(board: Board, hosts: int, stopping: threading.Event) -> None:
    """Each host has a moment of its own in each second. Other roles renew each ten seconds."""
    plotters = [_plotter(f"p{number:04}", random.Random(number)) for number in range(hosts)]
    began, number = time.monotonic(), 0
    while not stopping.is_set():
        at, second = number % hosts, number // hosts
        plotters[at] = advanced(plotters[at], second)
        board.put_snapshot(Role.PLOTTER, plotters[at], decisive=second % 10 == at % 10)
        if second % 10 == at % 10:
            host = plotters[at].host
            board.put_snapshot(Role.HARVESTER, _harvester(host))
            board.put_snapshot(Role.ARCHIVER, ArchiverSnapshot(host=host, at=datetime.now(UTC)))
        if at == second % hosts:
            one = plotters[at].jobs[second % _JOBS]
            text = f"phase {one.phase} in {one.tmp}"
            told = {"host": plotters[at].host, "at": datetime.now(UTC), "task_id": one.task_id}
            board.tell(Event(kind="plot-phase", text=text, plot_id=one.plot_id, **told))
        number += 1
        stopping.wait(max(0.0, began + number / hosts - time.monotonic()))


def advanced(snapshot: PlotterSnapshot, second: int) -> PlotterSnapshot:
    """A second later: each plot is at 0 to 100 % of 8 hours, and uses more of everything."""
    jobs = []
    for number, each in enumerate(snapshot.jobs):
        percent = (10.0 * number + second / 288) % 100
        phase = Phase(1 + int(percent / 25), 1 + int(percent) % 6)
        changes = {"percent": percent, "eta_s": 288 * (100 - percent), "phase": phase}
        used = {"user_s": each.user_s + 1, "tmp_used_bytes": each.tmp_used_bytes + 10**6}
        jobs.append(each.model_copy(update=changes | used))
    return renewed(snapshot).model_copy(update={"jobs": tuple(jobs)})


def _plotter(host: str, chance: random.Random) -> PlotterSnapshot:
    now = datetime.now(UTC)
    jobs = tuple(job(host, number, Phase(1, 1), now) for number in range(_JOBS))
    return busy_plotter(host, chance).model_copy(update={"jobs": jobs})


def _harvester(host: str) -> HarvesterSnapshot:
    drives = tuple(
        Drive(
            path=f"/mnt/farm/{number:02}",
            state=DirState.OK,
            free_bytes=(1 + number) * 1000 * GB,
            total_bytes=18_000 * GB,
            plots=166 - number,
            disk=DiskHealth(names=(f"sd{chr(97 + number)}",), fails=False, temperature_c=30 + number),
        )
        for number in range(_DRIVES)
    )
    return HarvesterSnapshot(host=host, at=datetime.now(UTC), drives=drives)


if __name__ == "__main__":
    main()
