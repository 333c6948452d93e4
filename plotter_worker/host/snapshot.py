"""Builds a plotter host's snapshot from what its watcher, surveys and configuration say. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from common.config import Config
from common.model import holds
from common.model.snapshot import Directory, FinishedPlot, Job, PlotState, PlotterSnapshot, Recipe, TmpDir
from plotter_worker.directories.monitor import DirectorySurvey
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.processes.table import pid_of
from plotter_worker.state.operator import OperatorState


def plotter_snapshot(
    settings: Config,
    recipe: Recipe,
    steering: OperatorState,
    seen: Mapping[str, DirectorySurvey],
    jobs: tuple[Job, ...],
    makers: Mapping[str, int],
    gone: frozenset[str],
    turn: str,
    now: datetime,
    copied_to: Callable[[str], str | None],
    folders: tuple[str, ...],
    offset_s: int,
) -> PlotterSnapshot:
    """All that beat and people need to know of this host.

    seen: the last look at each directory. makers: plot id -> pid of the plotter that has not finished it.
    gone: plots that are deleted, though the last look still has them. copied_to: tells of a plot's path which
    harvester has all its bytes. folders: those whose plots may leave.
    offset_s: how far this machine's clock is ahead of UTC.
    """
    directories, scheduling = settings.directories, settings.scheduling
    assert directories is not None
    assert scheduling is not None
    archiving = settings.archiving

    def directory(path: str) -> dict[str, Any]:
        return {"path": path, "drained": steering.held(path, now), **_figures(path, seen)}

    return PlotterSnapshot(
        host=settings.host,
        at=now,
        turn=turn,
        plotting=steering.plotting_held(now) is None,
        pause_reason=steering.pause_reason(now, offset_s),
        paused=steering.plotting_held(now),
        drained=steering.held(holds.ALL, now),
        archiving_paused=steering.held(holds.ARCHIVING, now),
        windows=scheduling.windows,
        utc_offset_s=offset_s,
        starts_left=steering.starts_left,
        global_max_jobs=scheduling.global_max_jobs,
        global_stagger_s=scheduling.global_stagger_m * 60,
        recipe=recipe,
        check_room=scheduling.check_room,
        failure_limit=scheduling.failure_limit,
        failure_pause_s=scheduling.failure_pause_s,
        failures=steering.failures,
        last_start_at=steering.last_start_at,
        tmp_dirs=tuple(_tmp_dir(settings, directory(path)) for path in directories.tmp),
        tmp2=Directory(**directory(directories.tmp2)) if directories.tmp2 else None,
        dst_dirs=tuple(Directory(**directory(path)) for path in directories.dst or ()),
        jobs=jobs,
        plots=tuple(
            plot.model_copy(update={"copied_to": copied_to(plot.path)})
            for plot in finished_plots(folders, steering, seen, makers, gone)
        ),
        archiving=archiving is not None,
        harvesters=tuple(archiving.harvesters) if archiving else (),
        moves_at_once=archiving.concurrency if archiving else 1,
    )


def plot_folders(settings: Config) -> tuple[str, ...]:
    """Directories in which finished plots lie."""
    directories = settings.directories
    assert directories is not None
    return tuple(dict.fromkeys(folder for tmp in directories.tmp for folder in directories.dst_for(tmp)))


def _tmp_dir(settings: Config, directory: Mapping[str, Any]) -> TmpDir:
    assert settings.scheduling is not None
    limits = settings.scheduling.limits(directory["path"])
    return TmpDir(
        max_jobs=limits.max_jobs,
        stagger_phase=limits.stagger_phase,
        stagger_limit=limits.stagger_limit,
        **directory,
    )


def _figures(path: str, seen: Mapping[str, DirectorySurvey]) -> dict[str, object]:
    report = seen[path].report if path in seen else DirectorySurvey().report
    return {
        "state": report.state,
        "free_bytes": report.free_bytes,
        "total_bytes": report.total_bytes,
        "device": report.device,
    }


def finished_plots(
    folders: Iterable[str],
    steering: OperatorState,
    seen: Mapping[str, DirectorySurvey],
    makers: Mapping[str, int],
    gone: frozenset[str],
) -> Iterable[FinishedPlot]:
    """Those that lie in the folders; which harvester has their bytes is left out. Arguments: as above."""
    for folder in folders:
        for plot in seen[folder].plots if folder in seen else ():
            if plot.path in gone:
                continue
            maker = makers.get(plot.plot_id or "")
            if plot.path in steering.refused:
                yield plot.model_copy(
                    update={"state": PlotState.REFUSED, "reason": steering.refused[plot.path]}
                )
            elif plot.state is PlotState.READY and maker is not None:
                # Whole, but its plotter has not said so yet: it may still rename or copy it.
                reason = f"its plotter (pid {maker}) is about to end"
                yield plot.model_copy(update={"state": PlotState.OPEN, "reason": reason})
            else:
                yield plot


def makers(running: Iterable[TrackedJob]) -> dict[str, int]:
    """Plot id -> pid, of plots that are not finished: those being made, and those being copied to dst."""
    found = {}
    for job in running:
        progress = job.progress
        done = {plot.plot_id for plot in progress.plots_done}
        for plot_id in (progress.plot_id, *progress.copying):
            if plot_id is not None and plot_id not in done and job.record.process:
                found[plot_id] = pid_of(job.record.process)
    return found
