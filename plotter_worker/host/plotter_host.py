"""One plotter host: joins jobs, directories and operator state; tasks call it or the part they need."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from common.config import Config
from common.errors import OrderRefused
from common.model import holds
from common.model.messages import PlotOrder
from common.model.snapshot import DirState, Job, PlotterSnapshot, RefusedOrder
from common.store.farm_clock import CLOCK
from common.system.delivered import DeliveredFile
from common.system.machine import steady_s
from plotter_worker.directories.monitors import DirectoryMonitors
from plotter_worker.directories.release import plot_dirs
from plotter_worker.host import kill
from plotter_worker.host.finished_plots import FinishedPlots, makers
from plotter_worker.host.kill import Killed
from plotter_worker.host.operator_actions import OperatorActions
from plotter_worker.host.snapshot import plotter_snapshot
from plotter_worker.host.stall_monitor import StallMonitor
from plotter_worker.jobs import outcome as outcomes
from plotter_worker.jobs.adoption import Adoption, Send, found_task_id, record_of
from plotter_worker.jobs.estimate import LearnedPlots
from plotter_worker.jobs.job import AN_OPERATOR, TrackedJob
from plotter_worker.jobs.order_checks import AlreadyTaken, directories_for
from plotter_worker.jobs.records import JobRecord, Records
from plotter_worker.jobs.registry import JobRegistry
from plotter_worker.jobs.start import Starter, StartFailed
from plotter_worker.jobs.watcher import Watcher
from plotter_worker.plotters.base import SizeEstimate
from plotter_worker.plotters.registry import gpus_of, plotter_of_job, recipe_of
from plotter_worker.processes.table import FoundPlotter, ProcessTable, is_running
from plotter_worker.reporting.events import PlotterEvents

_REFUSAL_SHOWN_S = 60.0
_USAGE_S = 10.0  # as often as directories are surveyed


def _runs(record: JobRecord) -> bool:
    return record.outcome is None and record.process is not None and is_running(record.process)


def _restored(record: JobRecord) -> TrackedJob:
    """The job of a record that a former process wrote. If its plotter still runs, a kill was interrupted, and
    does not explain a later end."""
    if _runs(record):
        record = record.model_copy(update={"killed_by": None})
    return TrackedJob.of_record(record, plotter_of_job(record.plotter))


class PlotterHost:
    """Threads: the watcher calls `job_progressed`, `job_ended`, `plotter_found` and `tick`; tasks call the
    rest; the publisher calls `snapshot`. `_lock` guards jobs, start token and operator state.

    Args:
        events: where changes of the snapshot and events are reported; its methods never wait.
        learned: how long plots take here; None: nothing is known.

    Attributes:
        jobs: plotters that run, or ended and are not reported yet.
        directories: the monitors of tmp, tmp2 and dst.
        finished_plots: which plots became ready or are deleted.
        operator: holds and other orders of operators.
        delivered: which harvester has a copy of a plot.
    """

    def __init__(
        self, settings: Config, events: PlotterEvents, send: Send, learned: LearnedPlots | None = None
    ) -> None:
        self._settings = settings
        self._recipe = recipe_of(settings)
        self._learned = learned or LearnedPlots()
        self._lock = threading.RLock()
        self._records = Records(settings.state_dir / "jobs")
        self._starter = Starter(settings, self._records)
        self._watcher = Watcher(self)
        self._adoption = Adoption(settings.host, send)
        self._next_usage_s = 0.0  # monotonic
        self._refused: tuple[str, float] | None = None  # beat's last order: why not, and when (steady_s)
        self.events = events
        self.delivered = DeliveredFile(settings.state_dir)
        self.jobs = JobRegistry(self._records, self._lock)
        self.operator = OperatorActions(settings.state_dir, self._lock, events)
        self.finished_plots = FinishedPlots()
        self.directories = DirectoryMonitors(settings, self._directory_changed)
        self._stalls = StallMonitor(
            policy=lambda: self._settings.scheduling,
            directory_state=self._directory_state,
            events=events,
            kill=self.terminate,
            refresh=self.refresh,
        )

    def start(self) -> None:
        """Restore jobs of the last worker, also those that ended meanwhile, and watch."""
        self.directories.start()
        self._adoption.start()
        records = self._records.all()
        self.operator.restored([record.task_id for record in records])
        for record in records:
            self._restore(record)
        self._watcher.start()

    def look_once(self) -> None:
        """Find the running plots and survey the directories, instead of `start`: nothing is written, and an
        end is seen only after `watch`."""
        self.directories.start()
        for record in self._records.all():
            if _runs(record):
                self.jobs.add_restored(_restored(record))
        for found in ProcessTable().newcomers(self.jobs.pids()):
            if (new := self._tracked(found)) is not None:
                self.jobs.add_found(new)
        for job in self.jobs.running():
            job.read_log()
            job.refresh(self.directories.surveys())

    def watch(self) -> None:
        """Watch the plots that `look_once` has found, for a kill: it waits until their end is seen."""
        for job in self.jobs.running():
            self._records.keep(job.record)
            self._watcher.watch(job)
        self._watcher.start()

    def stop(self) -> None:
        """Stop watching. The plotters run on."""
        self._watcher.stop()
        self._adoption.stop()
        self.directories.stop()
        for job in self.jobs.running():
            self._keep_up(job)

    def reload(self, settings: Config) -> None:
        """Use another plotman.yaml. Running jobs stay as they were started."""
        with self._lock:
            self._settings, self._starter.settings = settings, settings
            self._recipe = recipe_of(settings)
        self._reload_directories()
        self.events.changed()

    @property
    def name(self) -> str:
        return self._settings.host

    @property
    def settings(self) -> Config:
        """plotman.yaml as it is now; do not keep it, a reload replaces it."""
        return self._settings

    @property
    def plot_dirs(self) -> tuple[str, ...]:
        """Directories in which plotman may touch finished plots."""
        return tuple(dict.fromkeys((*plot_dirs(self._settings), *self.directories.plot_folders)))

    def take_order(self, task_id: str, order: PlotOrder) -> TrackedJob:
        """Start a plot, whose job the caller's task represents.

        Raises:
            OrderRefused: the order does not fit this host now; nothing was started.
        """
        if order.expires_at is not None:  # by the farm's clock
            order = order.model_copy(update={"expires_at": order.expires_at - CLOCK.correction})
        try:
            return self._take_order(task_id, order)
        except (AlreadyTaken, StartFailed):
            raise  # another task starts it; the failures have the reason
        except OrderRefused as error:
            if order.start_token is not None:
                self._refused = (error.what, steady_s())
                self.events.changed()
            raise

    def _take_order(self, task_id: str, order: PlotOrder) -> TrackedJob:
        self._log_folder_works()  # before the lock, which snapshots need
        now = datetime.now(UTC)
        with self._lock:
            self.jobs.must_be_new(task_id)
            where = directories_for(order, self.snapshot(), now)
            try:
                job, child = self._starter.start(task_id, where, self.jobs.pids(), now)
            except StartFailed as error:
                self._died_at_once(str(error))
                raise
            self.jobs.add_ordered(job)
            self.operator.started(job.record.started_at or now, task_id)
            self._refused = None
        self.refresh(job)
        self._watcher.watch(job, child)
        self.events.started(job)
        return job

    def _log_folder_works(self) -> None:
        try:
            self._starter.check_log_folder()
        except StartFailed as error:
            with self._lock:
                self._died_at_once(str(error))
            raise

    def unclaim(self, job: TrackedJob) -> None:
        """Note that the job's task ends. It gets another task only if the result does not reach Celery."""
        self._adoption.postpone(job)
        job.claimed = False

    def reported(self, job: TrackedJob) -> None:
        """Forget a job whose result Celery has."""
        self.jobs.remove(job)
        self.events.changed()

    def terminate(self, job: TrackedJob, by: str = AN_OPERATOR) -> Killed:
        """End the job's processes and delete its unfinished files. A second caller waits for the first.

        Raises:
            OrderRefused: its processes may not be signalled, or do not end.
        """

        def note_killer(kills: bool) -> None:
            with self._lock:  # an end must not be overwritten
                self.jobs.update(job, job.record.model_copy(update={"killed_by": by if kills else None}))

        killed = kill.terminate(job, note_killer, self.directories.paths(), self.jobs.running, self.events)
        self.directories.refresh()
        return killed

    def refresh(self, job: TrackedJob) -> None:
        """Read the job's figures again, such as whether it is suspended."""
        job.refresh(self.directories.surveys())
        self._keep_up(job)

    def snapshot_of(self, job: TrackedJob) -> Job:
        """The job as the snapshot shows it."""
        recipe = self._recipe
        return job.snapshot(
            SizeEstimate(recipe.tmp_bytes, recipe.tmp2_bytes, recipe.dst_bytes), self._learned
        )

    def snapshot(self) -> PlotterSnapshot:
        with self._lock:
            running, now = self.jobs.running(), datetime.now(UTC)
            return plotter_snapshot(
                settings=self._settings,
                recipe=self._recipe,
                gpus=gpus_of(self._settings),
                operator=self.operator.state,
                surveys=self.directories.surveys(),
                jobs=tuple(map(self.snapshot_of, running)),
                makers=makers(running),
                released=self.finished_plots.released,
                copied_to=self.delivered.harvester_of,
                start_token=self.jobs.start_token,
                now=now,
                refused=self._last_refusal(now),
                folders=self.directories.plot_folders,
                utc_offset_s=holds.utc_offset_s(),
            )

    def _last_refusal(self, now: datetime) -> RefusedOrder | None:
        """The refusal that beat shows as a reason, while it is young: beat orders again within seconds."""
        if self._refused is None or (ago_s := steady_s() - self._refused[1]) > _REFUSAL_SHOWN_S:
            return None
        return RefusedOrder(at=now - timedelta(seconds=ago_s), reason=self._refused[0])

    # Called by the watcher.

    def job_progressed(self, job: TrackedJob) -> None:
        job.log_grew()
        reported = self.events.progressed_in(job)
        if reported > job.record.plots_reported:
            with self._lock:
                self.jobs.update(job, job.record.model_copy(update={"plots_reported": reported}))

    def job_ended(self, job: TrackedJob, exit_code: int | None) -> None:
        others = self.jobs.plots_of_others(job)
        outcome = outcomes.judge_end(job, exit_code, datetime.now(UTC), others)
        job.close_log()
        with self._lock:  # a snapshot without the job already counts its failure
            self.jobs.update(job, job.record.model_copy(update={"outcome": outcome}))
            if job.record.ours and outcome.succeeded:
                self.operator.works(job.began_at)
            elif outcomes.died_of_itself(job, outcome) and not job.proven(outcome.ended_at):
                self._died_at_once(outcome.reason or "it wrote no reason")
        self.directories.refresh((job.tmp, job.tmp2, job.dst))
        job.changed()
        self.events.ended(job, outcome)
        if outcome.succeeded:
            outcomes.make_durable(outcome)
        if job.record.ours and outcome.failed and not job.killed_by:
            outcomes.clean_up(job, self.directories.paths(), self._cleaned_up)

    def plotter_found(self, found: FoundPlotter) -> TrackedJob | None:
        with self._lock:
            job = self._tracked(found)
            if job is None:
                return None
            self._records.keep(job.record)
            self.jobs.add_found(job)
            if job.record.ours:
                self.operator.started(job.record.began_at, job.task_id)
        job.read_log()
        self.refresh(job)
        self.events.found(job)
        return job

    def _tracked(self, found: FoundPlotter) -> TrackedJob | None:
        """The job of a plotter that was found. None: another plotman's, or known already."""
        mine = found.state_dir == str(self._settings.state_dir)
        used = (found.command.tmp, found.command.tmp2, found.command.dst)
        if found.state_dir is not None and not mine and not any(path in self.directories for path in used):
            return None  # a job of another plotman, in directories of its own
        ordered = found.task_id if mine else None
        task_id = ordered or found_task_id(self._settings.host, found.identity)
        if self.jobs.get(task_id) is not None:
            return None  # `take_order` is starting it
        return TrackedJob(record_of(found, task_id, ours=mine), found.plotter, found.command)

    def tick(self) -> None:
        jobs = self.jobs.all()
        self.operator.expire(datetime.now(UTC))
        for job in jobs:
            self._adoption.request(job)
        now_s = time.monotonic()
        if now_s >= self._next_usage_s:
            self._next_usage_s = now_s + _USAGE_S
            self._refresh_all(jobs)
            if self.directories.retired:
                self._reload_directories()

    def _refresh_all(self, jobs: list[TrackedJob]) -> None:
        surveys = self.directories.surveys()
        for job in jobs:
            job.refresh(surveys)
            self._keep_up(job)
        self._stalls.sample(jobs)
        now = datetime.now(UTC)
        for job in jobs:
            if job.record.ours and job.outcome is None and job.proven(now):
                self.operator.works(job.began_at)
        if jobs:
            self.events.progressed()

    def _keep_up(self, job: TrackedJob) -> None:
        """Keep what a restart must not forget: its idle time, and the percent that is shown."""
        with self._lock:  # an end must not be overwritten
            record = job.record_with_percent(job.record_with_idle_time(datetime.now(UTC)))
            if record is not job.record:
                self.jobs.update(job, record)

    def _restore(self, record: JobRecord) -> None:
        """Go on with a job of the last worker."""
        if record.process is None and record.outcome is None:
            self._records.remove(record.task_id)  # killed before the launch; a launched one is found
            return
        job = _restored(record)
        self.jobs.add_restored(job)
        if record.ours:
            self.operator.started(record.began_at, record.task_id)
        if record.outcome is None:
            if job.record != record:
                self.jobs.update(job, job.record)
            self.refresh(job)
            self._watcher.watch(job)

    def _reload_directories(self) -> None:
        used = {path for job in self.jobs.running() for path in (job.tmp, job.tmp2, job.dst) if path}
        self.directories.reload(self._settings, frozenset(used))

    def _directory_state(self, path: str) -> DirState:
        survey = self.directories.surveys().get(path)
        return survey.report.state if survey else DirState.UNKNOWN

    def _cleaned_up(self, job: TrackedJob, freed_bytes: int) -> None:
        self.events.cleaned_up(job, freed_bytes)
        self.directories.refresh()

    def _died_at_once(self, reason: str) -> None:
        scheduling = self._settings.scheduling
        limit = scheduling.failure_limit if scheduling else None
        self.operator.died_at_once(reason, datetime.now(UTC), limit)

    def _directory_changed(self, matters: bool) -> None:
        """Report plots that became ready. Runs in the thread of a directory's monitor."""
        surveys = self.directories.surveys()
        refused = self.operator.state.refused
        with self._lock:
            unfinished = makers(self.jobs.running())
            folders = self.directories.plot_folders
            ready = self.finished_plots.newly_ready(folders, refused, surveys, unfinished)
        if all(survey.report.state is DirState.OK for survey in surveys.values()):
            self.operator.forget_refused({plot.path for survey in surveys.values() for plot in survey.plots})
        if matters or ready:
            self.events.ready(ready)
        else:
            self.events.progressed()
