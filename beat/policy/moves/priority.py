"""Which dst directory is emptied first. The sums are those by which plotman 0.5.3 archived.

Its `dirs` showed them for free space rounded down to GB, up to two points more.
"""

from __future__ import annotations

from common.model.phase import PhasePair

_BASE = 50
# A drive that a plot is about to be copied to had better be left alone: phase reached -> penalty.
_PENALTIES: tuple[tuple[PhasePair, int], ...] = (((3, 7), 32), ((3, 6), 16), ((3, 5), 8), ((3, 4), 4))
# Below each of these limits: one point, and one more for each whole step that is missing.
_NEED_BELOW_BYTES = (1000 * 10**9, 500 * 10**9)
_STEP_BYTES = 100 * 10**9


def archive_priority(free_bytes: int | None, furthest: PhasePair | None, plots: int) -> int:
    """The highest goes first.

    free_bytes: of the directory; None (not known) adds nothing.
    furthest: most advanced phase of the plots that will come there; None where none comes.
    plots: how many lie there.
    """
    priority = _BASE + plots
    if furthest is not None:
        priority -= next((penalty for phase, penalty in _PENALTIES if furthest >= phase), 0)
    if free_bytes is not None:
        priority += sum(
            1 + (limit - free_bytes) // _STEP_BYTES for limit in _NEED_BELOW_BYTES if free_bytes < limit
        )
    return priority
