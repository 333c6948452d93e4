"""What still runs on plotters that are silent. Their plots go on, and take their share of what the farm has
in common; but a machine that is off for good must not keep the others waiting."""

from __future__ import annotations

from datetime import datetime

from common.model.snapshot import Job, PlotterSnapshot, age_s

# The phases of a plot are not equally fast, so that its end is a guess; and the last copy counts, too.
_LATE = 2.0
_LATE_S = 1800.0
# The most for any plot, also one that tells nothing of its end: on hard disks it takes most of a day.
_MOST_S = 86_400.0


def still_running(last_word: PlotterSnapshot, now: datetime) -> PlotterSnapshot:
    """The last word of a silent plotter, without those of its jobs that must have ended by `now`."""
    silent_s = age_s(last_word.at, now)
    jobs = tuple(job for job in last_word.jobs if silent_s < _at_most_s(job))
    return last_word if jobs == last_word.jobs else last_word.model_copy(update={"jobs": jobs})


def _at_most_s(job: Job) -> float:
    """How long after the last word the job may run on, in seconds."""
    return _MOST_S if job.eta_s is None else min(_MOST_S, job.eta_s * _LATE + _LATE_S)
