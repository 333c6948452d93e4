"""An event as a line."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from common.model.snapshot import Event
from plotman.control.queries.event_text import ended, event_text

ID = "0f" * 32


def event(text: str) -> Event:
    return Event(kind="k", host="p1", at=datetime(2026, 11, 22, tzinfo=UTC), text=text, plot_id=ID)


def test_the_path_of_a_plot_is_its_short_id() -> None:
    assert event_text(event(f"/mnt/dst/plot-k32-{ID}.plot: it is sent")) == f"{ID[:8]}: it is sent"
    assert event_text(event("plot done")) == f"{ID[:8]} plot done"


def test_a_long_text_of_another_host_takes_no_time() -> None:
    """It would stop the dashboard for seconds."""
    begun_s = time.process_time()
    for text in ("a" * 32_000, f"a{ID[:-1]}" * 500, "/a " * 10_000):
        event_text(event(text))
    assert time.process_time() - begun_s < 0.5


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("6b4e", ["It has ended: 6b4e7375 plot done in 7h 12m."]),
        ("c0ffee", ["It has ended: c0ffee00 plot stopped in /t, 5 B freed."]),
        ("ffff", []),
    ],
)
def test_a_plot_that_ended_lately_is_named_with_its_end(selector: str, said: list[str]) -> None:
    def event(kind: str, plot_id: str, text: str) -> Event:
        return Event(kind=kind, host="p1", at=datetime.now(UTC), text=text, plot_id=plot_id, task_id="t")

    events = [
        event("plot-started", "6b4e7375" * 8, "plot started"),
        event("plot-failed", "c0ffee00" * 8, "plot failed"),
        event("plot-killed", "c0ffee00" * 8, "plot stopped in /t, 5 B freed"),
        event("plot-done", "6b4e7375" * 8, "plot done in 7h 12m"),
        event("plot-ready", "6b4e7375" * 8, "is ready"),
    ]
    assert ended([selector], events) == said
