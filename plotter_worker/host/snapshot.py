"""Builds a plotter host's snapshot from jobs, directory surveys, operator state and plotman.yaml. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from common.config import Config
from common.model import holds
from common.model.snapshot import Directory, Job, PlotterSnapshot, Recipe, RefusedOrder, TmpDir
from plotter_worker.directories.monitor import DirectorySurvey
from plotter_worker.host.finished_plots import finished_plots
from plotter_worker.state.operator import OperatorState


def plotter_snapshot(
    settings: Config,
    recipe: Recipe,
    operator: OperatorState,
    surveys: Mapping[str, DirectorySurvey],
    jobs: tuple[Job, ...],
    makers: Mapping[str, int],
    released: frozenset[str],
    start_token: str,
    now: datetime,
    copied_to: Callable[[str], str | None],
    folders: tuple[str, ...],
    utc_offset_s: int,
    gpus: tuple[str, ...] = (),
    refused: RefusedOrder | None = None,
) -> PlotterSnapshot:
    """All that beat and operators need to know of this host.

    Args:
        makers: plot id -> pid of the plotter that has not finished it.
        released: paths of plots that are deleted, though the last survey may still have them.
        copied_to: path of a plot -> the harvester that has all its bytes, or None.
        folders: directories whose plots may be moved.
        utc_offset_s: how far this machine's clock is ahead of UTC.
        gpus: that the next plots use.
        refused: beat's last order, where this host refused it.
    """
    directories, scheduling = settings.directories, settings.scheduling
    assert directories is not None
    assert scheduling is not None
    archiving = settings.archiving

    def directory(path: str) -> dict[str, Any]:
        return {"path": path, "drained": operator.held(path, now), **_figures(path, surveys)}

    return PlotterSnapshot(
        host=settings.host,
        at=now,
        start_token=start_token,
        plotting=operator.plotting_held(now) is None,
        pause_reason=operator.pause_reason(now, utc_offset_s),
        paused=operator.plotting_held(now),
        drained=operator.held(holds.ALL, now),
        archiving_paused=operator.held(holds.ARCHIVING, now),
        windows=scheduling.windows,
        utc_offset_s=utc_offset_s,
        starts_left=operator.starts_left,
        starts_hold=operator.coming_pause(now),
        global_max_jobs=scheduling.global_max_jobs,
        global_stagger_s=scheduling.global_stagger_m * 60,
        gpus=gpus,
        jobs_per_gpu=settings.plotting.jobs_per_gpu if settings.plotting else 1,
        recipe=recipe,
        check_room=scheduling.check_room,
        failure_limit=scheduling.failure_limit,
        failure_pause_s=scheduling.failure_pause_s,
        failures=operator.failures,
        last_start_at=operator.last_start_at,
        refused=refused,
        tmp_dirs=tuple(_tmp_dir(settings, directory(path)) for path in directories.tmp),
        tmp2=Directory(**directory(directories.tmp2)) if directories.tmp2 else None,
        dst_dirs=tuple(Directory(**directory(path)) for path in directories.dst or ()),
        jobs=jobs,
        plots=tuple(
            plot.model_copy(update={"copied_to": copied_to(plot.path)})
            for plot in finished_plots(folders, operator.refused, surveys, makers, released)
        ),
        archiving=archiving is not None,
        harvesters=tuple(archiving.harvesters) if archiving else (),
        moves_at_once=archiving.concurrency if archiving else 1,
    )


def _tmp_dir(settings: Config, directory: Mapping[str, Any]) -> TmpDir:
    assert settings.scheduling is not None
    limits = settings.scheduling.limits(directory["path"])
    return TmpDir(
        max_jobs=limits.max_jobs,
        stagger_phase=limits.stagger_phase,
        stagger_limit=limits.stagger_limit,
        **directory,
    )


def _figures(path: str, surveys: Mapping[str, DirectorySurvey]) -> dict[str, object]:
    report = surveys[path].report if path in surveys else DirectorySurvey().report
    return {
        "state": report.state,
        "free_bytes": report.free_bytes,
        "total_bytes": report.total_bytes,
        "device": report.device,
    }
