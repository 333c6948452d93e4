"""How long a round of beat takes, from snapshots in Redis to orders sent.

python -m benchmarks.deciding [--rounds 30] [--hosts 10,100,1000]
"""

from __future__ import annotations

import argparse
import os
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from benchmarks.broker import own_broker
from benchmarks.figures import Report
from common.model.phase import Phase
from common.model.snapshot import (
    ArchiverSnapshot,
    Directory,
    DirState,
    Drive,
    HarvesterSnapshot,
    Job,
    PlotterSnapshot,
    Recipe,
    RunStatus,
    TmpDir,
)
from common.names import Role
from common.store import Board

GB = 10**9
JOBS, TMP_DIRS, DST_DIRS = 20, 12, 4
RECIPE = Recipe(plotter="chia", k=32, tmp_bytes=256 * GB, tmp2_bytes=0, dst_bytes=108 * GB)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--hosts", default="10,100,1000")
    options = parser.parse_args()
    report = Report("deciding", "One round of decisions, from snapshots in Redis to orders sent")
    report.note(
        f"Each plotter has {JOBS} jobs, {TMP_DIRS} tmp and {DST_DIRS} dst directories; none may start."
    )
    report.note("first: beat has just started. event: one plotter has told something new, and gets an order.")
    report.note("Not timed: the collection of garbage after each round, once its orders are sent.")
    report.note("told: every plotter has put up a new snapshot since the last round.")
    with own_broker() as server:
        for hosts in map(int, options.hosts.split(",")):
            redis.Redis.from_url(server.url).flushall()
            measure(report, server.url, hosts, options.rounds)
    report.show()
    report.save()


def measure(report: Report, url: str, hosts: int, rounds: int) -> None:
    board = Board.connect(url)
    farm = [plotter(f"p{number:04}", random.Random(number)) for number in range(hosts)]
    for snapshot in farm:
        put(board, snapshot)
    for number in range(max(1, hosts // 10)):
        board.put_snapshot(Role.HARVESTER, harvester(f"h{number:04}"))
    beat = Round(url)
    first, event, told = [], [], []
    first.append(beat.timed_ms())
    for number in range(rounds):
        changed = free_host(farm[number % hosts])
        put(board, changed)
        event.append(beat.timed_ms(orders=1))
        put(board, renewed(farm[number % hosts]))
        board.drop_orders(
            changed.host, [order.task_id for order in board.orders([changed.host])[changed.host]]
        )
        beat.timed_ms()
    for _ in range(min(rounds, 5)):
        for snapshot in farm:
            put(board, renewed(snapshot))
        told.append(beat.timed_ms())
    for at, values in (("first", first), ("event", event), ("told", told)):
        report.add("plotman", f"{hosts} plotters, {at}", "ms", values)


class Round:
    """What beat does between waking up and going to sleep, with its own scheduler."""

    def __init__(self, url: str) -> None:
        os.environ["PLOTMAN_CONFIG"] = _config(url)
        from beat.scheduler import FarmScheduler
        from common.config.watch import load_to_run
        from plotman.app import make_app

        self._beat: Any = FarmScheduler(make_app(load_to_run()))
        self._beat._take_lease()

    def timed_ms(self, orders: int = 0) -> float:
        began = time.perf_counter()
        decision = self._beat._decide(datetime.now(UTC))
        self._beat._send(decision)
        self._beat._publish_waits(decision)
        took_ms = (time.perf_counter() - began) * 1000
        self._beat._collect_garbage()
        self._beat._take_lease()
        assert len(decision.starts) == orders, f"{len(decision.starts)} orders instead of {orders}"
        return took_ms


def _config(url: str) -> str:
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False, encoding="utf-8") as file:
        file.write(f"version: [2]\nfarm: {{broker: '{url}', host: scheduler, scheduler: true}}\n")
    return file.name


def put(board: Board, snapshot: PlotterSnapshot) -> None:
    board.put_snapshot(Role.PLOTTER, snapshot)
    board.put_snapshot(Role.ARCHIVER, ArchiverSnapshot(host=snapshot.host, at=datetime.now(UTC)))


def plotter(host: str, chance: random.Random) -> PlotterSnapshot:
    """A busy plotter: each of its tmp directories has a job that is before its milestone."""
    now = datetime.now(UTC)
    jobs = [
        job(host, number, Phase(1, 3) if number < TMP_DIRS else Phase(chance.randint(2, 4), 1), now)
        for number in range(JOBS)
    ]
    return PlotterSnapshot(
        host=host,
        at=now,
        turn="a:1",
        plotting=True,
        global_max_jobs=100,
        global_stagger_s=60,
        recipe=RECIPE,
        tmp_dirs=tuple(
            TmpDir(
                path=f"/mnt/tmp/{number:02}",
                state=DirState.OK,
                free_bytes=2000 * GB,
                total_bytes=4000 * GB,
                device=f"8:{number}",
                max_jobs=3,
                stagger_phase=Phase(2, 1),
                stagger_limit=1,
            )
            for number in range(TMP_DIRS)
        ),
        dst_dirs=tuple(
            Directory(
                path=f"/mnt/dst/{number}",
                state=DirState.OK,
                free_bytes=9000 * GB,
                total_bytes=9000 * GB,
                device=f"9:{number}",
            )
            for number in range(DST_DIRS)
        ),
        jobs=tuple(jobs),
        archiving=True,
    )


def job(host: str, number: int, phase: Phase, now: datetime) -> Job:
    return Job(
        task_id=f"{host}-{number:02}-1b671a64-40d5-491e-99b0-da01ff1f3341",
        plotter="chia",
        pid=1000 + number,
        started_at=now - timedelta(hours=number + 1),
        ours=True,
        plot_id=f"{number:02}" * 32,
        k=32,
        phase=phase,
        percent=40.0,
        eta_s=3600.0,
        tmp=f"/mnt/tmp/{number % TMP_DIRS:02}",
        dst=f"/mnt/dst/{number % DST_DIRS}",
        log=f"/var/lib/plotman/plots/{number}.plot.log",
        proven=True,
        status=RunStatus.SLEEPING,
        tmp_used_bytes=100 * GB,
        tmp_to_come_bytes=10 * GB,
        dst_to_come_bytes=108 * GB,
        mem_bytes=3 * GB,
        user_s=1000,
        sys_s=100,
    )


def renewed(snapshot: PlotterSnapshot) -> PlotterSnapshot:
    return snapshot.model_copy(update={"at": datetime.now(UTC)})


def free_host(snapshot: PlotterSnapshot) -> PlotterSnapshot:
    """The same after a plot of its first tmp directory has ended."""
    return renewed(snapshot).model_copy(update={"jobs": snapshot.jobs[1:]})


def harvester(host: str) -> HarvesterSnapshot:
    drives = tuple(
        Drive(path=f"/mnt/farm/{number:02}", state=DirState.OK, free_bytes=5000 * GB, total_bytes=18000 * GB)
        for number in range(20)
    )
    return HarvesterSnapshot(host=host, at=datetime.now(UTC), drives=drives)


if __name__ == "__main__":
    main()
