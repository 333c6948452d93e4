"""One plotter host: puts watcher, folders, jobs and steering together, and answers the tasks."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

from common.config import Config
from common.model import holds
from common.model.messages import PlotOrder
from common.model.snapshot import DirState, Job, PlotterSnapshot
from plotter_worker.directories.monitor import DirectorySurvey
from plotter_worker.directories.release import plot_dirs
from plotter_worker.host import kill
from plotter_worker.host.directory_monitors import DirectoryMonitors
from plotter_worker.host.finished_plots import FinishedPlots
from plotter_worker.host.kill import Killed
from plotter_worker.host.operator_actions import OperatorActions
from plotter_worker.host.snapshot import makers, plotter_snapshot
from plotter_worker.host.stall_monitor import StallMonitor
from plotter_worker.jobs import outcome as ending
from plotter_worker.jobs import resources
from plotter_worker.jobs.adoption import Adoption, Send, found_task_id, record_of
from plotter_worker.jobs.job import A_PERSON, TrackedJob
from plotter_worker.jobs.order_checks import place
from plotter_worker.jobs.records import JobRecord, Records
from plotter_worker.jobs.registry import JobRegistry
from plotter_worker.jobs.start import Starter, StartFailed
from plotter_worker.jobs.watcher import Watcher
from plotter_worker.plotters.base import SizeEstimate
from plotter_worker.plotters.registry import plotter_for, recipe_of, recognise
from plotter_worker.processes.table import FoundPlotter
from plotter_worker.reporting.events import PlotterEvents
from plotter_worker.state.delivered import DeliveredFile

_USAGE_S = 10.0  # as the looks at the directories


class PlotterHost:
    """Threads: the watcher's calls `job_*`, `plotter_found` and `tick`; tasks call the rest; the
    publisher calls `snapshot`. `_lock` guards jobs, turn and steering.

    steered: what persons have said. publish: something in the snapshot changed. tell: an event for the
    stream. Neither may wait.
    """

    def __init__(self, settings: Config, news: PlotterEvents, send: Send) -> None:
        self._settings = settings
        self._news = news
        self._recipe = recipe_of(settings)
        self._lock = threading.RLock()
        self._records = Records(settings.state_dir / "jobs")
        self._roster = JobRegistry(self._records, self._lock)
        self._starter = Starter(settings, self._records)
        self.steered = OperatorActions(settings.state_dir, self._lock, news)
        self._delivered = DeliveredFile(settings.state_dir)
        self._watcher = Watcher(self)
        self._adoption = Adoption(settings.host, send)
        self._shelf = FinishedPlots()
        self._next_usage = 0.0
        self._stalls = StallMonitor(
            policy=lambda: self._settings.scheduling,
            directory_state=lambda path: self.seen(path).report.state,
            events=news,
            kill=self.terminate,
            refresh=self.refresh,
        )
        self._folders = DirectoryMonitors(settings, self._folder_changed)

    def start(self) -> None:
        """Take up what runs already, and what ended while nobody watched."""
        self._folders.start()
        self._adoption.start()
        for record in self._records.all():
            self._take_up(record)
        self._watcher.start()

    def stop(self) -> None:
        """Let go. The plotters go on."""
        self._watcher.stop()
        self._adoption.stop()
        self._folders.stop()

    def follow(self, settings: Config) -> None:
        """Go on by another plotman.yaml; jobs that run go on as they were started."""
        with self._lock:
            self._settings, self._starter.settings = settings, settings
            self._recipe = recipe_of(settings)
        self._follow_folders()
        self._news.changed()

    def _follow_folders(self) -> None:
        used = {path for job in self.running_jobs() for path in (job.tmp, job.tmp2, job.dst) if path}
        self._folders.follow(self._settings, frozenset(used))

    # What tasks ask for.

    @property
    def name(self) -> str:
        return self._settings.host

    @property
    def news(self) -> PlotterEvents:
        return self._news

    @property
    def settings(self) -> Config:
        """What plotman.yaml says now; ask each time, it may be replaced."""
        return self._settings

    @property
    def plot_dirs(self) -> tuple[str, ...]:
        """Directories in which plotman may touch finished plots."""
        return tuple(dict.fromkeys((*plot_dirs(self._settings), *self._folders.plot_folders)))

    @property
    def folders(self) -> list[str]:
        """Directories that are looked at: tmp, tmp2 and dst."""
        return self._folders.paths()

    def seen(self, path: str) -> DirectorySurvey:
        """The last look at one of them; of another nothing is known."""
        return self._folders.seen().get(path, DirectorySurvey())

    def job(self, task_id: str) -> TrackedJob | None:
        return self._roster.job(task_id)

    def running_jobs(self) -> list[TrackedJob]:
        """Plotters that run here, whoever started them."""
        return self._roster.running()

    def claim(self, task_id: str) -> TrackedJob | None:
        """The job that this task stands for, if there is one. Raises AlreadyTaken where another task
        stands for it."""
        return self._roster.claim(task_id)

    def unclaim(self, job: TrackedJob) -> None:
        """Its task ends. Another is asked for only if this one's result does not get through."""
        self._adoption.later(job)
        job.claimed = False

    def take_order(self, task_id: str, order: PlotOrder) -> TrackedJob:
        """Start a plot; the job is claimed by the caller. Raises OrderRefused, and then nothing runs."""
        now = datetime.now(UTC)
        with self._lock:
            self._roster.must_be_new(task_id)
            where = place(order, self.snapshot(), now)
            try:
                job, child = self._starter.start(task_id, where, self._roster.pids(), now)
            except StartFailed as error:
                self._died_at_once(str(error))
                raise
            self._roster.ordered(job)
            self.steered.started(job.record.started_at or now)
        self.refresh(job)
        self._watcher.follow(job, child)
        self._news.started(job)
        return job

    def reported(self, job: TrackedJob) -> None:
        """Celery has this job's result: it is done with."""
        self._roster.reported(job)
        self._news.changed()

    def plot_released(self, path: str) -> None:
        """This plot's source has just been deleted: a look that began before must not show it again."""
        self._shelf.released(path)

    def look_again(self) -> None:
        """Something changed in the directories."""
        self._folders.look_again()

    def terminate(self, job: TrackedJob, by: str = A_PERSON) -> Killed:
        """Somebody wants this plot stopped: end its processes, delete its unfinished files. Once: whoever
        asks again waits for the first. Raises OrderRefused; then the plot goes on."""
        killed = kill.terminate(job, by, self._folders.paths(), self._roster.running, self._news)
        self.look_again()
        return killed

    def refresh(self, job: TrackedJob) -> None:
        """Read its figures anew, such as whether it is suspended."""
        resources.refresh(job, self._folders.seen())

    def notice(self, job: TrackedJob) -> Job:
        """As it stands in the snapshot."""
        recipe = self._recipe
        return job.notice(SizeEstimate(recipe.tmp_bytes, recipe.tmp2_bytes, recipe.dst_bytes))

    def snapshot(self) -> PlotterSnapshot:
        with self._lock:
            running = self._roster.running()
            return plotter_snapshot(
                settings=self._settings,
                recipe=self._recipe,
                steering=self.steered.now,
                seen=self._folders.seen(),
                jobs=tuple(map(self.notice, running)),
                makers=makers(running),
                gone=self._shelf.gone,
                copied_to=self._delivered.harvester_of,
                turn=self._roster.turn,
                now=datetime.now(UTC),
                folders=self._folders.plot_folders,
                offset_s=holds.utc_offset_s(),
            )

    # What the watcher tells.

    def job_moved(self, job: TrackedJob) -> None:
        job.log_grew()
        self._news.moved(job)

    def job_ended(self, job: TrackedJob, exit_code: int | None) -> None:
        outcome = ending.judge_end(job, exit_code, datetime.now(UTC))
        job.close_log()
        with self._lock:  # the snapshot in which the job is gone already counts its failure
            self._roster.keep(job, job.record.model_copy(update={"outcome": outcome}))
            if job.record.ours and outcome.succeeded:
                self.steered.works(job.record.began_at)
            elif ending.died_of_itself(job, outcome) and not job.proven(outcome.ended_at):
                self._died_at_once(outcome.reason or "it said nothing")
        self._folders.look_again((job.tmp, job.tmp2, job.dst))
        job.changed()
        self._news.ended(job, outcome)
        if outcome.succeeded:
            ending.make_durable(outcome)
        if job.record.ours and outcome.failed and not job.killed_by:
            ending.clean_up(job, self._folders.paths(), self._cleaned_up)

    def plotter_found(self, found: FoundPlotter) -> TrackedJob | None:
        mine = found.state_dir == str(self._settings.state_dir)
        used = (found.command.tmp, found.command.tmp2, found.command.dst)
        if found.state_dir is not None and not mine and not any(path in self._folders for path in used):
            return None  # another plotman's job, in directories that are none of ours
        ordered = found.task_id if mine else None
        task_id = ordered or found_task_id(self._settings.host, found.identity)
        with self._lock:
            if self._roster.job(task_id) is not None:
                return None  # it is being started this moment
            record = record_of(found, task_id, ours=mine)
            self._records.keep(record)
            job = TrackedJob(record, found.plotter, found.command)
            self._roster.found(job)
        job.read_log()
        self.refresh(job)
        self._news.found(job)
        return job

    def tick(self) -> None:
        jobs = self._roster.all()
        self.steered.expire(datetime.now(UTC))
        for job in jobs:
            self._adoption.want(job)
        now = time.monotonic()
        if now >= self._next_usage:
            self._next_usage = now + _USAGE_S
            self._refresh_usage(jobs)
            if self._folders.leaving:
                self._follow_folders()

    def _refresh_usage(self, jobs: list[TrackedJob]) -> None:
        seen = self._folders.seen()
        for job in jobs:
            resources.refresh(job, seen)
        self._stalls.sample(jobs)
        now = datetime.now(UTC)
        for job in jobs:
            if job.record.ours and job.outcome is None and job.proven(now):
                self.steered.works(job.record.began_at)
        if jobs:
            self._news.progressed()

    def _take_up(self, record: JobRecord) -> None:
        """Go on with a job that a former worker knew."""
        plotter = plotter_for(record.plotter)
        recognised = recognise(record.argv, "/")
        job = TrackedJob(record, plotter, recognised[1] if recognised else None)
        if record.process is None and record.outcome is None:
            self._records.remove(record.task_id)  # accepted, and killed before the start: found if it runs
            return
        self._roster.took_up(job)
        if record.outcome is None:
            self.refresh(job)
            self._watcher.follow(job)

    def _cleaned_up(self, job: TrackedJob, freed_bytes: int) -> None:
        self._news.cleaned_up(job, freed_bytes)
        self.look_again()

    def _died_at_once(self, reason: str) -> None:
        scheduling = self._settings.scheduling
        limit = scheduling.failure_limit if scheduling else None
        self.steered.died_at_once(reason, datetime.now(UTC), limit)

    def _folder_changed(self, matters: bool) -> None:
        """In a survey's thread: tell of plots that have become ready."""
        looks = self._folders.seen()
        with self._lock:
            unfinished = makers(self._roster.running())
            new = self._shelf.look(self._folders.plot_folders, self.steered.now, looks, unfinished)
        if all(look.report.state is DirState.OK for look in looks.values()):
            self.steered.forget_refused(keep={plot.path for look in looks.values() for plot in look.plots})
        if matters or new:
            self._news.ready(new)
        else:
            self._news.progressed()
