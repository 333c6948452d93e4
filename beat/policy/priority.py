"""Which dst directory is emptied first. The sums are those of plotman 0.5.3 (its `dirs` shows them)."""

from __future__ import annotations

from beat.policy.room import Pair

_BASE = 50
# A drive that a plot is about to be copied to had better be left alone: phase reached -> penalty.
_PENALTIES: tuple[tuple[Pair, int], ...] = (((3, 7), 32), ((3, 6), 16), ((3, 5), 8), ((3, 4), 4))
# Under so many GB free, one point more for each 100 GB that are missing.
_NEED_FROM_GB = (1000, 500)


def archive_priority(free_bytes: int | None, furthest: Pair | None, plots: int) -> int:
    """The highest goes first.

    free_bytes: of the directory; None (not known) adds nothing.
    furthest: most advanced phase of the plots that will come there; None where none comes.
    plots: how many lie there.
    """
    priority = _BASE + plots
    if furthest is not None:
        priority -= next((penalty for phase, penalty in _PENALTIES if furthest >= phase), 0)
    if free_bytes is not None:
        free_gb = free_bytes // 10**9
        priority += sum(1 + (limit - free_gb) // 100 for limit in _NEED_FROM_GB if free_gb < limit)
    return priority
