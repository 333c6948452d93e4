"""The farm's clock: Redis', kept by a clock that is never set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from common.store.farm_clock import FarmClock

T = datetime(2026, 11, 22, tzinfo=UTC)


class Machine:
    """A machine whose clock is this far ahead of Redis' at the beginning."""

    def __init__(self, ahead_s: float) -> None:
        self.redis_s, self.wall_s, self.steady_s = T.timestamp(), T.timestamp() + ahead_s, 77.0
        self.answers_in_s = 0.0
        self.clock = FarmClock(lambda: self.wall_s, lambda: self.steady_s)

    def measure(self) -> None:
        def answer() -> tuple[int, int]:
            self.passes(self.answers_in_s / 2)
            told = self.redis_s
            self.passes(self.answers_in_s / 2)
            return int(told), int(told % 1 * 1e6)

        self.clock.ask(answer)

    def passes(self, seconds: float) -> None:
        self.redis_s += seconds
        self.wall_s += seconds
        self.steady_s += seconds


def test_until_it_is_measured_it_is_the_machines_own() -> None:
    machine = Machine(-7200)
    assert machine.clock.now() == T - timedelta(hours=2)
    assert (machine.clock.skew_s, machine.clock.correction, machine.clock.due) == (None, timedelta(), True)


@pytest.mark.parametrize("ahead_s", [-7200, 86_400, 3])
def test_a_wrong_clock_is_measured_and_corrected(ahead_s: float) -> None:
    machine = Machine(ahead_s)
    machine.measure()
    machine.passes(5)
    assert machine.clock.now() == T + timedelta(seconds=5)
    assert machine.clock.skew_s == ahead_s
    local = T + timedelta(seconds=ahead_s + 5)
    assert local + machine.clock.correction == machine.clock.now()
    assert not machine.clock.due
    machine.passes(6)
    assert machine.clock.due


def test_a_clock_that_is_set_later_changes_nothing_but_the_skew() -> None:
    machine = Machine(0)
    machine.measure()
    machine.wall_s -= 7200
    assert machine.clock.now() == T
    assert machine.clock.skew_s == -7200


def test_a_small_difference_is_not_corrected() -> None:
    machine = Machine(1.9)
    machine.measure()
    assert machine.clock.correction == timedelta()


def test_half_of_the_time_of_an_answer_is_counted_and_a_slow_answer_does_not_replace_a_fast_one() -> None:
    machine = Machine(100)
    machine.answers_in_s = 0.5
    machine.measure()
    assert machine.clock.skew_s == pytest.approx(100, abs=1e-3)
    machine.wall_s += 50
    machine.answers_in_s = 9
    before = machine.clock.skew_s
    machine.measure()
    assert machine.clock.skew_s == before == pytest.approx(150, abs=1e-3)
