"""An event as a line of text, and how a plot ended by the events."""

from __future__ import annotations

import re
from collections.abc import Iterable

from common.model.plot_name import fits
from common.model.snapshot import Event
from common.model.text import LONGEST_TEXT


def event_text(event: Event) -> str:
    """Format an event in one line.

    An event about a plot starts with the plot's short id, which also replaces the long path of its file.
    """
    text = " ".join(event.text[:LONGEST_TEXT].split())
    if not event.plot_id:
        return text
    short, name = event.plot_id[:8], re.compile(rf"[^\s:]*{re.escape(event.plot_id)}[^\s:,;]*")
    # Word by word: a search in the whole text takes the square of its length where the id is not found.
    text = " ".join(name.sub(short, word) if event.plot_id in word else word for word in text.split())
    return text if text.startswith(short) else f"{short} {text}"


_ENDS = frozenset({"plot-done", "plot-ended", "plot-failed", "plot-killed"})


def ended(selectors: Iterable[str], events: Iterable[Event]) -> list[str]:
    """Say of each selector that names a plot which ended lately how it did, in a sentence. events: the oldest
    first."""
    found: dict[str, str] = {}
    for event in events:
        for selector in selectors:
            known = event.kind in _ENDS and fits(selector, event.host, 0, event.task_id or "", event.plot_id)
            if known:
                found[selector] = f"It has ended: {event_text(event)}."
    return list(found.values())
