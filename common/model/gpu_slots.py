"""The GPUs of a plotter host: each takes some jobs at a time. Pure; beat and the plotter count alike."""

from __future__ import annotations

from collections import Counter

from common.model.snapshot import PlotterSnapshot

# Of a job that uses a GPU, but which one is not known: it may be any.
UNKNOWN = ""


def free_gpus(snapshot: PlotterSnapshot) -> list[str]:
    """The GPU of each job that may still start, the least used one first."""
    used = Counter(job.gpu for job in snapshot.jobs if job.gpu is not None)
    free = {gpu: snapshot.jobs_per_gpu - used[gpu] - used[UNKNOWN] for gpu in snapshot.gpus}
    order = sorted(snapshot.gpus, key=lambda gpu: -free[gpu])  # stable: as they are configured
    return [gpu for taken in range(snapshot.jobs_per_gpu) for gpu in order if free[gpu] > taken]
