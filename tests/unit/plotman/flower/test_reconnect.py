"""Flower's own thread that hears of tasks, while there is no Redis."""

from __future__ import annotations

from typing import NoReturn

import pytest
from flower import events

from plotman.flower import reconnect
from plotman.flower.install import install


class Away:
    """A Celery app whose Redis is away."""

    def connection(self) -> NoReturn:
        raise ConnectionRefusedError


def test_flower_looks_for_redis_again_before_long_however_long_it_was_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install()
    slept_s: list[float] = []

    def sleep(pause_s: float) -> None:
        slept_s.append(pause_s)
        if len(slept_s) == 20:
            raise TimeoutError  # of the test's patience: nothing else ends Flower's thread

    monkeypatch.setattr(reconnect.time, "sleep", sleep)
    with pytest.raises(TimeoutError):
        events.Events(Away(), None, max_tasks_in_memory=10).run()
    assert slept_s[:3] == [2, 4, 8]
    assert max(slept_s) == reconnect.LONGEST_S
