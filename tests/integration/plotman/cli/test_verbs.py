"""The verbs over single plots, on a farm of two plotters with real plots. Each runs as an operator runs it,
on the machine that the plot is not made on."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from common import names
from common.config.broker_url import embedded_broker
from common.model.snapshot import Job, RunStatus
from common.names import Keys, Role, queue
from plotman.supervisor.broker import answers
from tests.support.farm import Farm, plotters_of
from tests.support.installed import from_wheel
from tests.support.lacking import leave_others_alone
from tests.support.waiting import eventually

# Slow on purpose: a plot outlives the test that looks at it.
SLOW = {"k": 24, "n_threads": 1, "n_buckets": 128, "job_buffer": 100, "stripes": 2000}


class Pair:
    """left has the broker and beat; right is a plotter of the same farm. Commands are typed on right."""

    def __init__(self, folder: Path, chia: Path, chia_root: Path) -> None:
        self.left, self.right = (Farm(folder / name, chia, chia_root) for name in ("left", "right"))
        # Three plots without end leave the cores to the verbs that are looked at.
        gentle = folder / "chia"
        gentle.write_text(f'#!/bin/sh\nexec nice -n 15 "{chia}" "$@"\n', encoding="utf-8")
        gentle.chmod(0o755)
        plotting = {"chiapos": {"executable": str(gentle), **SLOW}}
        none: dict[str, Any] = {"harvester": None, "archiving": None}
        self.left.folder.mkdir()
        self.right.folder.mkdir()
        self.left.configure(farm={"host": "left"}, plotting=plotting, **none)
        self.left.allow(2)
        self.left.up(wait=False)
        broker: Any = eventually(lambda: embedded_broker(self.left.state), "the broker's address", 30)
        eventually(lambda: answers(broker.url), "the broker answers", 30)
        far = {"host": "right", "broker": broker.url, "scheduler": False}
        self.right.configure(tmp=1, dst=1, farm=far, plotting=plotting, **none)
        self.right.allow(1)
        self.right.up(wait=False)

    def jobs(self, host: str) -> dict[str, Job]:
        """Plot id -> job, of the jobs of this pair that have an id."""
        farm, snapshot = getattr(self, host), self.left.board().snapshots(Role.PLOTTER).get(host)
        found = [job for job in (snapshot.jobs if snapshot else ()) if farm.holds(job)]
        return {job.plot_id: job for job in found if job.plot_id}

    def type(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.right.run(*words)

    def stop(self) -> None:
        for farm in (self.right, self.left):
            farm.stop()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, chia: Path, chia_root: Path) -> Iterator[Pair]:
    leave_others_alone()
    made = Pair(tmp_path_factory.mktemp("verbs"), chia, chia_root)
    try:
        eventually(lambda: len(made.jobs("left")) == 2 and made.jobs("right"), "three plots run", 150)
        yield made
    finally:
        made.stop()


def files_in(job: Job) -> set[str]:
    assert job.tmp is not None
    assert job.dst is not None
    return {name for folder in (job.tmp, job.dst) for name in os.listdir(folder) if str(job.plot_id) in name}  # noqa: PTH208


def test_details_files_and_log_of_a_plot_come_from_another_machine_by_the_start_of_its_id(pair: Pair) -> None:
    plot_id, job = next(iter(pair.jobs("left").items()))
    shown = json.loads(pair.type("details", plot_id[:6], "--json").stdout)["plots"][0]
    assert (shown["host"], shown["plot_id"], shown["pid"]) == ("left", plot_id, job.pid)
    assert shown["argv"][1:3] == ["plotters", "chiapos"]
    assert [process["pid"] for process in shown["processes"]] == [job.pid]
    people = pair.type("details", f"left:{job.pid}").stdout
    assert plot_id in people
    assert "started by  plotman" in people

    def listing() -> Any:
        files = json.loads(pair.type("files", plot_id[:6], "--json").stdout)["plots"][0]["files"]
        return files if any(file["allocated_bytes"] for file in files) else None

    listed = eventually(listing, "it has files, with something in them")
    assert {Path(file["path"]).parent for file in listed} <= {Path(str(job.tmp)), Path(str(job.dst))}
    assert all(plot_id in file["path"] for file in listed)
    text = pair.type("files", plot_id[:6])
    assert str(job.tmp) in text.stdout
    assert "files," in text.stderr

    log = Path(str(job.log)).read_text(encoding="utf-8")
    shown_log = pair.type("logs", plot_id[:6])
    assert shown_log.returncode == 0
    assert shown_log.stdout.startswith(log[:2000])
    last = pair.type("logs", plot_id[:6], "-n", "2").stdout
    assert len(last.splitlines()) >= 2
    assert last.splitlines()[0] in Path(str(job.log)).read_text(encoding="utf-8").splitlines()


def test_the_last_lines_of_a_log_behind_an_offset_say_what_they_leave_out(pair: Pair) -> None:
    job = next(iter(pair.jobs("left").values()))
    eventually(lambda: len(Path(str(job.log)).read_bytes().splitlines()) > 5, "the log has lines")
    asked = {"host": "left", "plot": job.task_id, "offset_bytes": 7, "lines": 2}
    client = pair.left.client()
    answer = client.send_task(names.LOG, kwargs=asked, queue=queue(Role.PLOTTER, "left")).get(timeout=30)
    end = answer["offset_bytes"]
    rest = Path(str(job.log)).read_bytes()[7:end]
    assert answer["skipped_bytes"] > 0
    assert answer["text"] == rest[answer["skipped_bytes"] :].decode()
    assert len(answer["text"].splitlines()) in (1, 2)  # a line that is being written is not answered


def test_what_names_no_plot_or_host_changes_nothing_and_says_where_to_look(pair: Pair) -> None:
    plot_id = next(iter(pair.jobs("left")))
    wrong = plot_id[:5] + ("0" if plot_id[5] != "0" else "1")
    for verb in ("details", "kill", "logs"):
        answer = pair.type(verb, wrong)
        assert answer.returncode == 5, verb
        assert len(answer.stderr.splitlines()) == 1, answer.stderr
        assert f"Nearest: {plot_id[:8]} on left" in answer.stderr
    answer = pair.type("suspend", "all", "--host", "nowhere")
    assert (answer.returncode, "Plotters: left, right." in answer.stderr) == (5, True)
    for verb in ("status", "dsched", "history", "cleanup"):
        answer = pair.type(verb, "--host", "nowhere")
        assert (answer.returncode, "left, right" in answer.stderr) == (5, True), verb
    for options in ((), ("--host", "left")):
        answer = pair.type("cleanup", "--tmp", "/nowhere", *options)
        assert (answer.returncode, "/nowhere is no tmp or dst directory" in answer.stderr) == (5, True)
    for verb in ("status", "dsched"):
        assert "left" not in pair.type(verb, "--host", "right").stdout.replace(str(pair.left.folder), "")
    # The host itself refuses as well what it does not know.
    result = _call(pair, "plotter_worker.suspend", host="left", plot="zz")
    assert result["exc_type"] == "NoSuchPlot"
    assert {job.status for job in pair.jobs("left").values()}.isdisjoint({RunStatus.STOPPED})


def test_a_suspended_plot_stands_still_shows_it_and_stays_so_over_a_restart_of_its_worker(pair: Pair) -> None:
    plot_id, job = next(iter(pair.jobs("left").items()))
    answer = pair.type("suspend", plot_id[:8])
    assert (answer.returncode, answer.stdout) == (
        0,
        f"plot {plot_id[:8]} on left in {job.tmp} is suspended\n",
    )
    eventually(lambda: pair.jobs("left")[plot_id].status is RunStatus.STOPPED, "status tells it")
    assert "STP" in pair.type("status").stdout
    process = psutil.Process(job.pid)
    before = process.cpu_times()
    pair.left.kill("plotter")
    eventually(lambda: "started again" in (pair.left.folder / "up.log").read_text(), "its worker is back", 30)
    eventually(lambda: pair.left.status_of(job.task_id) == "STARTED", "its task is taken up")
    assert process.status() == psutil.STATUS_STOPPED
    assert process.cpu_times() == before
    shown: Any = eventually(lambda: pair.jobs("left").get(plot_id), "it is on the board again")
    assert (shown.status, shown.stalled) == (RunStatus.STOPPED, None)
    assert pair.type("resume", "all", "--host", "left", "--tmp", str(job.tmp)).returncode == 0
    eventually(lambda: process.cpu_times().user > before.user, "it plots on")
    again = pair.type("resume", "all", "--host", "left", "--tmp", str(job.tmp))
    assert (again.returncode, "was not suspended" in again.stdout) == (0, True)
    kinds = [event.kind for event in pair.left.events("plot-suspended", "plot-resumed")]
    assert kinds == ["plot-suspended", "plot-resumed"]


def test_a_log_is_followed_live_until_the_plot_is_killed_and_read_after_that(pair: Pair) -> None:
    plot_id, job = next(iter(pair.jobs("right").items()))
    with subprocess.Popen(
        from_wheel("plotman", "logs", "-f", plot_id[:8]),
        env=pair.left.environment, stdout=subprocess.PIPE, text=True,
    ) as reader:  # fmt: skip
        assert reader.stdout is not None
        assert f"ID: {plot_id}\n" in [reader.stdout.readline() for _ in range(10)]
        assert pair.type("suspend", plot_id[:8]).returncode == 0  # nothing is written from now on
        eventually(lambda: pair.jobs("right")[plot_id].status is RunStatus.STOPPED, "it is suspended")
        used = psutil.Process(reader.pid).cpu_times()
        time.sleep(3)
        idle = psutil.Process(reader.pid).cpu_times()
        assert idle.user + idle.system - used.user - used.system < 0.3
        killed = pair.left.run("kill", "--force", plot_id[:8])
        assert killed.returncode == 0, killed.stderr
        read = reader.stdout.read()
        assert reader.wait(20) == 0
    assert (read.splitlines() or [""])[-1] == Path(str(job.log)).read_text(encoding="utf-8").splitlines()[-1]
    assert "freed" in killed.stdout
    assert not psutil.pid_exists(job.pid) or psutil.Process(job.pid).status() == psutil.STATUS_ZOMBIE
    assert files_in(job) == set()
    ended = pair.left.run("logs", plot_id[:8], "-n", "1")
    assert (ended.returncode, ended.stdout.strip()) == (0, read.splitlines()[-1].strip())
    eventually(lambda: pair.left.status_of(job.task_id) == "REVOKED", "its task is revoked")


def test_kill_shows_what_it_would_delete_and_a_no_leaves_the_plot_as_it_was(pair: Pair) -> None:
    plot_id, job = next(iter(pair.jobs("left").items()))
    unasked = pair.type("kill", plot_id[:8])
    assert unasked.returncode == 2
    assert "--force" in unasked.stderr
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        from_wheel("plotman", "kill", plot_id[:8]),
        env=pair.right.environment, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as asking:  # fmt: skip
        os.write(ours, b"n\n")
        _, asked = asking.communicate(timeout=30)
    os.close(ours)
    os.close(theirs)
    assert asking.returncode == 1
    assert f"plot {plot_id[:8]} on left" in asked
    assert "to be deleted" in asked
    assert "Nothing was done." in asked
    assert psutil.Process(job.pid).status() != psutil.STATUS_STOPPED
    assert files_in(job)


def test_kill_takes_exactly_one_plots_processes_and_files_by_verb_by_task_and_if_started_by_hand(
    pair: Pair,
) -> None:
    tmp, dst = pair.left.folder / "tmp" / "1", pair.left.folder / "dst" / "1"
    by_hand = pair.left.plot_by_hand(tmp, dst, pair.left.folder / "hand.log", k=21)
    found = eventually(
        lambda: [job for job in pair.jobs("left").values() if job.pid == by_hand.pid], "it is found"
    )
    other = {plot_id: files_in(job) for plot_id, job in pair.jobs("left").items() if job.pid != by_hand.pid}
    said = pair.type("kill", f"left:{by_hand.pid}", "--yes", "--json")
    assert said.returncode == 0, said.stderr
    answer = json.loads(said.stdout)["plots"][0]
    assert (answer["host"], answer["left"], answer["finished"]) == ("left", [], [])
    assert by_hand.wait(10) != 0
    assert files_in(found[0]) == set()
    assert all(files_in(pair.jobs("left")[plot_id]) for plot_id in other)

    plot_id, job = next(iter(pair.jobs("left").items()))
    result = _call(pair, "plotter_worker.kill", host="left", plot=plot_id[:8])
    assert result["plot_id"] == plot_id
    assert result["freed_bytes"] > 0
    eventually(lambda: pair.left.status_of(job.task_id) == "REVOKED", "its task was revoked")
    eventually(lambda: plot_id not in pair.jobs("left"), "it is gone from the board")
    assert len(pair.jobs("left")) == 1
    eventually(lambda: len(pair.left.events("plot-killed")) == 3, "it is told of each")
    killed = {event.task_id for event in pair.left.events("plot-killed")}
    # Plotters that other tests start by hand may be seen here as well, and fail.
    assert killed.isdisjoint({event.task_id for event in pair.left.events("plot-failed")})


def test_a_host_that_is_silent_is_named_and_nobody_waits_for_it(pair: Pair) -> None:
    plot_id, job = next(iter(pair.jobs("left").items()))
    pair.left.kill("plotter", signal.SIGSTOP)
    with redis.Redis.from_url(embedded_broker(pair.left.state).url) as client:  # type: ignore[union-attr]
        client.delete(Keys.alive(Role.PLOTTER, "left"))
    began = time.monotonic()
    answer = pair.type("suspend", plot_id[:8])
    assert (answer.returncode, "that host has been silent for" in answer.stderr) == (4, True), answer.stderr
    everything = pair.type("suspend", "all", "--tmp", str(job.tmp))  # nobody's plot but ours
    assert everything.returncode == 5
    assert "left is silent and left out" in everything.stderr
    assert time.monotonic() - began < 10
    pair.left.kill("plotter", signal.SIGCONT)
    assert psutil.Process(job.pid).status() != psutil.STATUS_STOPPED
    assert [process.pid for process in plotters_of(pair.left.state)] == [job.pid]


def _call(pair: Pair, task: str, **kwargs: Any) -> Any:
    """`celery call`, and its result."""
    said = pair.right.celery("call", task, "--kwargs", json.dumps(kwargs))
    task_id = said.stdout.strip()
    done: Callable[[], bool] = lambda: pair.left.status_of(task_id) in ("SUCCESS", "FAILURE")  # noqa: E731
    eventually(done, f"{task} answers", 30)
    return pair.left.result(task_id)["result"]
