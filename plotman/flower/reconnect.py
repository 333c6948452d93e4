"""How long Flower waits before it looks again for a Redis that was away.

Flower 2.2 doubles its pause with each try and knows no longest one: after an hour without Redis it would hear
of no task for up to another hour.
"""

from __future__ import annotations

import time
from typing import Any

LONGEST_S = 15.0


class ReconnectPause:
    """Stands for the module `time` in `flower.events`, which sleeps for nothing else."""

    def sleep(self, pause_s: float) -> None:
        time.sleep(min(pause_s, LONGEST_S))

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)
