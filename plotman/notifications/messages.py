"""Notifications as people read them, and as programs do. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from plotman.notifications.notification import Notification

_LINES = 30  # of a summary


def title(told: Sequence[Notification]) -> str:
    if len(told) == 1:
        return f"plotman: {told[0].kind.replace('-', ' ')} ({told[0].host})"
    counts = Counter(one.kind.replace("-", " ") for one in told)
    return "plotman: " + ", ".join(f"{number}x {kind}" for kind, number in counts.most_common())


def body(told: Sequence[Notification]) -> str:
    if len(told) == 1:
        return _sentence(told[0])
    lines = [f"{one.at.astimezone():%a %H:%M} {one.host}: {_sentence(one)}" for one in told[:_LINES]]
    more = [f"and {len(told) - _LINES} more"] if len(told) > _LINES else []
    return "\n".join([*lines, *more])


def _sentence(one: Notification) -> str:
    plot = f" (plot {one.plot_id[:8]})" if one.plot_id else ""
    return f"{one.text}{plot}"


def as_json(one: Notification) -> dict[str, Any]:
    """What a hook gets on its standard input; documented in docs/monitoring.md, keys are only ever added."""
    return {
        "version": 1,
        "id": one.id,
        "event": one.kind,
        "severity": one.severity.word,
        "host": one.host,
        "subject": one.subject,
        "plot_id": one.plot_id,
        "at": one.at.isoformat(),
        "text": one.text,
    }


def as_environment(one: Notification) -> dict[str, str]:
    """The same for hooks that are shell scripts; empty for what is not known."""
    return {
        "PLOTMAN_EVENT": one.kind,
        "PLOTMAN_EVENT_SEVERITY": one.severity.word,
        "PLOTMAN_EVENT_HOST": one.host,
        "PLOTMAN_EVENT_SUBJECT": one.subject or "",
        "PLOTMAN_EVENT_PLOT": one.plot_id or "",
        "PLOTMAN_EVENT_AT": one.at.isoformat(),
        "PLOTMAN_EVENT_TEXT": one.text,
    }
