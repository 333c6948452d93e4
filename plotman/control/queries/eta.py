"""When something that waits for plots in the making will go on, as far as their own estimates tell. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from common.model.disk_usage import trimmed
from common.model.phase import pair
from common.model.snapshot import Job, PlotterSnapshot, RunStatus, Wait
from common.model.units import human_duration


def expected(wait: Wait, snapshot: PlotterSnapshot, now: datetime) -> tuple[datetime | None, str | None]:
    """(time, words for people); both None where nothing can be told."""
    if wait.until is not None:
        return wait.until, f"in {_span(wait.until, now)}"
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
    """So many must end or get further before the limit lets one pass."""
    return int(wait.numbers.get(of, 0) - wait.numbers.get("limit", 0)) + 1


def _end_of(
    jobs: Sequence[Job], how_many: int, now: datetime, words: str
) -> tuple[datetime | None, str | None]:
    """When so many of these jobs have ended."""
    known = [
        (job.eta_s, job) for job in jobs if job.eta_s is not None and job.status is not RunStatus.STOPPED
    ]
    if not 1 <= how_many <= len(known):
        return None, None
    eta_s, job = sorted(known, key=lambda pair: pair[0])[how_many - 1]
    at = now + timedelta(seconds=eta_s)
    name = f"plot {job.plot_id[:8]}" if job.plot_id else f"pid {job.pid}"
    return at, f"{words} {human_duration(eta_s)}, when {name} ends"


def _span(then: datetime, now: datetime) -> str:
    return human_duration((then - now).total_seconds())
