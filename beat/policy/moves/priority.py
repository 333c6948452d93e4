"""Which directory is emptied first. The formula is plotman 0.5.3's.

The `dirs` of 0.5.3 rounded free space down to GB, and so showed up to two points more.
"""

from __future__ import annotations

from common.model.disk_usage import trimmed
from common.model.phase import PhasePair, pair
from common.model.snapshot import FinishedPlot, PlotState, PlotterSnapshot

_BASE = 50
# Phase of the most advanced incoming job -> penalty: its plot is about to be copied to that drive.
_PENALTIES: tuple[tuple[PhasePair, int], ...] = (((3, 7), 32), ((3, 6), 16), ((3, 5), 8), ((3, 4), 4))
# Below each of these limits: one point, and one more for each full step that is missing.
_NEED_BELOW_BYTES = (1000 * 10**9, 500 * 10**9)
_STEP_BYTES = 100 * 10**9


def by_priority(snapshot: PlotterSnapshot) -> list[FinishedPlot]:
    """Sort the host's finished plots in the order in which they are moved.

    Directories come by their priority, in each the oldest plot first; of directories with the same priority,
    the one with the oldest plot.
    """
    lying: dict[str, list[FinishedPlot]] = {}
    for plot in sorted(snapshot.plots, key=lambda plot: (plot.since, plot.path)):
        lying.setdefault(plot.path.rpartition("/")[0], []).append(plot)
    if len(lying) > 1:
        priority = priorities(snapshot)
        # `sorted` keeps the order of equals, which is the order of their oldest plots.
        lying = {directory: lying[directory] for directory in sorted(lying, key=lambda d: -priority[d])}
    return [plot for plots in lying.values() for plot in plots]


def priorities(snapshot: PlotterSnapshot) -> dict[str, int]:
    """Return by path the priority of each configured directory and of each one with a finished plot."""
    tmp2 = () if snapshot.tmp2 is None else (snapshot.tmp2,)
    directories = (*snapshot.tmp_dirs, *tmp2, *snapshot.dst_dirs)
    free = {trimmed(directory.path): directory.free_bytes for directory in directories}
    ready = dict.fromkeys(free, 0)
    for plot in snapshot.plots:
        directory = plot.path.rpartition("/")[0]
        ready[directory] = ready.get(directory, 0) + (plot.state is PlotState.READY)
    furthest: dict[str, PhasePair] = {}
    for job in snapshot.jobs:
        if job.dst is not None and job.phase is not None:
            directory = trimmed(job.dst)
            furthest[directory] = max(furthest.get(directory, (0, 0)), pair(job.phase))
    return {
        directory: archive_priority(free.get(directory), furthest.get(directory), plots)
        for directory, plots in ready.items()
    }


def archive_priority(free_bytes: int | None, furthest: PhasePair | None, plots: int) -> int:
    """Return the priority of one directory; the highest is emptied first.

    Args:
        free_bytes: of the directory; None (not known) adds nothing.
        furthest: most advanced phase of the plots that will come there; None if none comes.
        plots: plots in it that are ready to be moved.
    """
    priority = _BASE + plots
    if furthest is not None:
        priority -= next((penalty for phase, penalty in _PENALTIES if furthest >= phase), 0)
    if free_bytes is not None:
        priority += sum(
            1 + (limit - free_bytes) // _STEP_BYTES for limit in _NEED_BELOW_BYTES if free_bytes < limit
        )
    return priority
