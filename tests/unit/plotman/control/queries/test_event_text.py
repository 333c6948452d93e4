"""An event as a line."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from common.model.snapshot import Event
from plotman.control.queries.event_text import event_text

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
