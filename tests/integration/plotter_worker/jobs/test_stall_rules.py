"""Plotters that get no further, and what becomes of them. They may stand still for a second here."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from common.model.snapshot import Event, Job, RunStatus
from plotter_worker.host import plotter_host
from plotter_worker.jobs import process_tree
from plotter_worker.jobs.job import TrackedJob
from tests.support.bench import LOGS, Bench, running

A_SECOND = 1 / 60


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plotter_host, "_USAGE_S", 0.1)


def bench_with(folder: Path, action: str, **plan: object) -> Bench:
    scheduling = {"stall_action": action, "stall_minutes": A_SECOND, "tmpdir_max_jobs": 1}
    bench = Bench.lay_out(folder, scheduling=scheduling)
    bench.plan(**{"litter": 5, "live_s": 300, **plan})
    return bench


def silent_log(folder: Path) -> str:
    """A real log that ends within phase 1."""
    text = (LOGS / "chiapos-k18.log").read_text()
    (folder / "silent.log").write_text(text.partition("Computing table 4")[0])
    return str(folder / "silent")


def ours(bench: Bench) -> list[Job]:
    """Its jobs; on a machine with other tests' plotters there may be more."""
    return [job for job in bench.jobs if job.tmp == str(bench.tmp)]


def tracked(bench: Bench) -> TrackedJob:
    found = bench.host.jobs.get(ours(bench)[0].task_id)
    assert found is not None
    return found


def told(bench: Bench, kind: str) -> list[Event]:
    return [event for event in bench.told(kind) if str(bench.farm.folder) in event.text]


def litter(bench: Bench) -> list[Path]:
    return list(bench.tmp.glob("*.tmp"))


def test_a_plotter_that_falls_silent_is_told_of_once_killed_and_cleaned_up_and_plotting_goes_on(
    tmp_path: Path,
) -> None:
    bench = bench_with(tmp_path, "kill", log=silent_log(tmp_path))
    with running(bench):
        job = bench.until(lambda: ours(bench) and litter(bench) and ours(bench)[0], "it plots")
        bench.until(lambda: told(bench, "plot-stalled"), "it is told")
        bench.plan(log="chiapos-k18")
        event = bench.until(lambda: told(bench, "plot-killed"), "it is killed")[0]
        assert event.text.startswith(f"plot stopped in {bench.tmp} by scheduling.stall_action, ")
        killed = bench.host.jobs.get(job.task_id)
        assert killed is not None
        assert killed.outcome is not None
        assert killed.outcome.reason == "Stopped by scheduling.stall_action."
        bench.until(lambda: told(bench, "plot-done"), "the next one is made")
        assert not psutil.pid_exists(job.pid)
        assert not litter(bench)
        events = told(bench, "plot-stalled")
        assert len({event.task_id for event in events}) == len(events)
        assert events[0].text.startswith(f"stalled in {bench.tmp}: no line in its log, no processor time")


def test_a_plotter_that_waits_for_room_is_suspended_and_goes_on_when_a_person_says_so(tmp_path: Path) -> None:
    bench = bench_with(tmp_path, "suspend", log="chiapos-tmp-full")
    with running(bench):
        job = bench.until(lambda: [job for job in ours(bench) if job.stalled], "it says what it waits for")[0]
        assert job.stalled.endswith("Retrying in five minutes.")
        bench.until(lambda: ours(bench)[0].status is RunStatus.STOPPED, "it is suspended")
        assert bench.until(
            lambda: str(ours(bench)[0].stalled).startswith("suspended by scheduling"), "and why"
        )
        assert len(told(bench, "plot-stalled")) == 1
        # As `plotman resume` does.
        process_tree.resume(tracked(bench))
        bench.until(lambda: ours(bench)[0].status is not RunStatus.STOPPED, "it goes on")
        assert litter(bench)


@pytest.mark.parametrize("case", ["started by hand", "complete", "suspended"])
def test_a_plot_that_is_not_plotman_s_to_end_is_only_told_of(tmp_path: Path, case: str) -> None:
    log = "chiapos-dst-full" if case == "complete" else silent_log(tmp_path)
    bench = bench_with(tmp_path, "kill", log=log)
    if case == "started by hand":
        with (tmp_path / "by hand.log").open("wb") as output:
            bench.by_hand(output)
    with running(bench):
        job = bench.until(lambda: ours(bench) and litter(bench) and ours(bench)[0], "it plots")
        if case == "suspended":
            os.kill(job.pid, signal.SIGSTOP)
            looks = tracked(bench).usage
            bench.until(lambda: looks.status is RunStatus.STOPPED, "it is seen")
        else:
            bench.until(lambda: told(bench, "plot-stalled"), "it is told")
        standing = bench.host._stalls._activity[ours(bench)[0].task_id]
        begun_s = standing.last.at_s
        bench.until(
            lambda: bench.host._stalls._activity[ours(bench)[0].task_id].last.at_s > begun_s + 2,
            "looks enough for two stalls",
        )
        assert [one.pid for one in ours(bench)] == [job.pid]
        assert litter(bench)
        assert len(told(bench, "plot-stalled")) == (0 if case == "suspended" else 1)
        assert told(bench, "plot-killed") == []
