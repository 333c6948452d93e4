"""One plotter host: puts watcher, surveys, records and steering together, and answers the tasks."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

from common.config import Config
from common.messages import PlotOrder
from common.snapshot import DirState, PlotState, PlotterSnapshot
from plotter_worker import ending, usage
from plotter_worker.adoption import Adoption, Send, found_task_id, record_of
from plotter_worker.delivered import DeliveredFile
from plotter_worker.jobs import TrackedJob
from plotter_worker.news import News
from plotter_worker.orders import AlreadyTaken, place
from plotter_worker.plotters.base import Room
from plotter_worker.plotters.registry import plotter_for, recognise
from plotter_worker.processes import Found, pid_of
from plotter_worker.records import JobRecord, Records
from plotter_worker.snapshots import makers, plot_folders, plotter_snapshot
from plotter_worker.sources import plot_dirs
from plotter_worker.starting import Starter, StartFailed
from plotter_worker.steering import SteeringFile
from plotter_worker.survey import Survey
from plotter_worker.watcher import Watcher

log = logging.getLogger(__name__)

_USAGE_S = 5.0


class PlotterHost:
    """Threads: the watcher's calls `job_*`, `plotter_found` and `tick`; tasks call the rest; the
    publisher calls `snapshot`. `_lock` guards jobs, turn and steering.

    publish: something in the snapshot changed. tell: an event for the stream. Neither may wait.
    """

    def __init__(self, settings: Config, news: News, send: Send) -> None:
        assert settings.directories is not None
        assert settings.plotting is not None
        self._settings = settings
        self._plotting = settings.plotting
        self._news = news
        self._recipe = plotter_for(settings.plotting.type).recipe(
            settings.plotting, separate_tmp2=settings.directories.tmp2 is not None
        )
        self._lock = threading.RLock()
        self._jobs: dict[str, TrackedJob] = {}  # running, and ended but not reported
        self._incarnation = uuid4().hex[:8]
        self._starts = 0
        self._taken: deque[str] = deque(maxlen=1000)  # ids of orders carried out
        self._records = Records(settings.state_dir / "jobs")
        self._starter = Starter(settings, self._records)
        self._steering = SteeringFile(settings.state_dir)
        self._delivered = DeliveredFile(settings.state_dir)
        self._watcher = Watcher(self)
        self._adoption = Adoption(settings.host, send)
        self._ready_plots: set[str] = set()
        self._gone: set[str] = set()  # released; still in the last look at their directory
        self._next_usage = 0.0
        with_plots = plot_folders(settings)
        folders = [*settings.directories.tmp, settings.directories.tmp2, *with_plots]
        self._surveys = {
            path: Survey(path, path in with_plots, self._folder_changed)
            for path in dict.fromkeys(folder for folder in folders if folder)
        }

    def start(self) -> None:
        """Take up what runs already, and what ended while nobody watched."""
        for survey in self._surveys.values():
            survey.start()
        self._adoption.start()
        for record in self._records.all():
            self._take_up(record)
        self._watcher.start()

    def stop(self) -> None:
        """Let go. The plotters go on."""
        self._watcher.stop()
        self._adoption.stop()
        for survey in self._surveys.values():
            survey.stop()

    # What tasks ask for.

    @property
    def name(self) -> str:
        return self._settings.host

    @property
    def plot_dirs(self) -> tuple[str, ...]:
        """Directories in which plotman may touch finished plots."""
        return plot_dirs(self._settings)

    def job(self, task_id: str) -> TrackedJob | None:
        return self._jobs.get(task_id)

    def claim(self, task_id: str) -> TrackedJob | None:
        """The job that this task stands for, if there is one. Raises AlreadyTaken where another task
        stands for it."""
        with self._lock:
            job = self._jobs.get(task_id)
            if job is not None and job.claimed:
                raise AlreadyTaken(f"Another task already stands for job {task_id}.", "")
            if job is not None:
                job.claimed = True
            return job

    def unclaim(self, job: TrackedJob) -> None:
        """Its task ends. Another is asked for only if this one's result does not get through."""
        self._adoption.later(job)
        job.claimed = False

    def take_order(self, task_id: str, order: PlotOrder) -> TrackedJob:
        """Start a plot; the job is claimed by the caller. Raises OrderRefused, and then nothing runs."""
        now = datetime.now(UTC)
        with self._lock:
            if task_id in self._taken:
                raise AlreadyTaken(f"Order {task_id} has been carried out already.", "")
            where = place(order, self.snapshot(), now)
            known = {pid_of(job.record.process) for job in self._jobs.values() if job.record.process}
            try:
                job, child = self._starter.start(task_id, where, known, now)
            except StartFailed as error:
                self._died_at_once(str(error))
                raise
            job.claimed = True
            self._jobs[task_id] = job
            self._taken.append(task_id)
            self._starts += 1
            self._steering.started(job.record.started_at or now)
        self._watcher.follow(job, child)
        self._news.started(job)
        return job

    def reported(self, job: TrackedJob) -> None:
        """Celery has this job's result: it is done with."""
        with self._lock:
            self._jobs.pop(job.task_id, None)
            self._records.remove(job.task_id)
        self._news.changed()

    def pause(self, reason: str, after: int | None) -> None:
        said = f"no more plots: {reason}" if after is None else f"{after} more plots"
        self.steer(lambda steering: steering.pause(reason, after), f"starts {said}")

    def unpause(self) -> None:
        self.steer(SteeringFile.unpause, "starts plots as the rules allow")

    def steer(self, change: Callable[[SteeringFile], None], text: str) -> None:
        """Change what a person has said; text: what this host does from now on."""
        with self._lock:
            change(self._steering)
        self._news.steered(text)

    def refused_plots(self) -> list[str]:
        """Paths of plots that a harvester did not take."""
        return sorted(self._steering.now.refused)

    def plot_released(self, path: str) -> None:
        """This plot's source has just been deleted: a look that began before must not show it again."""
        with self._lock:
            self._gone.add(path)

    def refuse_plot(self, path: str, reason: str) -> None:
        """A harvester did not take this plot; it is not sent again."""
        with self._lock:
            self._steering.refuse(path, reason)
        self._news.changed()

    def look_again(self) -> None:
        """Something changed in the directories."""
        for survey in self._surveys.values():
            survey.wake()

    def terminate(self, job: TrackedJob) -> None:
        """Somebody wants this plot stopped: end its processes, delete its unfinished files."""
        job.killed_by = "a person"
        freed_bytes = ending.kill_and_clean(job, list(self._surveys))
        self._news.killed(job, freed_bytes)
        self.look_again()

    def snapshot(self) -> PlotterSnapshot:
        with self._lock:
            running = [job for job in self._jobs.values() if job.outcome is None]
            usual = Room(self._recipe.tmp_bytes, self._recipe.tmp2_bytes, self._recipe.dst_bytes)
            return plotter_snapshot(
                settings=self._settings,
                recipe=self._recipe,
                steering=self._steering.now,
                seen={path: survey.seen for path, survey in self._surveys.items()},
                jobs=tuple(job.notice(usual) for job in running),
                makers=makers(running),
                gone=frozenset(self._gone),
                copied_to=self._delivered.harvester_of,
                turn=f"{self._incarnation}:{self._starts}",
                now=datetime.now(UTC),
            )

    # What the watcher tells.

    def job_moved(self, job: TrackedJob) -> None:
        job.changed()
        self._news.moved(job)

    def job_ended(self, job: TrackedJob, exit_code: int | None) -> None:
        outcome = ending.judge_end(job, exit_code, datetime.now(UTC))
        job.close_log()
        with self._lock:  # the snapshot in which the job is gone already counts its failure
            job.record = job.record.model_copy(update={"outcome": outcome})
            self._records.keep(job.record)
            if job.record.ours and outcome.succeeded:
                self._steering.works()
            elif job.record.ours and not ending.was_ended(job) and not job.proven(outcome.ended_at):
                self._died_at_once(outcome.reason or "it said nothing")
        for path in {job.tmp, job.tmp2, job.dst}:
            if path in self._surveys:
                self._surveys[path].wake()
        job.changed()
        self._news.ended(job, outcome)
        if job.record.ours and not outcome.succeeded and not job.killed_by:
            ending.clean_up(job, list(self._surveys), self._cleaned_up)

    def plotter_found(self, found: Found) -> TrackedJob | None:
        mine = found.state_dir == str(self._settings.state_dir)
        used = {found.command.tmp, found.command.tmp2, found.command.dst}
        if found.state_dir is not None and not mine and not used & self._surveys.keys():
            return None  # another plotman's job, in directories that are none of ours
        ordered = found.task_id if mine else None
        task_id = ordered or found_task_id(self._settings.host, found.identity)
        with self._lock:
            if task_id in self._jobs:
                return None  # it is being started this moment
            record = record_of(found, task_id, ours=mine)
            self._records.keep(record)
            job = TrackedJob(record, found.plotter, found.command)
            self._jobs[task_id] = job
            self._starts += 1
        job.read_log()
        self._news.found(job)
        return job

    def tick(self) -> None:
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            self._adoption.want(job)
        now = time.monotonic()
        if now >= self._next_usage:
            self._next_usage = now + _USAGE_S
            seen = {path: survey.seen for path, survey in self._surveys.items()}
            for job in jobs:
                usage.refresh(job, seen)
            if any(job.record.ours and job.outcome is None and job.proven(datetime.now(UTC)) for job in jobs):
                with self._lock:
                    self._steering.works()
            if jobs:
                self._news.changed()

    def _take_up(self, record: JobRecord) -> None:
        """Go on with a job that a former worker knew."""
        plotter = plotter_for(record.plotter)
        recognised = recognise(record.argv, "/")
        job = TrackedJob(record, plotter, recognised[1] if recognised else None)
        if record.process is None and record.outcome is None:
            self._records.remove(record.task_id)  # accepted, and killed before the start: found if it runs
            return
        self._jobs[record.task_id] = job
        if record.outcome is None:
            self._watcher.follow(job)

    def _cleaned_up(self, job: TrackedJob, freed_bytes: int) -> None:
        self._news.cleaned_up(job, freed_bytes)
        self.look_again()

    def _died_at_once(self, reason: str) -> None:
        with self._lock:
            count = self._steering.died_at_once(reason, datetime.now(UTC))
        limit = self._settings.scheduling.failure_limit if self._settings.scheduling else count
        self._news.died_at_once(count, limit, reason)

    def _folder_changed(self) -> None:
        """In a survey's thread: tell of plots that have become ready."""
        seen = {plot.path for survey in self._surveys.values() for plot in survey.seen.plots}
        with self._lock:
            self._gone &= seen
            if all(survey.seen.report.state is DirState.OK for survey in self._surveys.values()):
                self._steering.forget_refused(keep=seen)
        plots = [plot for plot in self.snapshot().plots if plot.state is PlotState.READY]
        new = [plot for plot in plots if plot.path not in self._ready_plots]
        self._ready_plots = {plot.path for plot in plots}
        self._news.ready(new)
