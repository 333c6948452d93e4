"""When a wait ends: as its rule says, or by the ETA of running plots. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from common.model.disk_usage import trimmed
from common.model.phase import pair
from common.model.snapshot import Job, PlotterSnapshot, RunStatus, Wait
from common.model.units import human_duration

_NEVER_S = 365 * 86_400.0  # a refused plot is tried again in ten years


def expected(wait: Wait, snapshot: PlotterSnapshot, now: datetime) -> tuple[datetime | None, str | None]:
    """Estimate when a wait ends, by the ETA of running plots.

    Returns (time, text); both None if there is no estimate.
    """
    if wait.until is not None:
        left_s = (wait.until - now).total_seconds()
        return wait.until, f"in {human_duration(left_s)}" if left_s < _NEVER_S else None
    here = [job for job in snapshot.jobs if job.tmp is not None and trimmed(job.tmp) == wait.subject]
    if wait.rule == "max jobs":
        return _end_of(snapshot.jobs, _over(wait, "jobs"), now, "in about")
    if wait.rule == "tmp max jobs":
        return _end_of(here, _over(wait, "jobs"), now, "in about")
    if wait.rule == "tmp phase":
        milestone = next((tmp.stagger_phase for tmp in snapshot.tmp_dirs if tmp.path == wait.subject), None)
        before = [job for job in here if milestone is not None and pair(job.phase) < pair(milestone)]
        return _end_of(before, _over(wait, "before"), now, "at the latest in about")
    if wait.rule in ("tmp room", "tmp2 room"):
        return _end_of(here or snapshot.jobs, 1, now, "at the earliest in about")
    return None, None


def _over(wait: Wait, of: str) -> int:
    """Return how many jobs must end or advance before the limit allows one more."""
    return int(wait.numbers.get(of, 0) - wait.numbers.get("limit", 0)) + 1


def _end_of(
    jobs: Sequence[Job], how_many: int, now: datetime, words: str
) -> tuple[datetime | None, str | None]:
    """Estimate when `how_many` of these jobs have ended."""
    known = [(job.eta_s, job) for job in jobs if job.eta_s is not None and not _held(job)]
    if not 1 <= how_many <= len(known):
        held = next(filter(_held, jobs), None)
        return None, None if held is None else f"not known: {_name(held)} is {_held(held)}"
    eta_s, job = sorted(known, key=lambda pair: pair[0])[how_many - 1]
    at = now + timedelta(seconds=eta_s)
    return at, f"{words} {human_duration(eta_s)}, when {_name(job)} ends"


def _name(job: Job) -> str:
    return f"plot {job.plot_id[:8]}" if job.plot_id else f"pid {job.pid}"


def _held(job: Job) -> str:
    """How a job is kept from its end; empty if it advances."""
    return "stalled" if job.stalled else "suspended" if job.status is RunStatus.STOPPED else ""
