"""The GPUs of a plotter host: each takes some jobs at a time. Pure; beat and the plotter count alike."""

from __future__ import annotations

from collections import Counter

from common.model.snapshot import PlotterSnapshot

# Of a job that uses a GPU, but which one is not known: it may be any.
UNKNOWN = ""


def free_gpus(snapshot: PlotterSnapshot) -> list[str]:
    """The GPU of each job that may still start, the least used one first."""
    used = Counter(_known(job.gpu, snapshot.gpus) for job in snapshot.jobs if job.gpu is not None)
    free = {gpu: snapshot.jobs_per_gpu - used[gpu] - used[UNKNOWN] for gpu in snapshot.gpus}
    order = sorted(snapshot.gpus, key=lambda gpu: -free[gpu])  # stable: as they are configured
    return [gpu for taken in range(snapshot.jobs_per_gpu) for gpu in order if free[gpu] > taken]


def _known(gpu: str, configured: tuple[str, ...]) -> str:
    """A GPU has a number and a UUID: a name that is not configured may be one that is, in other words. Only a
    number among numbers is certainly another."""
    if gpu in configured or all(one.isdecimal() for one in (gpu, *configured)):
        return gpu
    return UNKNOWN
