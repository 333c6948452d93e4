"""Two real beats and one host: one of them decides, and nothing is ever started twice."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import redis
import yaml

from common.errors import OrderRefused
from common.model.messages import PlotOrder
from common.model.phase import Phase
from common.model.snapshot import DirState, Event, Job, PlotterSnapshot, Recipe, TmpDir
from common.names import Keys, Role
from common.store import Board
from plotter_worker.jobs.order_checks import directories_for
from tests.support.installed import celery
from tests.support.waiting import eventually

HOST = "h"
TMP = ("/tmp1", "/tmp2", "/tmp3")
PLOT_S = 0.15


class Host:
    """A plotter host as beat sees it: it takes orders from its queue and puts up snapshots. Its plots are
    made of time."""

    def __init__(self, url: str) -> None:
        self.board = Board.connect(url)
        self.started: list[str] = []
        self.refused: list[str] = []
        self.most = 0
        self._redis = redis.Redis.from_url(url)
        self._jobs: dict[str, Job] = {}
        self._ends: dict[str, float] = {}
        self._stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def stop(self) -> None:
        self._stopping = True
        self.thread.join()

    def _snapshot(self) -> PlotterSnapshot:
        return PlotterSnapshot(
            host=HOST,
            at=datetime.now(UTC),
            start_token=f"a:{len(self.started)}",
            plotting=True,
            global_max_jobs=10,
            global_stagger_s=0,
            recipe=Recipe(plotter="chia", k=32, tmp_bytes=1, tmp2_bytes=0, dst_bytes=1),
            tmp_dirs=tuple(
                TmpDir(path=path, max_jobs=1, stagger_phase=Phase(2, 1), stagger_limit=1, state=DirState.OK,
                       free_bytes=1000, device=path) for path in TMP
            ),
            jobs=tuple(self._jobs.values()),
        )  # fmt: skip

    def _run(self) -> None:
        self._publish("plotter-up")
        while not self._stopping:
            message = cast("bytes | None", self._redis.rpop(f"plotter.{HOST}"))
            if message is not None:
                self._take(json.loads(message))
            for task_id in [task_id for task_id, end in self._ends.items() if end <= time.monotonic()]:
                del self._ends[task_id], self._jobs[task_id]
                self._publish("plot-done")
            time.sleep(0.002)

    def _take(self, message: dict[str, Any]) -> None:
        task_id = message["headers"]["id"]
        _, kwargs, _ = json.loads(base64.b64decode(message["body"]))
        order = PlotOrder.read(**kwargs)
        now = datetime.now(UTC)
        try:
            where = directories_for(order, self._snapshot(), now)
        except OrderRefused as error:
            self.refused.append(str(error))
            self.board.drop_orders(HOST, [task_id])
            return
        self.started.append(task_id)
        self._jobs[task_id] = Job(task_id=task_id, plotter="chia", pid=1, started_at=now, ours=True,
                                  tmp=where.tmp, dst=where.dst, phase=Phase(1, 1), proven=True)  # fmt: skip
        self._ends[task_id] = time.monotonic() + PLOT_S
        self.most = max(self.most, len(self._jobs))
        self._publish("plot-started")

    def _publish(self, kind: str) -> None:
        self.board.put_snapshot(Role.PLOTTER, self._snapshot())
        self.board.tell(Event(kind=kind, host=HOST, at=datetime.now(UTC), text=kind))


@pytest.fixture
def host(broker_url: str) -> Iterator[Host]:
    made = Host(broker_url)
    made.thread.start()
    yield made
    made.stop()


@pytest.fixture
def beats(tmp_path: Path, broker_url: str, host: Host) -> Iterator[dict[int, subprocess.Popen[bytes]]]:
    """Pid -> beat, of two."""
    config = tmp_path / "plotman.yaml"
    content = {"version": [2], "farm": {"host": "s", "state": str(tmp_path / "state"), "broker": broker_url,
                                        "scheduler": True}}  # fmt: skip
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    started = {}
    for number in (1, 2):
        with (tmp_path / f"beat{number}.log").open("wb") as output:
            process = subprocess.Popen(
                celery("beat", "-l", "INFO", "--pidfile="),
                env=os.environ | {"PLOTMAN_CONFIG": str(config)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        started[process.pid] = process
    yield started
    for process in started.values():
        process.kill()
        process.wait()


def leader(url: str) -> int | None:
    """Pid of the beat that decides."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        token = cast("str | None", client.get(Keys.LEASE))
    return int(token.split(":")[1]) if token else None


def test_of_two_beats_one_decides_and_freezing_it_starts_nothing_twice(
    beats: dict[int, subprocess.Popen[bytes]], host: Host, broker_url: str
) -> None:
    eventually(lambda: len(host.started) > 10, "plots are started", 30)
    frozen = leader(broker_url)
    assert frozen in beats
    os.kill(frozen, signal.SIGSTOP)
    began, before = time.monotonic(), len(host.started)
    eventually(lambda: leader(broker_url) not in (None, frozen), "the other takes over", 15)
    eventually(lambda: len(host.started) > before + 10, "and starts plots", 15)
    assert time.monotonic() - began < 20
    # Wake the first one again and again while the other decides.
    for _ in range(10):
        os.kill(frozen, signal.SIGCONT)
        time.sleep(0.1)
        os.kill(frozen, signal.SIGSTOP)
    os.kill(frozen, signal.SIGCONT)
    assert leader(broker_url) != frozen
    now_leads = leader(broker_url)
    before, began = len(host.started), time.monotonic()
    assert now_leads is not None
    beats[now_leads].terminate()
    eventually(lambda: len(host.started) > before + 10, "a stopped one hands over at once", 5)
    assert leader(broker_url) == frozen
    stopped = [event.host for _, event in host.board.newest_events(1000) if event.kind == "beat-stopped"]
    assert stopped == ["s"], "who stands by is woken, or the one that stops could come first"
    assert len(set(host.started)) == len(host.started), "no order comes twice"
    assert host.most <= len(TMP)
    # What is refused was decided on a board that had just changed; nearly nothing is.
    assert len(host.refused) <= len(host.started) / 20, host.refused[:5]
