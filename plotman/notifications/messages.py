"""The texts of notifications: for messages, and as JSON and environment for hooks. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from plotman.notifications.notification import Notification

_LINES = 30  # of a summary


def title(sent: Sequence[Notification]) -> str:
    """Make the title of one message."""
    if len(sent) == 1:
        return f"plotman: {sent[0].kind.replace('-', ' ')} ({sent[0].host})"
    counts = Counter(one.kind.replace("-", " ") for one in sent)
    return "plotman: " + ", ".join(f"{number}x {kind}" for kind, number in counts.most_common())


def body(sent: Sequence[Notification]) -> str:
    """Make the body of one message."""
    if len(sent) == 1:
        return _sentence(sent[0])
    lines = [f"{one.at.astimezone():%a %H:%M} {one.host}: {_sentence(one)}" for one in sent[:_LINES]]
    more = [f"and {len(sent) - _LINES} more"] if len(sent) > _LINES else []
    return "\n".join([*lines, *more])


def _sentence(one: Notification) -> str:
    plot = f" (plot {one.plot_id[:8]})" if one.plot_id else ""
    return f"{one.text}{plot}"


def as_json(one: Notification) -> dict[str, Any]:
    """Make the JSON for a hook's standard input; see docs/monitoring.md; keys are only added."""
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
    """Make the environment variables of a hook; a variable is empty if its value is not known."""
    return {
        "PLOTMAN_EVENT": one.kind,
        "PLOTMAN_EVENT_SEVERITY": one.severity.word,
        "PLOTMAN_EVENT_HOST": one.host,
        "PLOTMAN_EVENT_SUBJECT": one.subject or "",
        "PLOTMAN_EVENT_PLOT": one.plot_id or "",
        "PLOTMAN_EVENT_AT": one.at.isoformat(),
        "PLOTMAN_EVENT_TEXT": one.text,
    }
