"""When the tables are drawn again: at once after an event, and rarely while only progress changes."""

from __future__ import annotations

import time

from common.model.snapshot import age_s
from plotman.control.farm import FarmState
from plotman.dashboard.feed import LONGEST_PAUSE_S, same_snapshots

_AGED_S = 2.0  # after which tables are drawn only because ages in them have changed
_SHARE = 0.02  # of a core that tables may take while nothing but progress changes


class DrawPace:
    """Times are monotonic, in seconds."""

    def __init__(self) -> None:
        self._drawn: FarmState | None = None
        self._due = 0.0  # progress is not drawn before
        self._happened = False  # since the last drawing there was an event that the log lists

    def happened(self) -> None:
        self._happened = True

    def is_due(self, farm: FarmState) -> bool:
        """Whether this state of the farm is to be drawn now."""
        if self._drawn is None or self._happened:
            return True
        if time.monotonic() < self._due:
            return False
        return age_s(self._drawn.at, farm.at) >= _AGED_S or not same_snapshots(farm, self._drawn)

    def was_drawn(self, farm: FarmState, spent_s: float) -> None:
        """spent_s: seconds of processor time that drawing took."""
        self._drawn, self._happened = farm, False
        self._due = time.monotonic() + min(spent_s / _SHARE, LONGEST_PAUSE_S)
