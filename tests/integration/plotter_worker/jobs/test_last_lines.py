"""Plots whose log ends without a newline: done once the plotter's process has ended, and not before."""

from __future__ import annotations

from pathlib import Path

import psutil

from common.model.snapshot import Job
from tests.support.bench import Bench, running
from tests.support.waiting import eventually

ONE = {"global_max_jobs": 1}


def test_a_plot_is_done_by_a_last_line_without_newline_when_its_process_has_ended_and_not_before(
    tmp_path: Path,
) -> None:
    bench = Bench.lay_out(tmp_path, scheduling=ONE)
    bench.plan(log="chiapos-k18", unended=True)
    with running(bench):
        job = _at_its_last_line(bench)
        assert not bench.told("plot-done")
        assert bench.snapshot.jobs[0].percent != 100
        bench.go()
        bench.until(lambda: bench.told_of(job) & {"plot-done", "plot-failed"}, "its end is told")
        assert "plot-done" in bench.told_of(job)


def test_the_same_rule_judges_a_plot_that_ended_while_nobody_watched(tmp_path: Path) -> None:
    bench = Bench.lay_out(tmp_path, scheduling=ONE)
    bench.plan(log="chiapos-k18", unended=True)
    bench.start()
    try:
        job = _at_its_last_line(bench)
    finally:
        bench.stop()
    again = Bench.lay_out(tmp_path, scheduling=ONE)
    bench.go()
    eventually(lambda: _has_ended(job.pid), "it ends unseen")
    with running(again):
        again.until(lambda: again.told_of(job) & {"plot-done", "plot-failed"}, "its end is told")
        assert "plot-done" in again.told_of(job)


def _at_its_last_line(bench: Bench) -> Job:
    """The plot, when the last line is in its log but for the newline."""

    def there() -> Job | None:
        jobs = [job for job in bench.jobs if job.log]
        return jobs[0] if jobs and Path(jobs[0].log or "").read_bytes().endswith(b'.plot"') else None

    job: Job = bench.until(there, "all but the last newline is written")
    bench.until(lambda: bench.jobs[0].phase and str(bench.jobs[0].phase) == "5:0", "and was read")
    return job


def _has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
