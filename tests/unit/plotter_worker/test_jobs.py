"""Whom a growing log wakes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from plotter_worker.jobs import TrackedJob
from plotter_worker.plotters.registry import plotter_for
from plotter_worker.records import JobRecord

REAL = Path(__file__).parent / "plotters" / "logs"


def test_the_task_of_a_plot_is_woken_only_by_lines_that_change_what_it_tells(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    record = JobRecord(
        task_id="t", plotter="chia", ours=True, accepted_at=datetime.now(UTC), argv=(), log=str(log)
    )
    job = TrackedJob(record, plotter_for("chia"), None)
    lines = (REAL / "chiapos-k18.log").read_bytes().splitlines(keepends=True)
    shown, readers_woken, heard, wakes = set(), 0, 0, 0
    for line in lines:
        with log.open("ab") as file:
            file.write(line)
        assert job.read_log()
        line_seen = job.wait_line(-1, 0)
        job.log_grew()
        shown.add((job.progress.phase, round(job.progress.percent)))
        readers_woken += job.wait_line(-1, 0) > line_seen
        wakes += job.wait_change(-1, 0) > heard
        heard = job.wait_change(-1, 0)
    assert readers_woken == len(lines), "who reads the log reads each line"
    assert len(shown) <= wakes < len(lines) / 3, "not one state is missed, and few lines make one"
    before = job.wait_change(-1, 0)
    job.changed()
    assert job.wait_change(before, 5) > before, "its end, and a word to stop, wake the task"
    job.close_log()
