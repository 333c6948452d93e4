"""Plots that are held in their midst: running however long the next steps take, and at no cost."""

from __future__ import annotations

import os
import signal

from common.model.snapshot import Job
from tests.support.farm import Farm
from tests.support.waiting import eventually


def plots_held(farm: Farm, count: int) -> dict[str, int]:
    """Task id -> pid of this number of plots, each stopped until `go_on`."""

    def underway() -> dict[str, int] | None:
        found = {job.task_id: job.pid for job in farm.jobs() if job.phase}
        return found if len(found) == count else None

    held = eventually(underway, f"{count} in the making", 60)
    for pid in held.values():
        os.kill(pid, signal.SIGSTOP)
    return held


def begun(farm: Farm) -> list[Job]:
    """Running plots that have files: a plotter tells its plot's id before it opens them."""
    return [job for job in farm.jobs() if job.plot_id and job.phase and job.phase.major]


def go_on(held: dict[str, int]) -> None:
    for pid in held.values():
        os.kill(pid, signal.SIGCONT)
