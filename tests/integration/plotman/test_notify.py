"""People are told: real events on a real Redis, told to a real HTTP server by Apprise and to a hook."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from common.config.notifications import Notifications
from common.names import Role
from common.snapshot import DirState, Event
from common.store import Board
from plotman.alarms.notifier import Notifier
from tests.support.full_farm import ID, ago, drive, harvester, job, plotter
from tests.support.waiting import eventually

SECRET = "sekret"


class Phone:
    """An HTTP server that Apprise's json:// tells. status: what it answers."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.asked = 0
        self.status = 200
        phone = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                phone.asked += 1
                if phone.status == 200:
                    phone.told.append(json.loads(body))
                self.send_response(phone.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"json://farmer:{SECRET}@127.0.0.1:{self._server.server_port}/path"

    def messages(self) -> list[str]:
        return [told["message"] for told in self.told]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def phone() -> Iterator[Phone]:
    made = Phone()
    yield made
    made.close()


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    """Appends what it is told to hook.out beside it."""
    path = tmp_path / "hook"
    path.write_text(
        f'#!/bin/sh\nread -r event\nprintf \'%s\\t%s\\n\' "$PLOTMAN_EVENT" "$event" >> {tmp_path}/hook.out\n'
    )
    path.chmod(0o755)
    return path


def hooked(tmp_path: Path) -> list[tuple[str, dict[str, Any]]]:
    out = tmp_path / "hook.out"
    lines = out.read_text().splitlines() if out.exists() else []
    return [(kind, json.loads(text)) for kind, text in (line.split("\t") for line in lines)]


class Clock:
    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def forward(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def settings(**targets: Any) -> Notifications:
    return Notifications.model_validate({"targets": targets})


def run(clock: Clock, *notifiers: Notifier, seconds: float = 0) -> None:
    """Let so much time go by, with a look each 20 s."""
    while True:
        for notifier in notifiers:
            for _ in range(2):
                notifier.turn(listen_s=0)
        if seconds <= 0:
            return
        step = min(20.0, seconds)
        clock.forward(step)
        seconds -= step


def tell(board: Board, kind: str = "plot-failed", task: str = "t1") -> None:
    board.tell(Event(kind=kind, host="p", at=ago(0), text=f"{kind} in /tmp", task_id=task, plot_id=ID))


def put(board: Board, *, lost: bool = False) -> None:
    board.put_snapshot(Role.PLOTTER, plotter("p", jobs=(job(),)))
    state = DirState.NOT_MOUNTED if lost else DirState.OK
    board.put_snapshot(Role.HARVESTER, harvester(drive(state=state), host="h"))


def test_each_thing_is_told_once_by_two_notifiers_over_restarts_and_an_emptied_redis(
    board: Board, broker_url: str, tmp_path: Path, phone: Phone, hook: Path, clock: Clock
) -> None:
    told = settings(phone={"url": phone.url}, hook={"command": [str(hook)], "events": ["all"]})

    def notifier(name: str) -> Notifier:
        return Notifier(board, told, tmp_path / f"{name}.json", clock)

    def kinds() -> list[str]:
        return [kind for kind, _ in hooked(tmp_path)]

    put(board)
    tell(board, task="old")
    first, second = notifier("first"), notifier("second")
    run(clock, first, second)

    tell(board)
    tell(board)  # a task that was delivered twice says so twice
    tell(board, "plot-done")
    tell(board, "plot-phase")
    run(clock, first, second)
    eventually(lambda: run(clock, first, second) or len(kinds()) == 2, "the hook is told")
    assert sorted(kinds()) == ["plot-done", "plot-failed"]
    [failed] = [event for kind, event in hooked(tmp_path) if kind == "plot-failed"]
    assert (failed["host"], failed["severity"], failed["plot_id"]) == ("p", "warning", ID)
    eventually(lambda: run(clock, first, second) or phone.told, "the phone is told")
    # Nobody must act on a plot that is done.
    assert phone.messages() == ["plot-failed in /tmp (plot 6b4e7375)"]

    put(board, lost=True)
    run(clock, first, second, seconds=60)
    eventually(lambda: run(clock, first, second) or len(kinds()) == 3, "the lost drive is told")
    with redis.Redis.from_url(broker_url) as client:
        client.flushall()
    put(board, lost=True)
    run(clock, first, second, seconds=60)
    first = notifier("first")  # restarted, its file is there
    run(clock, first, second, seconds=60)
    third = notifier("third")  # on a new machine
    run(clock, first, second, third, seconds=60)
    assert kinds()[2:] == ["drive-lost"]

    put(board)
    run(clock, first, second, third, seconds=60)
    eventually(lambda: run(clock, first, second, third) or len(kinds()) == 4, "the drive is back")
    run(clock, first, second, third, seconds=120)
    assert kinds()[2:] == ["drive-lost", "drive-back"]
    assert len(phone.told) == 3


def test_a_target_that_hangs_or_fails_hurts_no_other_and_no_secret_is_logged(
    board: Board, tmp_path: Path, phone: Phone, hook: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Phone()
    broken.status = 500
    told = settings(
        broken={"url": broken.url},
        hanging={"command": ["sleep", "1000"], "timeout_s": 0.3},
        missing={"command": ["/nowhere/hook"]},
        unknown={"url": f"nosuchservice://{SECRET}@host"},
        phone={"url": phone.url},
    )
    put(board)
    file = tmp_path / "alarms.json"
    notifier = Notifier(board, told, file, clock)
    run(clock, notifier)
    tell(board)
    eventually(lambda: run(clock, notifier) or phone.told, "the phone is told")

    def tried(notifier: Notifier, times: int) -> bool:
        run(clock, notifier)
        return all(
            sum(f"{name} could not be told" in line for line in caplog.messages) == times
            for name in ("broken", "hanging", "missing", "unknown")
        )

    # Five more tries with growing pauses, then it is dropped; a restart in between forgets nothing.
    for number, pause_s in enumerate((0, 11, 61, 301, 901, 3601), 1):
        clock.forward(pause_s)
        eventually(partial(tried, notifier, number), f"try {number} of each")
        notifier = Notifier(board, told, file, clock)
    dropped = [line for line in caplog.messages if "dropped" in line]
    assert sorted(line.split()[0] for line in dropped) == ["broken", "hanging", "missing", "unknown"]
    assert "took longer than 0.3 s" in caplog.text and "Apprise does not understand" in caplog.text
    assert broken.asked == 6 and len(phone.told) == 1
    assert SECRET not in caplog.text
    assert SECRET not in file.read_text()
    broken.close()


def test_a_redis_that_goes_away_is_told_and_that_it_is_back(
    tmp_path: Path, phone: Phone, clock: Clock
) -> None:
    from plotman.up import broker

    state = tmp_path / "redis"
    url = broker.settle(state, lambda _: None).url
    notifier = Notifier(
        Board.connect(url), settings(phone={"url": phone.url}), tmp_path / "alarms.json", clock
    )
    run(clock, notifier, seconds=61)
    eventually(lambda: run(clock, notifier) or phone.told, "it is told that Redis is away")
    assert "does not answer" in phone.messages()[0] and phone.told[0]["type"] == "failure"
    process = subprocess.Popen(broker.argv(state), stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: broker.answers(url), "the broker answers")
        eventually(lambda: run(clock, notifier) or len(phone.told) == 2, "it is told that Redis is back")
        assert phone.messages()[1] == "Redis answers again"
    finally:
        process.terminate()
        process.wait(timeout=10)


def plotman(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "plotman", *arguments],
        env=os.environ | {"PLOTMAN_CONFIG": str(config)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_verbs_try_every_target_out_and_run_one_notifier_a_machine(
    board: Board, broker_url: str, tmp_path: Path, phone: Phone, hook: Path
) -> None:
    config = tmp_path / "plotman.yaml"

    def configure(**targets: Any) -> None:
        content = {
            "version": [2],
            "farm": {"host": "desk", "broker": broker_url, "state": str(tmp_path / "state")},
            "notifications": {"targets": targets},
        }
        config.write_text(yaml.safe_dump(content, sort_keys=False))
        config.chmod(0o600)

    configure()
    none = plotman(config, "notify", "test")
    assert (none.returncode, "tells nobody" in none.stderr) == (5, True)
    configure(phone={"url": phone.url}, bad={"command": ["false"]}, hook={"command": [str(hook)]})
    tried = plotman(config, "notify", "test")
    assert tried.returncode == 1 and SECRET not in tried.stdout + tried.stderr
    assert tried.stdout.splitlines() == ["phone: told", "bad: not told. false ended with 1.", "hook: told"]
    assert "plotman on desk" in phone.messages()[0] and hooked(tmp_path)[0][0] == "test"
    assert plotman(config, "notify", "test", "hook").returncode == 0
    assert plotman(config, "notify", "test", "nobody").returncode == 5
    assert plotman(config, "config", "check", str(config)).returncode == 0

    argv = [sys.executable, "-m", "plotman", "notify", "run"]
    environment = os.environ | {"PLOTMAN_CONFIG": str(config)}
    log = tmp_path / "notifier.log"
    with log.open("wb") as output:
        runs = subprocess.Popen(argv, env=environment, stderr=output)
    try:
        eventually((tmp_path / "state" / "alarms.json").exists, "it has begun to listen")
        refused = plotman(config, "notify", "run")
        assert refused.returncode == 1 and "runs already" in refused.stderr
        tell(board, "refused")
        eventually(lambda: [kind for kind, _ in hooked(tmp_path)][-1] == "refused", "the hook is told")
        eventually(lambda: len(phone.told) == 2, "the phone is told")
        configure(hook={"command": [str(hook)], "events": ["archived"]})  # takes effect while it runs
        eventually(lambda: "notifications.targets" in log.read_text(), "it has read it")
        tell(board, "refused", task="t2")
        tell(board, "archived")
        eventually(lambda: [kind for kind, _ in hooked(tmp_path)][-1] == "archived", "the hook is told")
        assert len(phone.told) == 2
    finally:
        runs.send_signal(signal.SIGTERM)
        runs.wait(timeout=20)
    said = log.read_text()
    assert runs.returncode == 0, said
    assert "Traceback" not in said and SECRET not in said
