"""A farm of many announcing hosts on one Redis: what it costs broker and beat, how long an order takes.

    python -m benchmarks.thousand [--hosts 1000] [--seconds 60]

The hosts are simulated in one process: each puts up its snapshot as a plotter worker does, its progress each
second and a renewal each ten. Redis and beat are real.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
import redis

from benchmarks.broker import own_broker
from benchmarks.deciding import harvester, plotter, renewed
from benchmarks.figures import Report
from common.model.snapshot import Event, PlotterSnapshot
from common.names import Role, queue
from common.store import Board

_ORDERS_EVERY_S = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    report = Report("thousand", f"{options.hosts} plotters that announce themselves to one Redis, one beat")
    report.note("Each has 20 jobs in 12 tmp directories, tells its progress once a second, renews each 10 s.")
    report.note("order: from a snapshot in which a plot is gone to the next order in that plotter's queue.")
    with (
        own_broker() as server,
        tempfile.TemporaryDirectory() as folder,
        beat(server.url, Path(folder)) as own,
    ):
        farm = Announcing(server.url, options.hosts)
        farm.start()
        time.sleep(15)  # beat has read all of them once
        client = redis.Redis.from_url(server.url)
        before = (used_s(own.pid), used_s(server.pid), net_bytes(client), time.monotonic(), farm.sent)
        latencies = [farm.end_a_plot() * 1000 for _ in pace(options.seconds)]
        took_s = time.monotonic() - before[3]
        report.add("beat", "CPU of a core", "%", [100 * (used_s(own.pid) - before[0]) / took_s])
        report.add("broker", "CPU of a core", "%", [100 * (used_s(server.pid) - before[1]) / took_s])
        report.add("order", "latency", "ms", latencies)
        sent_mb = (net_bytes(client) - before[2]) / 1e6
        report.add("snapshots", "of a host", "MB/h", [sent_mb / options.hosts / took_s * 3600])
        report.add("snapshots", "put up", "1/s", [(farm.sent - before[4]) / took_s])
        report.add("beat", "resident memory", "MB", [psutil.Process(own.pid).memory_info().rss / 1e6])
        farm.stop()
    report.show()
    report.save()


@contextmanager
def beat(url: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    settings = folder / "plotman.yaml"
    settings.write_text(
        f"version: [2]\nfarm: {{broker: '{url}', host: scheduler, scheduler: true, state: '{folder}'}}\n",
        encoding="utf-8",
    )
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "plotman",
        "beat",
        "-s",
        str(folder / "schedule"),
        "--pidfile=",
    ]
    with (folder / "beat.log").open("wb") as output:
        process = subprocess.Popen(
            command, env=os.environ | {"PLOTMAN_CONFIG": str(settings)}, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)


def used_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def net_bytes(client: redis.Redis) -> int:
    return int(client.info("stats")["total_net_input_bytes"])  # type: ignore[index,unused-ignore]


def pace(seconds: float) -> Iterator[None]:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        yield
        time.sleep(_ORDERS_EVERY_S)


class Announcing(threading.Thread):
    """The hosts, each with a second of its own in which it tells its progress."""

    def __init__(self, url: str, hosts: int) -> None:
        super().__init__(daemon=True)
        self._board = Board.connect(url)
        self._orders = redis.Redis.from_url(url)
        self._farm = [plotter(f"p{number:04}", random.Random(number)) for number in range(hosts)]
        self._turns = [1] * hosts
        self._stopping = threading.Event()
        self._next = 0
        self.sent = 0
        for number in range(max(1, hosts // 10)):
            self._board.put_snapshot(Role.HARVESTER, harvester(f"h{number:04}"))

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def run(self) -> None:
        board, hosts, began = self._board, len(self._farm), time.monotonic()
        number = 0
        while not self._stopping.is_set():
            host = number % hosts
            decisive = number < hosts or (number // hosts) % 10 == host % 10
            board.put_snapshot(Role.PLOTTER, renewed(self._farm[host]), decisive)
            self.sent += 1
            number += 1
            behind_s = number / hosts - (time.monotonic() - began)
            if behind_s > 0:
                self._stopping.wait(behind_s)

    def end_a_plot(self) -> float:
        """Seconds until the order for the next one is in the queue of the host, which then takes it up."""
        number = self._next = (self._next + 7) % len(self._farm)
        busy = self._farm[number]
        ended = renewed(busy).model_copy(update={"jobs": busy.jobs[1:]})
        self._farm[number] = ended
        began = time.perf_counter()
        self._board.put_snapshot(Role.PLOTTER, ended)
        self._board.tell(Event(kind="plot-done", host=busy.host, at=datetime.now(UTC), text="done"))
        if self._orders.brpop([queue(Role.PLOTTER, busy.host)], timeout=20) is None:
            raise SystemExit(f"No order for {busy.host} within 20 s.")
        took_s = time.perf_counter() - began
        self._take_up(number, busy)
        return took_s

    def _take_up(self, number: int, busy: PlotterSnapshot) -> None:
        self._turns[number] += 1
        self._farm[number] = renewed(busy).model_copy(update={"turn": f"a:{self._turns[number]}"})
        self._board.put_snapshot(Role.PLOTTER, self._farm[number])
        self._board.drop_orders(
            busy.host, [each.task_id for each in self._board.orders([busy.host])[busy.host]]
        )


if __name__ == "__main__":
    main()
