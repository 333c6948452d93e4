"""Shows a running task's progress in Flower: an event with the text as the task's result."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from typing import Any

from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

PAUSE_S = 1.0  # between two events of one task
# The same text is sent again, because a restarted Flower shows a task only after its next event. A bit less
# than the time after which a task without changes reports by itself.
AGAIN_S = 55.0


class ProgressEvents:
    """Events of one run of a task. began_at: start of its work, possibly long before this run."""

    def __init__(self, task: Any, began_at: datetime | None = None) -> None:
        self._task = task
        self._began_s = began_at.timestamp() if began_at else time.time()
        self._sent = ""
        self._last_s = float("-inf")

    def is_new(self, text: str) -> bool:
        return text != self._sent

    def report(self, text: str) -> None:
        """Send the text if it is new or was sent long ago. Without Redis it is dropped."""
        since_s = time.monotonic() - self._last_s
        if since_s < (PAUSE_S if self.is_new(text) else AGAIN_S):
            return
        self._sent, self._last_s = text, time.monotonic()
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
            log.debug("progress cannot be sent: %s", error)
