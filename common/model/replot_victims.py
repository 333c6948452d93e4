"""Old plots that go, and in which order, for the plan and for the harvester that deletes them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from common.model.plot_class import PlotClass
from common.model.plot_sizes import v1_plot_bytes

# Bytes of an uncompressed plot for each of the file: of chiapos' k18 to k25, and bladebit's C9, 0.9 to 1.4.
_WEIGHT_LEAST, _WEIGHT_MOST = 0.5, 2.0


class DriveId(NamedTuple):
    """A drive of the farm."""

    host: str
    path: str


@dataclass(frozen=True, slots=True)
class Victim:
    """An old plot that is replaced. number: of its class."""

    drive: DriveId
    name: str
    size_bytes: int
    number: int


def first_turn(victims: Iterable[Victim]) -> tuple[Victim, ...]:
    """Return the victims that go first, one of each host: the first of the first of its classes.

    victims: on each drive in their order; the drives in the order in which they first come.
    """
    first: dict[str, Victim] = {}
    for victim in sorted(victims, key=lambda one: one.number):
        first.setdefault(victim.drive.host, victim)
    return tuple(first.values())


def size_fits(of: PlotClass, plots: int, size_bytes: int) -> bool:
    """Whether plots with these headers can have this size.

    Args:
        of: what their headers say.
        plots: number of plots, 1 or more. Of several, only the average is judged.
        size_bytes: of all of them, 1 or more.
    """
    return _WEIGHT_LEAST < v1_plot_bytes(of.k or 0) * plots / size_bytes < _WEIGHT_MOST
