"""An event as a line of text."""

from __future__ import annotations

import re

from common.model.snapshot import Event


def event_text(event: Event) -> str:
    """Format an event in one line.

    An event about a plot starts with the plot's short id, which also replaces the long path of its file.
    """
    text = " ".join(event.text.split())
    if not event.plot_id:
        return text
    short = event.plot_id[:8]
    text = re.sub(rf"[^\s:]*{re.escape(event.plot_id)}[^\s:,;]*", short, text)
    return text if text.startswith(short) else f"{short} {text}"
