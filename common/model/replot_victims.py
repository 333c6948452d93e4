"""In which order old plots go, for the plan that shows it and the harvester that deletes them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from common.model.plot_class import PlotClass
from common.model.plot_sizes import v1_plot_bytes

# Of an uncompressed plot's bytes to those of the file: chiapos' k18 to k25 and bladebit's C9 are between 0.9
# and 1.4.
_WEIGHT_LEAST, _WEIGHT_MOST = 0.5, 2.0

Place = tuple[str, str]  # host and drive


@dataclass(frozen=True, slots=True)
class Victim:
    """An old plot that is replaced. number: of its class."""

    place: Place
    name: str
    size_bytes: int
    number: int


@dataclass(slots=True)
class _Queue:
    """Victims of one class on one drive. gone: how many of this class went before them."""

    gone: int
    victims: list[Victim] = field(default_factory=list)
    taken: int = 0


def turns(
    victims: Iterable[Victim], most: int, gone: Mapping[tuple[int, Place], int] | None = None
) -> Iterator[tuple[Victim, ...]]:
    """Yield which victims go at the same time: a class after the other, each drive at most once in a turn,
    and the drives with the fewest before first. Ends when all have gone.

    Args:
        victims: on each drive in their order; the drives in the order in which they first come.
        most: victims in one turn, 1 or more.
        gone: how many went before, by number of the class and place; None: none.
    """
    queues: dict[int, dict[Place, _Queue]] = {}
    for victim in victims:
        of_class = queues.setdefault(victim.number, {})
        before = (gone or {}).get((victim.number, victim.place), 0)
        of_class.setdefault(victim.place, _Queue(before)).victims.append(victim)
    for _, of_class in sorted(queues.items()):
        waiting = list(of_class.values())
        while waiting := [queue for queue in waiting if queue.taken < len(queue.victims)]:
            turn = sorted(waiting, key=lambda queue: queue.gone + queue.taken)[:most]
            yield tuple(queue.victims[queue.taken] for queue in turn)
            for queue in turn:
                queue.taken += 1


def size_fits(of: PlotClass, plots: int, size_bytes: int) -> bool:
    """Whether plots with these headers can have this size.

    Args:
        of: what their headers say.
        plots: number of plots, 1 or more. Of several, only the average is judged.
        size_bytes: of all of them, 1 or more.
    """
    return of.k is not None and (_WEIGHT_LEAST < v1_plot_bytes(of.k) * plots / size_bytes < _WEIGHT_MOST)
