"""What went wrong with directories and drives on machines of plotman 0.5.3's users, and the outcome that
they would have wanted."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from common.model.snapshot import DirState
from plotter_worker.jobs import watcher
from tests.support.bench import Bench, running, small_drive

K18 = "chiapos-k18"


def test_a_missing_log_directory_is_made_also_when_it_goes_while_plots_run(tmp_path: Path) -> None:
    # The plot whose log goes before it was read counts as one that died at once.
    bench = Bench.lay_out(tmp_path, scheduling={"failure_pause_s": 0.01})
    bench.plan(log=K18)
    with running(bench):
        bench.until(lambda: bench.told("plot-done"), "a plot is made")
        shutil.rmtree(bench.farm.logs)
        done = len(bench.told("plot-done"))
        bench.until(lambda: len(bench.told("plot-done")) > done + 1, "plots go on")
        assert list(bench.farm.logs.iterdir())


def test_a_log_directory_that_is_a_file_stops_plotting_with_its_path_in_the_reason(tmp_path: Path) -> None:
    bench = Bench.lay_out(tmp_path, scheduling={"failure_pause_s": 0.01})
    bench.farm.logs.write_text("", encoding="utf-8")
    with running(bench):
        bench.until(lambda: bench.told("plotting-stopped"), "it stops")
        assert str(bench.farm.logs) in bench.until(lambda: bench.waits().get("failures"), "it tells")
        assert not bench.stamps()
        bench.farm.logs.unlink()
        bench.plan(log=K18)
        bench.host.operator.unpause()
        bench.until(lambda: bench.told("plot-done"), "it goes on when told")


def test_plots_go_to_the_dst_that_is_there_and_wait_when_there_is_none(tmp_path: Path) -> None:
    bench = Bench.lay_out(tmp_path, dst=2, scheduling={"tmpdir_max_jobs": 1})
    bench.plan(log=K18, live_s=0.1)
    gone, other = bench.dst, bench.farm.folder / "dst" / "2"
    gone.rmdir()
    with running(bench):
        bench.until(lambda: len(bench.told("plot-done")) >= 3, "plots are made")
        assert {stamp["dst"] for stamp in bench.stamps()} == {str(other)}
        other.rmdir()
        bench.until(lambda: "dst state" in bench.waits(), "it waits")
        assert "missing" in bench.waits()["dst state"]
        bench.until(lambda: not bench.jobs, "the last one has ended")
        started = len(bench.stamps())
        gone.mkdir()
        bench.host.directories.refresh()
        bench.until(lambda: len(bench.stamps()) > started, "it goes on")
        assert {stamp["dst"] for stamp in bench.stamps()[started:]} == {str(gone)}


def test_a_dst_without_room_is_never_chosen_beside_a_roomy_one(tmp_path: Path) -> None:
    bench = Bench.lay_out(tmp_path, dst=2)
    bench.plan(log=K18)
    with small_drive(bench.dst, "1m"), running(bench):
        bench.until(lambda: len(bench.stamps()) >= 8, "plots are made")
        assert {stamp["dst"] for stamp in bench.stamps()} == {str(bench.farm.folder / "dst" / "2")}


def test_without_room_nothing_starts_and_the_reason_has_both_numbers(tmp_path: Path) -> None:
    """tmp first; when that has room, dst."""
    bench = Bench.lay_out(tmp_path)
    bench.plan(log=K18)
    with small_drive(bench.tmp, "3m"), small_drive(bench.dst, "2m"), running(bench):
        reason = bench.until(lambda: bench.waits().get("tmp size"), "tmp is too small")
        needs = f"{bench.snapshot.recipe.tmp_bytes / 1e6:.0f}"
        assert "needs" in reason
        assert needs in reason
        assert "3.1 MB" in reason or "3 MB" in reason
        subprocess.run(["mount", "-o", "remount,size=900m", bench.tmp], check=True)
        bench.host.directories.refresh()
        reason = bench.until(lambda: bench.waits().get("dst size"), "dst is too small")
        assert "needs" in reason
        assert "2.1 MB" in reason or "2 MB" in reason
        assert not bench.stamps()
        subprocess.run(["mount", "-o", "remount,size=900m", bench.dst], check=True)
        bench.host.directories.refresh()
        bench.until(lambda: bench.told("plot-done"), "with room on both it plots")


def test_a_missing_tmp_gets_no_plots_and_is_named(tmp_path: Path) -> None:
    bench = Bench.lay_out(tmp_path, tmp=2)
    bench.plan(log=K18)
    bench.tmp.rmdir()
    with running(bench):
        bench.until(lambda: len(bench.told("plot-done")) >= 4, "the other one plots")
        assert {stamp["tmp"] for stamp in bench.stamps()} == {str(bench.farm.folder / "tmp" / "2")}
        assert bench.waits()["tmp state"] == "missing"


def test_a_state_directory_that_cannot_be_written_to_stops_no_running_plot_and_no_watching(
    tmp_path: Path,
) -> None:
    bench = Bench.lay_out(tmp_path)
    bench.plan(log=K18, hold="Computing table 3")
    with small_drive(bench.farm.state, "1m"), running(bench):
        job = bench.until(lambda: bench.jobs, "it plots")[0]
        subprocess.run(["mount", "-o", "remount,ro", bench.farm.state], check=True)
        bench.go()
        bench.until(lambda: bench.told("plot-done"), "its end is told")
        assert bench.told("plot-done")[0].task_id == job.task_id
        reason = bench.until(lambda: bench.waits().get("failures"), "no plot starts that is not remembered")
        assert "Read-only file system" in reason
        assert str(bench.farm.state) in reason
        assert len(bench.stamps()) == 1
        subprocess.run(["mount", "-o", "remount,rw", bench.farm.state], check=True)
        bench.host.operator.unpause()
        bench.until(lambda: len(bench.told("plot-done")) > 1, "when it can it goes on")


def test_a_tmp_that_goes_read_only_takes_no_plot(tmp_path: Path) -> None:
    bench = Bench.lay_out(tmp_path)
    bench.plan(log=K18)
    with small_drive(bench.tmp, "900m"):
        subprocess.run(["mount", "-o", "remount,ro", bench.tmp], check=True)
        with running(bench):
            bench.until(lambda: bench.snapshot.tmp_dirs[0].state is DirState.READ_ONLY, "it is seen")
            bench.until(lambda: "read-only" in bench.waits().get("tmp state", ""), "it is told")
            assert not bench.stamps()


def test_where_the_kernel_gives_no_more_inotify_plots_are_made_and_judged_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(**_: object) -> NoReturn:
        raise OSError(24, "Too many open files")  # as beyond fs.inotify.max_user_instances

    monkeypatch.setattr(watcher, "INotify", no_more)
    bench = Bench.lay_out(tmp_path)
    bench.plan(log=K18)
    with running(bench):
        bench.until(lambda: bench.told("plot-done"), "a plot is made")
        assert not bench.told("plot-failed")
