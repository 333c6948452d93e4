"""The stagger rules with real processes and real logs: never too early, and at once when it is time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from statistics import median

from tests.support.bench import Bench, running


def test_starts_are_never_closer_than_the_global_stagger_and_not_much_later(tmp_path: Path) -> None:
    bench = Bench.lay_out(tmp_path, tmp=2, scheduling={"global_stagger_m": 0.01, "tmpdir_max_jobs": 9,
                          "global_max_jobs": 20, "tmpdir_stagger_phase_limit": 9})  # fmt: skip
    bench.plan(log="chiapos-k18")
    with running(bench):
        bench.until(lambda: len(bench.stamps()) >= 10, "ten plots start")
        gaps = [later - earlier for earlier, later in pairwise(stamp["born_s"] for stamp in bench.stamps())]
        assert min(gaps) > 0.585  # the kernel tells hundredths
        assert median(gaps) < 0.75
        assert "stagger" in bench.waits()


def test_the_second_job_in_a_tmp_starts_within_a_second_of_the_line_that_reaches_the_milestone(
    tmp_path: Path,
) -> None:
    bench = Bench.lay_out(tmp_path, scheduling={"tmpdir_max_jobs": 2, "global_max_jobs": 2})
    milestone = "Backpropagating on table 7"
    bench.plan(log="chiapos-k18", hold=milestone, stamp=milestone, live_s=300)
    with running(bench):
        bench.until(lambda: [job for job in bench.jobs if str(job.phase) == "2:0"], "it is just before 2:1")
        reason = "tmp phase: 1 of 1 job before 2:1"
        bench.until(lambda: bench.waits().get("tmp phase") == reason, "the next one waits for it")
        assert len(bench.stamps()) == 1
        bench.go()
        bench.until(lambda: len(bench.stamps()) == 2, "the second one starts")
        reached, second = bench.stamps("line")[0]["up_s"], bench.stamps()[1]["born_s"]
        assert -0.011 < second - reached < 1  # the kernel tells hundredths


def test_a_worker_that_comes_back_still_knows_when_the_last_plot_was_started(tmp_path: Path) -> None:
    limits = {"global_stagger_m": 0.05, "tmpdir_max_jobs": 5, "tmpdir_stagger_phase_limit": 5}
    bench = Bench.lay_out(tmp_path, scheduling=limits)
    bench.plan(log="chiapos-k18")
    bench.start()
    try:
        bench.until(lambda: bench.told("plot-done"), "a plot is made, and over")
    finally:
        bench.stop()
    again = Bench.lay_out(tmp_path, scheduling=limits)
    again.plan(log="chiapos-k18")
    with running(again):
        again.until(lambda: len(again.stamps()) == 2, "the next one starts")
        first, second = (stamp["born_s"] for stamp in again.stamps())
        assert second - first > 2.985
