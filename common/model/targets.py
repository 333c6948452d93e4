"""Which folder of an archiving target takes a plot: the rule of 0.5.3, with the bytes on their way. Pure.

Beat calls it to find out whether there is space, the archiver to choose the folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common.model.snapshot import TargetReport, TargetSpace
from common.model.units import human_bytes, human_bytes_apart

MARGIN_BYTES = 10_000_000  # free beside the plot, as in 0.5.3


def label(target: str) -> str:
    """The name of a target in the place of a harvester's."""
    return f"target {target}"


def fitting(spaces: Sequence[TargetSpace], size_bytes: int, coming: Mapping[str, int]) -> list[str]:
    """Folders with space for the plot, sorted by path.

    Args:
        spaces: the target's folders.
        size_bytes: of the plot.
        coming: folder -> bytes on their way to it.
    """
    needed_bytes = size_bytes + MARGIN_BYTES
    return sorted(
        space.path for space in spaces if space.free_bytes - coming.get(space.path, 0) >= needed_bytes
    )


def choose(
    spaces: Sequence[TargetSpace], size_bytes: int, index: int, coming: Mapping[str, int]
) -> str | None:
    """The folder number `index` (modulo their count) of those that fit; None if none fits."""
    fits = fitting(spaces, size_bytes, coming)
    return fits[index % len(fits)] if fits else None


def no_room(target: TargetReport, size_bytes: int, coming: Mapping[str, int]) -> str:
    """Why no folder takes the plot, with its size and the largest free space."""
    if not target.spaces:
        return (
            f"plot needs {human_bytes(size_bytes)}; the disk space script of target {target.name} names "
            "no folder"
        )
    best = max(target.spaces, key=lambda space: space.free_bytes - coming.get(space.path, 0))
    coming_bytes = coming.get(best.path, 0)
    needs, has = human_bytes_apart(size_bytes + MARGIN_BYTES, max(0, best.free_bytes - coming_bytes))
    beside = f" beside {human_bytes(coming_bytes)} on their way" if coming_bytes else ""
    return f"plot needs {needs}; largest free folder of target {target.name}, {best.path}, has {has}{beside}"
