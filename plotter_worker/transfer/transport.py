"""How a plot reaches its part file. One small class for each way; what they share is rsync's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from common.errors import TransferFailed
from common.messages import Reservation


class Transport(Protocol):
    """A way to the part file of one reservation."""

    def check(self) -> None:
        """Look whether the way is open. Raises TransferFailed before anything is sent."""

    def target(self) -> str:
        """rsync's destination argument."""

    def options(self) -> tuple[str, ...]:
        """What rsync must be told for this way."""


@dataclass(frozen=True, slots=True)
class SameMachine:
    """The drive hangs on this machine: rsync from path to path."""

    part: Path

    def check(self) -> None:
        if self.part.parent.name != ".incoming" or self.part.suffix != ".part":
            raise TransferFailed(f"{self.part} is no part file.", "Have the plot sent anew.")
        if not self.part.is_file():
            raise TransferFailed(f"{self.part} is gone: its reservation lapsed.", "It will be made anew.")
        if not os.access(self.part, os.W_OK):
            raise TransferFailed(
                f"{self.part} cannot be written.", "Run archiver and harvester as the same user."
            )

    def target(self) -> str:
        return str(self.part)

    def options(self) -> tuple[str, ...]:
        # A part that is gone is not made again: its room is no longer held.
        return ("--existing",)


def transport_to(reservation: Reservation, host: str) -> Transport:
    """The way from `host` to the reserved part. Raises TransferFailed where there is none."""
    if reservation.part is None:
        raise TransferFailed("The reservation names no part.", "Have the plot sent anew.")
    if reservation.host == host:
        return SameMachine(Path(reservation.part))
    raise TransferFailed(
        f"There is no way yet from {host} to the harvester {reservation.host}.",
        "Name only harvesters of the same machine in archiving.harvesters.",
    )
