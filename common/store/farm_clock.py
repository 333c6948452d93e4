"""The clock of the farm: Redis' clock, which all machines share. Times on the board are of this clock.

It is measured with each snapshot and then kept by a clock that nobody sets, so that a machine's wrong or
changed clock changes no time on the board. While Redis is away the last measurement counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from common.system.machine import steady_s

# Smaller differences are not corrected: times of two machines that keep their clocks differ by as much.
_TOLERATED_S = 2.0
_AGAIN_S = 10.0
_SLOW_S = 1.0  # an answer that took longer may be wrong by half of that


class FarmClock:
    """wall: this machine's clock, in seconds since the epoch. steady: one that is never set."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = steady_s) -> None:
        self._wall, self._steady = wall, steady
        self._ahead_s: float | None = None  # Redis' clock minus the steady one
        self._measured_s = 0.0

    def ask(self, redis_time: Callable[[], Sequence[int | str]]) -> None:
        """Measure. redis_time: returns the answer to TIME, seconds and microseconds."""
        asked_s = self._steady()
        seconds, microseconds = map(int, redis_time())
        answered_s = self._steady()
        if self._ahead_s is None or answered_s - asked_s < _SLOW_S:
            self._ahead_s = seconds + microseconds / 1e6 - (asked_s + answered_s) / 2
            self._measured_s = answered_s

    @property
    def due(self) -> bool:
        """Whether it was not measured for some seconds, or never."""
        return self._ahead_s is None or self._steady() - self._measured_s > _AGAIN_S

    def now(self) -> datetime:
        """The farm's time; this machine's until it was measured."""
        now_s = self._wall() if self._ahead_s is None else self._steady() + self._ahead_s
        return datetime.fromtimestamp(now_s, UTC)

    @property
    def skew_s(self) -> float | None:
        """How far this machine's clock is ahead of the farm's, in seconds; None until it was measured."""
        return None if self._ahead_s is None else self._wall() - self._steady() - self._ahead_s

    @property
    def correction(self) -> timedelta:
        """What turns this machine's time into the farm's if it is added; zero where they differ little."""
        skew_s = self.skew_s or 0.0
        return timedelta(seconds=-skew_s) if abs(skew_s) >= _TOLERATED_S else timedelta()


CLOCK = FarmClock()  # of this process, which knows one Redis
