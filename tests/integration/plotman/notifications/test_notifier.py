"""Notifications: real events on a real Redis, sent to a real HTTP server by Apprise and to a hook."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from common.config.sections.notifications import Notifications
from common.model.snapshot import DirState, Event, Waits
from common.names import Role
from common.store import Board
from plotman.notifications.notifier import Notifier
from tests.support.full_farm import ID, ago, drive, harvester, job, plotter
from tests.support.notified import SECRET, Phone, hooked, tell
from tests.support.waiting import eventually


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


def put(board: Board, *, lost: bool = False, decided_ago_s: float = 0) -> None:
    board.put_waits(Waits(beat="b", at=ago(decided_ago_s)))
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
    eventually(lambda: len(phone.told) == 3, "the phone is told")


def test_a_scheduler_that_decides_no_more_is_told_and_that_one_is_back(
    board: Board, tmp_path: Path, phone: Phone, clock: Clock
) -> None:
    notifier = Notifier(board, settings(phone={"url": phone.url}), tmp_path / "alarms.json", clock)
    put(board)
    run(clock, notifier, seconds=20)
    put(board, decided_ago_s=120)
    run(clock, notifier, seconds=60)
    eventually(lambda: run(clock, notifier) or phone.told, "it is told that nobody decides")
    assert phone.messages()[0].startswith("no scheduler decides; the last decision was 2m 0s ago.")
    board.lease("b").take()
    run(clock, notifier, seconds=60)
    eventually(lambda: run(clock, notifier) or len(phone.told) == 2, "it is told that one is back")
    assert phone.messages()[1] == "a scheduler decides again"


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
            sum(f"sending to {name} failed" in line for line in caplog.messages) == times
            for name in ("broken", "hanging", "missing", "unknown")
        )

    # Five more tries with growing pauses, then it is dropped; a restart in between forgets nothing.
    for number, pause_s in enumerate((0, 11, 61, 301, 901, 3601), 1):
        clock.forward(pause_s)
        eventually(partial(tried, notifier, number), f"try {number} of each")
        notifier = Notifier(board, told, file, clock)
    dropped = [line for line in caplog.messages if "dropped" in line]
    assert sorted(line.split()[2] for line in dropped) == ["broken", "hanging", "missing", "unknown"]
    assert "took longer than 0.3 s" in caplog.text and "Apprise does not understand" in caplog.text
    assert broken.asked == 6 and len(phone.told) == 1
    assert SECRET not in caplog.text
    assert SECRET not in file.read_text()
    broken.close()


def test_an_event_that_cannot_be_sent_as_it_is_delays_no_other(
    board: Board, tmp_path: Path, phone: Phone, hook: Path, clock: Clock
) -> None:
    """NUL is not allowed in an environment, nor is a variable of more than 128 kB."""
    told = settings(
        phone={"url": phone.url, "events": ["all"]}, hook={"command": [str(hook)], "events": ["all"]}
    )
    put(board)
    notifier = Notifier(board, told, tmp_path / "alarms.json", clock)
    run(clock, notifier)
    for text in ("\0", "\x1b]0;title\x07\r\n\u202e", 2**14 * "x"):
        board.tell(Event(kind="plot-failed", host="p", at=ago(0), text=text))
    tell(board)
    eventually(lambda: run(clock, notifier) or len(hooked(tmp_path)) == 4, "the hook is told of all", 10)
    texts = [event["text"] for _, event in hooked(tmp_path)]
    assert texts[:2] == ["\\x00", "\\x1b]0;title\\x07\\r\\n\\u202e"]
    assert len(texts[2]) == 1000
    eventually(lambda: run(clock, notifier) or phone.told, "the phone is told")
    assert "\\x00" in "".join(phone.messages())


def test_what_a_service_refuses_holds_no_other_and_is_dropped(
    board: Board, tmp_path: Path, phone: Phone, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    phone.refused = "no service takes this"
    put(board)
    told = settings(phone={"url": phone.url, "events": ["all"], "at_most": 1000})
    notifier = Notifier(board, told, tmp_path / "alarms.json", clock)
    run(clock, notifier)
    board.tell(Event(kind="plot-failed", host="p", at=ago(0), text=phone.refused))
    eventually(lambda: run(clock, notifier) or phone.asked, "it is refused")
    tell(board)
    run(clock, notifier, seconds=20)
    eventually(lambda: run(clock, notifier) or phone.told, "the next is told within 20 s")
    eventually(
        lambda: clock.forward(3601) or run(clock, notifier) or "are dropped" in caplog.text, "it is dropped"
    )
    assert phone.asked == 6 + 1


def test_a_message_is_cut_to_what_its_service_takes(
    board: Board, tmp_path: Path, phone: Phone, clock: Clock
) -> None:
    url = phone.url.replace("json://", "ntfy://").replace("/path", "/farm")
    put(board)
    notifier = Notifier(
        board, settings(phone={"url": url, "events": ["all"]}), tmp_path / "alarms.json", clock
    )
    run(clock, notifier)
    for number in range(30):
        board.tell(Event(kind="plot-failed", host="p", at=ago(number), text=2000 * "x"))
    eventually(lambda: run(clock, notifier) or phone.told, "the phone is told")
    assert len(phone.messages()[0]) <= 7800


def test_a_redis_that_goes_away_is_told_and_that_it_is_back(
    tmp_path: Path, phone: Phone, clock: Clock
) -> None:
    from plotman.supervisor import broker

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
        assert phone.messages()[1] == "Redis answers again, and takes writes"
        with redis.Redis.from_url(url) as client:
            client.config_set("maxmemory", 1)
            run(clock, notifier, seconds=11)
            eventually(lambda: run(clock, notifier) or len(phone.told) == 3, "it is told that Redis is full")
            assert "memory is full" in phone.messages()[2]
            assert "Raise maxmemory" in phone.messages()[2]
            client.config_set("maxmemory", 0)
            eventually(lambda: run(clock, notifier) or len(phone.told) == 4, "and that it takes writes again")
    finally:
        process.terminate()
        process.wait(timeout=10)
