"""Limits the pause after which Flower connects to Redis again.

Flower 2.2 doubles its pause with each attempt, without a limit: after an hour without Redis it would receive
no events for up to another hour.
"""

from __future__ import annotations

import time
from typing import Any

LONGEST_S = 15.0


class ReconnectPause:
    """Replaces the module `time` in `flower.events`, which calls `sleep` for this pause only."""

    def sleep(self, pause_s: float) -> None:
        time.sleep(min(pause_s, LONGEST_S))

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)
