"""What went wrong with plotters on machines of plotman 0.5.3's users, and the outcome that they would have
wanted."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common.model.snapshot import Job
from plotter_worker.host import plotter_host
from plotter_worker.jobs import job as jobs
from plotter_worker.jobs import watcher
from plotter_worker.jobs.records import JobRecord, Records
from tests.support.bench import PLAIN, Bench, running

K18 = "chiapos-k18"
ENDLESS = {"live_s": 300}
BEFORE = "0dd1c1a6-9b0e-4f8e-8a1b-3f1d8a6f0001"


def ours(bench: Bench) -> list[Job]:
    """Those that the bench started; another test's plotters may be seen for a while."""
    return [job for job in bench.jobs if job.ours]


def test_bytes_that_are_no_utf8_and_bytes_that_are_no_text_harm_nothing(tmp_path: Path) -> None:
    bench = Bench.lay_out(tmp_path, scheduling={"global_max_jobs": 1})
    bench.plan(log=K18, garble="ff fe 00 c3 28 1b 5b 32 4a" * 500, exit=1)
    with running(bench):
        done = bench.until(lambda: bench.told("plot-done"), "the plot is believed")
        assert done[0].plot_id
    bench = Bench.lay_out(tmp_path, state="other", scheduling={"failure_pause_s": 0.01})
    bench.plan(garble="ff fe 00 c3 28 0a" * 500, exit=1)
    with running(bench):
        bench.until(lambda: bench.told("plotting-stopped"), "a garbled failure is one")
        bench.snapshot.model_dump_json().encode()


def test_plotters_that_vanish_while_they_are_looked_at_harm_nothing(tmp_path: Path) -> None:
    bench = Bench.lay_out(tmp_path, scheduling={"global_max_jobs": 0})
    bench.farm.logs.mkdir()
    with running(bench):
        began = time.monotonic()
        started = 0
        bench.plan(log=K18)
        while time.monotonic() - began < 2.5 or started < 12:
            with (bench.farm.logs / f"{started}.log").open("wb") as log:
                children = [bench.by_hand(log) for _ in range(4)]
            bench.snapshot.model_dump_json()
            for child in children:
                child.wait()
            started += len(children)
        bench.until(lambda: not bench.jobs, "all have ended")
        bench.plan(**ENDLESS)
        last = bench.by_hand()
        bench.until(lambda: [job.pid for job in bench.jobs] == [last.pid], "the next one is still seen")
        last.kill()
        bench.until(lambda: not bench.jobs, "and its end")


@pytest.mark.parametrize("case", ["silent", "without a log"])
def test_a_plotter_of_unknown_phase_keeps_others_out_of_its_tmp(tmp_path: Path, case: str) -> None:
    # By phase and by number: each of the two limits alone must do.
    limits = {"tmpdir_max_jobs": 1} if case == "silent" else {"tmpdir_max_jobs": 5, "global_max_jobs": 5}
    bench = Bench.lay_out(tmp_path, scheduling=limits)
    if case == "without a log":
        bench.plan(**ENDLESS)
        bench.by_hand()
    else:
        bench.plan(**ENDLESS)
    with running(bench):
        job = bench.until(lambda: bench.jobs, "it runs")[0]
        assert job.tmp == str(bench.tmp)
        time.sleep(1.2)  # longer than a look at the process table: nothing may happen
        assert [other.pid for other in bench.jobs] == [job.pid]
        assert len(bench.stamps()) == 1
        assert {"tmp phase", "tmp max jobs"} & bench.waits().keys()


def test_the_log_of_a_running_job_is_read_on_after_somebody_deleted_it(tmp_path: Path) -> None:
    bench = Bench.lay_out(tmp_path, scheduling={"tmpdir_max_jobs": 2})
    bench.plan(log=K18, hold="Computing table 3")
    bench.start()
    try:
        job = bench.until(lambda: [job for job in bench.jobs if job.plot_id], "it runs")[0]
        assert job.log is not None
        Path(job.log).unlink()
    finally:
        bench.stop()  # and its successor
    again = Bench.lay_out(tmp_path, scheduling={"tmpdir_max_jobs": 2})
    again.plan(**ENDLESS)
    with running(again):
        found = again.until(lambda: again.jobs, "it is taken up")[0]
        again.until(lambda: again.jobs[0].plot_id == job.plot_id, "what was said before is known")
        assert found.task_id == job.task_id
        assert len(again.stamps()) == 1, "no other plot in its tmp"
        again.go()
        done = again.until(lambda: again.told("plot-done"), "its end is understood")[0]
        assert done.task_id == job.task_id


def test_a_plotter_of_before_a_reboot_whose_number_a_thread_has_now_is_lost_and_harms_nothing(
    tmp_path: Path,
) -> None:
    bench = Bench.lay_out(tmp_path, scheduling={"global_max_jobs": 1})
    bench.plan(log=K18)
    now, over = datetime.now(UTC), threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    record = JobRecord(
        task_id=BEFORE,
        plotter="chiapos",
        ours=True,
        accepted_at=now,
        argv=(),
        process=f"another-boot:{thread.native_id}:1",
        started_at=now,
    )
    Records(bench.settings.state_dir / "jobs").save(record)
    try:
        with running(bench):
            lost = bench.until(lambda: bench.told("plot-failed"), "its end is told")[0]
            assert lost.task_id == BEFORE
            assert "machine went down" in lost.text
            bench.until(lambda: bench.told("plot-done"), "plots are made")
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("shebang", ["/usr/bin/env python3", f"{sys.executable} -s", "relative link"])
def test_a_chia_script_is_known_by_any_python(tmp_path: Path, shebang: str) -> None:
    if shebang == "relative link":
        link = tmp_path / "py thon" / "python3.99"
        link.parent.mkdir()
        link.parent.rename(tmp_path / "python")
        link = tmp_path / "python" / "python3.99"
        link.symlink_to(sys.executable)
        shebang = str(link)
    bench = Bench.lay_out(tmp_path, shebang=shebang)
    bench.plan(**ENDLESS)
    with running(bench):
        bench.until(lambda: len(bench.jobs) == 1, "it runs")
        by_hand = bench.by_hand()
        bench.until(lambda: by_hand.pid in [job.pid for job in bench.jobs], "one by hand is seen")
        assert len(bench.jobs) == 2


def test_a_killed_plotter_is_a_failure_its_litter_goes_and_the_next_one_starts(tmp_path: Path) -> None:
    bench = Bench.lay_out(tmp_path)
    bench.plan(log=K18, litter=20, hold="Computing table 4")
    with running(bench):
        job = bench.until(lambda: [job for job in bench.jobs if job.plot_id], "it runs")[0]
        bench.until(lambda: len(list(bench.tmp.iterdir())) == 20, "its files are there")
        foreign = bench.tmp / "plot-k32-2021-01-01-00-00-feed.plot.2.tmp"
        foreign.write_bytes(b"somebody else's")
        bench.plan(log=K18, hold="Computing table 4")
        os.kill(job.pid, signal.SIGKILL)
        failed = bench.until(lambda: bench.told("plot-failed"), "it is told")[0]
        assert "SIGKILL" in failed.text
        bench.until(lambda: list(bench.tmp.iterdir()) == [foreign], "its files go, and only they")
        assert "kB freed" in bench.until(lambda: bench.told("plot-cleaned-up"), "it is told")[0].text
        reason = bench.until(lambda: bench.waits().get("failures"), "the next waits: it died at once")
        assert "SIGKILL" in reason


def test_a_plot_that_was_complete_is_not_cleaned_away(tmp_path: Path) -> None:
    """chia copies its plot to dst for ever when that is full; an operator who kills it wants the plot."""
    bench = Bench.lay_out(tmp_path)
    bench.plan(log="chiapos-dst-full", litter=1, live_s=300)
    with running(bench):
        job = bench.until(lambda: [job for job in bench.jobs if job.stalled], "it waits for room")[0]
        files = list(bench.tmp.iterdir())
        assert files
        os.kill(job.pid, signal.SIGKILL)
        bench.until(lambda: bench.told("plot-failed"), "it is told")
        bench.host.directories.refresh()
        assert list(bench.tmp.iterdir()) == files
        assert not bench.told("plot-cleaned-up")


def test_a_plotter_that_fails_at_once_leaves_no_litter_and_is_not_started_without_end(tmp_path: Path) -> None:
    bench = Bench.lay_out(tmp_path, tmp=2, scheduling={"failure_pause_s": 0.05})
    bench.plan(log="chiapos-crash", litter=10, exit=1)
    with running(bench):
        bench.until(lambda: bench.told("plotting-stopped"), "it stops")
        starts = bench.stamps()
        assert len(starts) <= 4  # two were started at once, and then one at a time
        bench.until(lambda: not list(bench.farm.folder.glob("tmp/*/*")), "nothing stays behind")


def test_plotters_that_die_at_once_beside_an_older_one_that_works_are_not_started_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_AT_ONCE", timedelta(0))  # what plots has proven itself
    monkeypatch.setattr(plotter_host, "_USAGE_S", 0.0)
    monkeypatch.setattr(watcher, "_SCAN_S", 0.02)  # far more often than plotters are started
    scheduling = {"global_max_jobs": 2, "failure_limit": 3, "failure_pause_s": 0.2}
    bench = Bench.lay_out(tmp_path, tmp=2, scheduling=scheduling)
    bench.plan(log=K18, hold="Computing table 4")
    with running(bench):
        bench.until(lambda: [job.proven for job in ours(bench)] == [True, True], "two plot")
        killed, older = ours(bench)
        bench.plan(exit=1)
        os.kill(killed.pid, signal.SIGKILL)
        bench.until(lambda: bench.told("plotting-stopped"), "it stops")
        assert [job.pid for job in ours(bench)] == [older.pid], "the older one plots on"
        assert len(bench.stamps()) == 2 + 3
        bench.go()
        bench.until(lambda: "plot-done" in bench.told_of(older), "it ends well")
        assert bench.snapshot.failures.consecutive == 3, "which says nothing of those that came later"
        started = len(bench.stamps())
        bench.host.operator.unpause()
        bench.until(lambda: len(bench.stamps()) > started, "it goes on when told")


@pytest.mark.parametrize("case", ["missing", "not executable", "interpreter missing"])
def test_a_plotter_that_cannot_be_run_is_named_in_the_reason(tmp_path: Path, case: str) -> None:
    shebang = "/no/such/python" if case == "interpreter missing" else PLAIN
    bench = Bench.lay_out(tmp_path, shebang=shebang, scheduling={"failure_pause_s": 0.01})
    if case == "missing":
        bench.program.unlink()
    elif case == "not executable":
        bench.program.chmod(0o644)
    with running(bench):
        bench.until(lambda: bench.told("plotting-stopped"), "it stops")
        reason = bench.until(lambda: bench.waits().get("failures"), "it tells why")
        assert str(bench.program) in reason
        words = "Permission denied" if case == "not executable" else "No such file"
        assert words in reason


@pytest.mark.parametrize("logs", [True, False], ids=["plotters log at once", "plotters are silent"])
def test_two_managers_never_have_two_plots_in_a_tmp_that_takes_one(tmp_path: Path, logs: bool) -> None:
    limits = {"tmpdir_max_jobs": 1, "global_max_jobs": 4}
    one = Bench.lay_out(tmp_path, state="one", tmp=2, scheduling=limits)
    two = Bench.lay_out(tmp_path, state="two", tmp=2, scheduling=limits)
    one.plan(live_s=0.15, **({"log": K18} if logs else {"exit": 0}))
    with running(one), running(two):
        # Silent plotters fail; both managers shall go on for this test.
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline or len(one.stamps()) <= 8:
            one.host.operator.unpause()
            two.host.operator.unpause()
            time.sleep(0.05)
        for bench in (one, two):
            bench.host.operator.change(lambda state: state.pausing_after(0), "starts no more")
        one.until(lambda: len(one.stamps("end")) == len(one.stamps()), "the last ones end")
    for tmp in (one.tmp, one.farm.folder / "tmp" / "2"):
        noted = [(stamp["at"], stamp["what"]) for what in ("start", "end") for stamp in one.stamps(what)
                 if stamp["tmp"] == str(tmp)]  # fmt: skip
        running_now = 0
        for _, what in sorted(noted):
            running_now += 1 if what == "start" else -1
            assert running_now <= 1, "never two at a time"


def test_whoever_sees_that_a_plotter_is_gone_sees_its_failure_too(tmp_path: Path) -> None:
    """A decision between the two would start the next one without the pause."""
    bench = Bench.lay_out(tmp_path, scheduling={"failure_limit": 1})
    bench.plan(exit=1)
    with running(bench):
        bench.until(lambda: bench.told("plot-started"), "it starts")
        while (seen := bench.snapshot).jobs:
            pass
        assert seen.failures.consecutive == 1
