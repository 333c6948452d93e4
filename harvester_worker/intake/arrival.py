"""A plot that has arrived and is not admitted yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.model.messages import Reservation
from common.model.plot_name import PlotName

# For what runs in the drive's thread. rsync has flushed the part already; the rest is quick even on a slow
# drive.
FLUSH_S = 1800.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A plot to take in. file: its part, or the file of the plot that the drive has already. final: where it
    is farmed."""

    reservation: Reservation
    name: PlotName
    drive: str
    file: Path
    final: Path

    @property
    def landed(self) -> bool:
        return self.file == self.final
