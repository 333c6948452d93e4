"""A plot that has arrived and is not admitted yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from common.model.messages import Reservation
from common.model.plot_name import PlotName
from common.system.plotfile import Header

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


@dataclass(frozen=True, slots=True)
class Landing:
    """A plot that is about to get its name on a drive, where it is new.

    file: its part. final: where it is farmed. proofs: that were made of it, all valid; 0: none.
    evacuates: it comes from another farming drive.
    """

    plot_id: str
    file: Path
    final: Path
    header: Header
    proofs: int
    evacuates: bool


class LandingWatch(Protocol):
    """Is called in the drive's thread with what arrives."""

    def landing(self, landing: Landing) -> None:
        """Before the plot gets its name. Raises what ends the admission: it is tried again."""

    def refused(self, drive: str, why: str) -> None:
        """A plot that arrived on a drive was refused. Must not raise."""


class NoWatch:
    """Nobody watches."""

    def landing(self, landing: Landing) -> None:
        pass

    def refused(self, drive: str, why: str) -> None:
        pass
