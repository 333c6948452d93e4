"""What `plotman cleanup` is given of the jobs that are watched: their processes own scratch files."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any

from plotter_worker.processes.table import identity
from plotter_worker.tasks.leftovers import _evidence
from tests.unit.plotter_worker.builders import job, task_id_of


def test_plots_in_the_log_of_a_watched_job_are_its_own_though_its_command_line_says_nothing() -> None:
    with subprocess.Popen(["sleep", "600"]) as child:
        try:
            unread = job(task_id_of("unread"))
            watched = job(plotter="madmax", log="madmax-k18-n2", process=identity(child.pid))
            plots = {plot.plot_id for plot in watched.progress.plots_done} | {watched.progress.plot_id}
            host: Any = SimpleNamespace(jobs=SimpleNamespace(running=lambda: [unread, watched]))
            (live,) = (live for live in _evidence(host).plotters if live.pid == child.pid)
        finally:
            child.kill()
    assert len(plots) == 2
    assert (live.plotter, live.plot_ids, live.directory_ids) == ("madmax", plots, None)
