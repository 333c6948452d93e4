"""Judges how a job ended, makes its plots durable, and deletes what a failed job left."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from common.history.rows import End
from common.model.plot_name import PlotName
from common.model.snapshot import PlotState
from common.system import plotfile, statefile
from common.system.probe import LOOK_DEADLINE_S, Hanging, Probe, full
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.records import Outcome
from plotter_worker.plotters.base import DonePlot
from plotter_worker.plotters.verdict import Success, judge
from plotter_worker.processes import session
from plotter_worker.processes.table import is_of_this_boot, pid_of

log = logging.getLogger(__name__)

_probe = Probe()
_NICE_FAILED = (126, 127)  # nice(1): the command cannot be invoked, cannot be found
_JUDGE_S = 10.0  # a plot is judged by some reads, from a drive that may be busy
_CLOCK = timedelta(seconds=2)  # file systems may store times in steps of this size (FAT)


def judge_end(
    job: TrackedJob, exit_code: int | None, at: datetime, others: Collection[str] = frozenset()
) -> Outcome:
    """How a job ended.

    Args:
        exit_code: None if the plotter was not our child.
        at: when the end was seen.
        others: ids of plots that other jobs make or have made.
    """
    # The plot may be archived and released by now: if the file does not exist, the log decides.
    verdict = judge(job.reader, exit_code, exists=_is_there)
    if not isinstance(verdict, Success) and not job.killed_by and (made := _made(job, at, others)):
        verdict = Success((made,))
    if isinstance(verdict, Success):
        result, where = _result(job, verdict.plots, at), _outside(job, verdict.plots[-1])
        return Outcome(succeeded=True, ended_at=at, result=result, reason=where, end=End.DONE)
    if job.killed_by:
        end, reason = End.KILLED, f"Stopped by {job.killed_by}."
    elif went_with_the_machine(job):
        end, reason = End.LOST, "The machine went down while it ran."
    elif exit_code is None and not job.log_seen:
        end, reason = End.UNKNOWN, "Whether its plot is finished is not known: it has no log."
    else:
        end, reason = End.FAILED, _no_program(job, exit_code) or verdict.reason + _full(job)
    return Outcome(succeeded=False, ended_at=at, reason=reason, tail=verdict.tail, end=end)


def make_durable(outcome: Outcome) -> None:
    """Flush finished plots to their drive, in a thread of its own, as it may take minutes.

    No plotter does it: a power cut in the next half minute would leave an empty file under the plot's name.
    """
    plots = [Path(plot["path"]) for plot in (outcome.result or {}).get("plots", ()) if plot["path"]]

    def run() -> None:
        for path in plots:
            try:
                statefile.make_durable(path)
                statefile.make_durable(path.parent)
            except FileNotFoundError:
                continue  # archived and released already
            except OSError as error:
                log.warning(
                    "%s could not be flushed to its drive and may not survive a power cut: %s", path, error
                )

    threading.Thread(target=run, name="make-durable", daemon=True).start()


def died_of_itself(job: TrackedJob, outcome: Outcome) -> bool:
    """Whether the plotter itself failed: it was ours, nobody ended it, and the machine stayed up."""
    return job.record.ours and outcome.failed and not job.killed_by and not went_with_the_machine(job)


def went_with_the_machine(job: TrackedJob) -> bool:
    """Whether the machine was restarted since this job began."""
    return job.record.process is not None and not is_of_this_boot(job.record.process)


def _no_program(job: TrackedJob, exit_code: int | None) -> str | None:
    """The error of `nice` if it could not execute the plotter: `/x/chia: No such file or directory`."""
    line = job.reader.tail(1)
    if job.log_seen and exit_code in _NICE_FAILED and line.startswith("nice: "):
        return f"The plotter's program cannot be run: {line.removeprefix('nice: ')}."
    return None


def _is_there(path: str) -> bool | None:
    """True if the file exists; None if it does not (any more), or if its drive hangs."""
    try:
        return _probe.run(Path(path).parent, Path(path).exists, LOOK_DEADLINE_S) or None
    except (Hanging, OSError):
        return None


def _made(job: TrackedJob, at: datetime, others: Collection[str]) -> DonePlot | None:
    """The whole plot of this job in its dst; None if there is none that is certainly its own.

    A log may lose lines, or have none, as its folder was full or its file was replaced. Plotters give a plot
    its final name when it is complete.
    """
    if not job.record.ours or job.dst is None or job.record.started_at is None:
        return None
    if job.progress.asked not in (None, 1):
        return None  # one plot of several does not make the job complete
    dst, began, plot_id = Path(job.dst), job.record.started_at, job.progress.plot_id

    def is_its_own(name: PlotName) -> bool:
        if plot_id is not None:
            return name.plot_id == plot_id
        if name.plot_id in others or (job.command is not None and name.k != job.command.k):
            return False
        changed_s = (dst / name.name).stat().st_mtime
        return (began - _CLOCK).timestamp() <= changed_s <= (at + _CLOCK).timestamp()

    def find() -> PlotName | None:
        # The plotter has ended: nothing waits for the file to be quiet.
        later = at + timedelta(seconds=plotfile.UNSEEN_QUIET_S)
        names = filter(None, map(PlotName.parse, sorted(_names(dst))))
        own = (name for name in names if is_its_own(name))
        return next((n for n in own if plotfile.classify(dst / n.name, later)[0] is PlotState.READY), None)

    try:
        name = _probe.run(dst, find, _JUDGE_S)
    except (Hanging, OSError):
        return None
    return DonePlot(plot_id=name.plot_id, path=str(dst / name.name)) if name else None


def _outside(job: TrackedJob, plot: DonePlot) -> str | None:
    """Where a plot was written that is not in the dst of its job; None for one that is there."""
    if job.dst is None:
        return None
    dst, path = Path(job.dst), plot.path
    if path is None:
        plot_id = plot.plot_id or ""
        missing = _in_drive(dst, lambda: not any(plot_id in name for name in _names(dst)))
        return f"No file of it was found in {dst}, and its log names none." if missing else None
    folder = Path(path).parent
    if folder == dst or _in_drive(dst, lambda: folder.exists() and folder.samefile(dst)):
        return None
    where = f"written to {path}, which is not in its dst {job.dst}"
    if _is_there(path):
        return f"It was {where}; plotman does not move it."
    return f"By its log it was {where}; it was not found there."


def _in_drive(folder: Path, func: Callable[[], bool]) -> bool:
    """False also if its drive does not answer."""
    try:
        return _probe.run(folder, func, LOOK_DEADLINE_S)
    except (Hanging, OSError):
        return False


def _names(folder: Path) -> list[str]:
    return os.listdir(folder)  # noqa: PTH208  names are enough


def _full(job: TrackedJob) -> str:
    """A sentence for each directory of the job without room, its log's too; empty if there is none."""
    log_folder = str(Path(job.record.log).parent) if job.record.log else None
    found = dict.fromkeys(filter(None, (log_folder, job.tmp, job.tmp2, job.dst)))
    return "".join(f" {why}" for folder in found if (why := _why_full(folder)))


def _why_full(folder: str) -> str | None:
    try:
        why = _probe.run(folder, lambda: full(folder), LOOK_DEADLINE_S)
    except (Hanging, OSError):
        return None
    return f"{folder} is {why}." if why else None


def _result(job: TrackedJob, plots: tuple[DonePlot, ...], at: datetime) -> dict[str, Any]:
    """Result of the plot's task: JSON, durations in seconds, times ISO 8601."""
    last = plots[-1]
    started_at = job.record.began_at
    return {
        "plot_id": last.plot_id,
        "path": last.path,
        "k": job.progress.details.k or (job.command.k if job.command else None),
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
    """Delete the unfinished files of a failed job in a thread of its own: a drive may be slow or hang.

    Args:
        folders: directories of this host.
        done: called with the bytes freed, if any.
    """

    def run() -> None:
        if freed_bytes := _clean_up(job, folders):
            done(job, freed_bytes)

    threading.Thread(target=run, name="clean-up", daemon=True).start()


def _clean_up(job: TrackedJob, folders: Iterable[str]) -> int:
    """Delete nothing while a process of the job's session runs, and nothing of a plot that was complete.

    A complete plot that failed on the copy to dst can be saved by an operator.
    """
    if job.progress.total_s is not None or job.record.process is None or _session_lives(job.record.process):
        return 0
    places = {folder for folder in (*folders, job.tmp, job.tmp2, job.dst) if folder}
    return sum(_delete_own_files(job, Path(place)) for place in places)


def _session_lives(process_identity: str) -> bool:
    """Whether a process that the plotter started still runs. Our plotters lead sessions of their own."""
    if not is_of_this_boot(process_identity):
        return False  # the number may be another session's by now
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
            continue  # already deleted, or not allowed
        freed_bytes += taken_bytes
    return freed_bytes
