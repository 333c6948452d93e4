"""Drives of this machine that an operator has ordered to be evacuated, in a file of the state folder.

The harvester's worker writes it. The archiver reads it, to know from which drives it may send. `plotman up`
runs an archiver on a machine without plotters only while the file exists.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import AwareDatetime, Field

from common.system import statefile
from common.system.statefile import Stored


class EvacuationOrder(Stored):
    """An operator's order to move all plots of a drive away.

    id: also in the mark on the drive (harvester_worker.drives.evacuated).
    to: where the plots may go, each `HOST` or `HOST:/DRIVE`; empty: anywhere in the farm.
    plots, size_bytes: files named like plots that were on the drive at the beginning.
    bandwidth_bytes_s: limit of transfers over the network, on a machine without plotters; None: no limit.
    marked: the drive has the mark. If it is not there later, something else lies at the drive's path.
    ending: an operator has ended it. Only plots whose copy is complete are still released.
    refused: name of a file -> why a harvester refused it. It is not sent again.
    """

    id: str
    since: AwareDatetime
    to: tuple[str, ...] = ()
    by: str | None = None
    reason: str | None = None
    plots: int = 0
    size_bytes: int = 0
    bandwidth_bytes_s: int | None = None
    marked: bool = False
    ending: bool = False
    refused: dict[str, str] = Field({})


class EvacuationOrders(Stored):
    """The orders, by drive."""

    drives: dict[str, EvacuationOrder] = Field({})


def orders_file(state_dir: Path) -> Path:
    """The file with the orders. It exists while there is one."""
    return state_dir / "evacuations.json"


def ordered(state_dir: Path) -> dict[str, EvacuationOrder]:
    """The orders of this machine, by drive. Empty if the file cannot be read: then nothing is sent, and
    nothing released."""
    file = orders_file(state_dir)
    if not file.exists():
        return {}
    return (statefile.read(file, EvacuationOrders) or EvacuationOrders()).drives
