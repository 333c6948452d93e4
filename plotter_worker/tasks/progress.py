"""What Flower shows of a task that runs: an event whose text stands in the task's result."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from typing import Any

from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

PAUSE_S = 1.0  # between two events of one task
# The same text is told again: a Flower that was restarted knows of no task until it hears of it. A bit less
# than the time after which a task that hears nothing looks by itself.
AGAIN_S = 55.0


class ProgressEvents:
    """Of one run of one task. began_at: when its work began, which may be long before this run."""

    def __init__(self, task: Any, began_at: datetime | None = None) -> None:
        self._task = task
        self._began_s = began_at.timestamp() if began_at else time.time()
        self._told = ""
        self._last_s = float("-inf")

    def is_news(self, text: str) -> bool:
        return text != self._told

    def tell(self, text: str) -> None:
        """Tell it if it is news or long ago; without Redis nobody sees it, and that is all."""
        since_s = time.monotonic() - self._last_s
        if since_s < (PAUSE_S if self.is_news(text) else AGAIN_S):
            return
        self._told, self._last_s = text, time.monotonic()
        request = self._task.request
        try:
            self._task.send_event(
                "task-progress",
                result=text,
                name=self._task.name,
                args="()",
                kwargs=getattr(request, "kwargsrepr", None) or "",
                started=self._began_s,
            )
        except (OperationalError, OSError) as error:
            log.debug("progress is not told: %s", error)
