"""Carries out an order: a record, a log, a plotter."""

from __future__ import annotations

import subprocess
from datetime import datetime

from common.config import Config
from common.errors import OrderRefused
from plotter_worker.jobs import TrackedJob
from plotter_worker.launcher import launch
from plotter_worker.orders import Place
from plotter_worker.plotters.registry import plotter_for
from plotter_worker.processes import identity
from plotter_worker.records import JobRecord, Records


def start(
    settings: Config, records: Records, task_id: str, where: Place, now: datetime
) -> tuple[TrackedJob, subprocess.Popen[bytes]]:
    """Start one plot and remember it. Raises OrderRefused, and then nothing runs or is remembered.

    The record is written before the start: a worker that is killed in between finds the plotter by the
    task id in its environment.
    """
    assert settings.plotting is not None
    plotter = plotter_for(settings.plotting.type)
    argv = plotter.argv(settings.plotting, where.tmp, where.tmp2, where.dst)
    folder = settings.plots_log_dir
    log = folder / f"{now.isoformat(timespec='microseconds').replace(':', '_')}.plot.log"
    record = JobRecord(
        task_id=task_id,
        plotter=plotter.name,
        ours=True,
        accepted_at=now,
        argv=tuple(argv),
        log=str(log),
        tmp=where.tmp,
        tmp2=where.tmp2,
        dst=where.dst,
    )
    records.save(record)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        child = launch(argv, log, task_id, settings.state_dir)
    except OSError as error:
        records.remove(task_id)
        raise OrderRefused(
            f"The plotter cannot be started: {error.strerror} ({error.filename}).",
            "Mend that; `plotman config check` looks at logs and programs.",
        ) from error
    record = record.model_copy(update={"process": identity(child.pid), "started_at": now})
    records.save(record)
    return TrackedJob(record, plotter, plotter.recognise(argv, "/")), child
