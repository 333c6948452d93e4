"""Jobs that may still run on silent plotters.

Their plots continue and count for the limits of the farm. But a machine that is off for good must not keep
the others waiting.
"""

from __future__ import annotations

from datetime import datetime

from common.model.snapshot import Job, PlotterSnapshot, age_s

# The end of a plot is an estimate, since its phases are not equally fast; and the final copy counts, too.
_LATE = 2.0
_LATE_S = 1800.0
# The limit for any plot, also one without an ETA: on hard disks a plot takes most of a day.
_MOST_S = 86_400.0


def still_running(last_word: PlotterSnapshot, now: datetime) -> PlotterSnapshot:
    """Return the last snapshot of a silent plotter without the jobs that must have ended by `now`."""
    silent_s = age_s(last_word.at, now)
    jobs = tuple(job for job in last_word.jobs if silent_s < _at_most_s(job))
    return last_word if jobs == last_word.jobs else last_word.model_copy(update={"jobs": jobs})


def _at_most_s(job: Job) -> float:
    """Return how many seconds after the last snapshot the job may still run."""
    return _MOST_S if job.eta_s is None else min(_MOST_S, job.eta_s * _LATE + _LATE_S)
