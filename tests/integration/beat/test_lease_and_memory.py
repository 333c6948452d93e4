"""What a beat remembers of its own orders when it takes the lease again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from beat.policy.moves.admission_dispatch import Passed
from beat.policy.moves.same_plot import Claim
from beat.scheduler import FarmScheduler
from common.config.watch import load_to_run
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
