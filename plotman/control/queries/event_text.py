"""An event as a line of text."""

from __future__ import annotations

import re

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
