"""What follows when a plotter ends, or is to be ended."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from common.history.rows import End
from common.system import durable
from common.system.probe import LOOK_DEADLINE_S, Hanging, Probe
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.records import Outcome
from plotter_worker.plotters.base import DonePlot
from plotter_worker.plotters.verdict import Success, judge
from plotter_worker.processes import session
from plotter_worker.processes.table import is_of_this_boot, pid_of

log = logging.getLogger(__name__)

_probe = Probe()
_NICE_FAILED = (126, 127)  # nice(1): the command cannot be invoked, cannot be found


def judge_end(job: TrackedJob, exit_code: int | None, at: datetime) -> Outcome:
    """How a job ended. exit_code: None where it was not our child."""
    # By now the plot may have been archived and released: the log is believed where the file is gone.
    verdict = judge(job.reader, exit_code, exists=_is_there)
    if isinstance(verdict, Success):
        return Outcome(succeeded=True, ended_at=at, result=_result(job, verdict.plots, at), end=End.DONE)
    if job.killed_by:
        end, reason = End.KILLED, f"Stopped by {job.killed_by}."
    elif went_with_the_machine(job):
        end, reason = End.LOST, "The machine went down while it ran."
    elif exit_code is None and not job.log_seen:
        end, reason = End.UNKNOWN, "Whether its plot is made is not known: it has no log."
    else:
        end, reason = End.FAILED, _no_program(job, exit_code) or verdict.reason
    return Outcome(succeeded=False, ended_at=at, reason=reason, tail=verdict.tail, end=end)


def make_durable(outcome: Outcome) -> None:
    """Put finished plots on their drive for good: no plotter does, and a power cut in the next half minute
    would leave an empty file under the plot's name. In a thread of its own, as it may take minutes."""
    plots = [Path(plot["path"]) for plot in (outcome.result or {}).get("plots", ()) if plot["path"]]

    def run() -> None:
        for path in plots:
            try:
                durable.make_durable(path)
                durable.make_durable(path.parent)
            except FileNotFoundError:
                continue  # it is on its way to the farm already
            except OSError as error:
                log.warning("%s may not survive a power cut yet: %s", path, error)

    threading.Thread(target=run, name="make-durable", daemon=True).start()


def died_of_itself(job: TrackedJob, outcome: Outcome) -> bool:
    """Whether its end tells how the plotters do that we start: nobody ended it, and the machine stayed up."""
    return job.record.ours and outcome.failed and not job.killed_by and not went_with_the_machine(job)


def went_with_the_machine(job: TrackedJob) -> bool:
    """Whether the machine was restarted since this job began."""
    return job.record.process is not None and not is_of_this_boot(job.record.process)


def _no_program(job: TrackedJob, exit_code: int | None) -> str | None:
    """What `nice` said where it could not become the plotter: `/x/chia: No such file or directory`. None
    where it could."""
    said = job.reader.tail(1)
    if job.log_seen and exit_code in _NICE_FAILED and said.startswith("nice: "):
        return f"The plotter's program cannot be run: {said.removeprefix('nice: ')}."
    return None


def _is_there(path: str) -> bool | None:
    """True where the file is there; None where it is not (any more), or its drive hangs."""
    try:
        return _probe.run(Path(path).parent, Path(path).exists, LOOK_DEADLINE_S) or None
    except (Hanging, OSError):
        return None


def _result(job: TrackedJob, plots: tuple[DonePlot, ...], at: datetime) -> dict[str, Any]:
    """Result of the plot's task: JSON, durations in seconds, times ISO 8601."""
    last = plots[-1]
    started_at = job.record.began_at
    return {
        "plot_id": last.plot_id,
        "path": last.path,
        "k": job.progress.details.k,
        "plotter": job.record.plotter,
        "tmp": job.tmp,
        "tmp2": job.tmp2,
        "dst": job.dst,
        "phase_times_s": {str(phase): seconds for phase, seconds in last.phase_times_s.items()},
        "total_s": last.total_s,
        "copy_s": last.copy_s,
        "started_at": started_at.isoformat(),
        "ended_at": at.isoformat(),
        "wall_s": (at - started_at).total_seconds(),
        "log": job.record.log,
        "plots": [{"plot_id": plot.plot_id, "path": plot.path} for plot in plots],
    }


def clean_up(job: TrackedJob, folders: Iterable[str], done: Callable[[TrackedJob, int], None]) -> None:
    """Delete the unfinished files of a job that failed; `done` is told the bytes freed, unless there are
    none. In a thread of its own: deleting hundreds of GB takes its time, and a drive may hang.
    """

    def run() -> None:
        if freed_bytes := _clean_up(job, folders):
            done(job, freed_bytes)

    threading.Thread(target=run, name="clean-up", daemon=True).start()


def _clean_up(job: TrackedJob, folders: Iterable[str]) -> int:
    """Nothing is deleted while a process of its session lives, and nothing of a plot that was complete and
    failed on its last way to dst: that one is worth a person's look.
    """
    if job.progress.total_s is not None or job.record.process is None or _session_lives(job.record.process):
        return 0
    places = {folder for folder in (*folders, job.tmp, job.tmp2, job.dst) if folder}
    return sum(_delete_own_files(job, Path(place)) for place in places)


def _session_lives(process_identity: str) -> bool:
    """Whether a process that the plotter started goes on without it. Ours are started as the first of a
    session of their own (launcher)."""
    if not is_of_this_boot(process_identity):
        return False  # whoever has its number by now
    return session.lives(pid_of(process_identity))


def _delete_own_files(job: TrackedJob, folder: Path) -> int:
    freed_bytes = 0
    try:
        names = os.listdir(folder)  # noqa: PTH208  names are all that is needed
    except OSError:
        return 0
    for name in job.plotter.own_files(names, job.progress.plot_id).certain:
        try:
            taken_bytes = (folder / name).stat().st_blocks * 512
            (folder / name).unlink()
        except OSError:
            continue  # somebody else was faster
        freed_bytes += taken_bytes
    return freed_bytes
