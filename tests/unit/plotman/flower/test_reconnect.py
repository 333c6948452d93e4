"""Flower's thread that receives events, without Redis."""

from __future__ import annotations

from typing import NoReturn

import pytest
from flower import events

from plotman.flower import install as flower_pages


class Away:
    """A Celery app without Redis."""

    def connection(self) -> NoReturn:
        raise ConnectionRefusedError


def test_flower_connects_again_within_seconds_after_any_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flower_pages.install()
    slept_s: list[float] = []

    def sleep(pause_s: float) -> None:
        slept_s.append(pause_s)
        if len(slept_s) == 20:
            raise TimeoutError  # ends the test: nothing else ends Flower's loop

    monkeypatch.setattr(flower_pages.time, "sleep", sleep)
    with pytest.raises(TimeoutError):
        events.Events(Away(), None, max_tasks_in_memory=10).run()
    assert slept_s[:3] == [2, 4, 8]
    assert max(slept_s) == flower_pages.LONGEST_S
