"""What a beat remembers of its orders when it takes the lease again, and how much of the waits it logs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from beat.policy.moves.admission_dispatch import Passed
from beat.policy.moves.same_plot import Claim
from beat.scheduler import FarmScheduler
from common.config.watch import load_to_run
from common.model.snapshot import Wait
from common.names import Keys
from common.store import Board
from plotman.app import make_app

PASSED = {Claim("p1", "/dst/a.plot", "h1"): Passed(datetime(2026, 11, 22, tzinfo=UTC))}


@pytest.fixture
def beat(tmp_path: Path, broker_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FarmScheduler]:
    config = tmp_path / "plotman.yaml"
    farm = f"{{broker: '{broker_url}', host: s, scheduler: true, state: {tmp_path}/state}}"
    config.write_text(f"version: [2]\nfarm: {farm}\n", encoding="utf-8")
    monkeypatch.setenv("PLOTMAN_CONFIG", str(config))
    made = FarmScheduler(make_app(load_to_run()))
    assert made._take_lease()
    made._memory.passed = PASSED
    yield made
    made.close()


def test_a_beat_that_lost_redis_for_a_moment_remembers_its_orders(beat: FarmScheduler) -> None:
    """Nobody else could take its lease meanwhile. One who makes beat lose Redis must not make it forget."""
    decides_since = beat._memory.decides_since
    beat._leads = False  # as after a command that failed
    assert beat._take_lease()
    assert (beat._memory.passed, beat._memory.decides_since) == (PASSED, decides_since)


def test_a_beat_that_takes_over_from_another_forgets_what_it_passed_on(
    beat: FarmScheduler, broker_url: str
) -> None:
    other = Board.connect(broker_url).lease("another beat")
    with redis.Redis.from_url(broker_url) as client:
        client.delete(Keys.LEASE)
    assert other.take()
    assert not beat._take_lease()
    other.drop()
    assert beat._take_lease()
    assert beat._memory.passed == {}


def test_a_beat_whose_lease_has_expired_forgets_what_it_passed_on(
    beat: FarmScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat._leads = False
    later_s = beat._mine_until_s
    monkeypatch.setattr("beat.scheduler.time.monotonic", lambda: later_s)
    assert beat._take_lease()
    assert beat._memory.passed == {}


def waits(rule: str, count: int, reason: str = "full") -> tuple[Wait, ...]:
    return tuple(
        Wait(host="p1", rule=rule, reason=reason, subject=f"/d/{n}", numbers={}) for n in range(count)
    )


def test_a_host_with_thousands_of_waits_that_change_all_the_time_does_not_fill_the_log(
    beat: FarmScheduler, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", logger="beat.scheduler")
    now_s = beat_began_s = time.monotonic()
    monkeypatch.setattr("beat.scheduler.time.monotonic", lambda: now_s)

    def logged(host: str, new: tuple[Wait, ...]) -> list[str]:
        caplog.clear()
        assert beat._log_new(host, new), "each change is published"
        return caplog.messages

    assert logged("p1", waits("space", 4)) == [f"p1 /d/{number} waits: full" for number in range(4)]
    assert logged("p1", waits("drives", 3000)) == [
        "p1 /d/0 waits: full",
        "p1: and 2999 more. No others are logged for 60 s",
    ]
    for round_ in range(100):
        assert logged("p1", waits(f"rule {round_}", 3000)) == []
    assert len(logged("p2", waits("space", 5))) == 5, "another host has lines of its own"
    assert logged("p2", waits("drives", 1)) == ["p2: and 1 more. No others are logged for 60 s"]
    now_s = beat_began_s + 60
    assert len(logged("p1", waits("space", 5))) == 5
    now_s = beat_began_s + 120
    (long,) = logged("p1", waits("other", 1, "a\x1b[2J\n" + "x" * 4000))
    assert (long.rstrip("x"), len(long)) == ("p1 /d/0 waits: a\\x1b[2J\\n", 315)
    (long,) = logged("p1", waits("trouble", 1, "a\x1b[2J\n" + "x" * 4000))
    assert (long.rstrip("x"), len(long)) == ("p1: a\\x1b[2J\\n", 304)
