"""The main job on one machine: real plots under the rules, archived and verified."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from common.names import PLOT
from common.system.plotfile import expected_size_bytes, read_header
from tests.support.bench import small_drive
from tests.support.farm import HOST, Farm
from tests.support.held import plots_held
from tests.support.ports import free_port
from tests.support.sections import SMALL
from tests.support.waiting import eventually

K20 = SMALL | {"k": 20, "job_buffer": 400}
# What makes plots, and nothing that moves them.
MAKING = ("--only", "plotter", "--only", "beat")


def prove(chia: Path, plot: Path) -> bool:
    """Whether the plot gives valid proofs, asked of the chia library itself."""
    code = (
        "import sys, os, chiapos\n"
        "p, v, good, bad = chiapos.DiskProver(sys.argv[1]), chiapos.Verifier(), 0, 0\n"
        "for n in range(40):\n"
        "    c = bytes([n]) * 32\n"
        "    for i, q in enumerate(p.get_qualities_for_challenge(c)):\n"
        "        ok = v.validate_proof(p.get_id(), p.get_size(), c, p.get_full_proof(c, i)) == q\n"
        "        good, bad = good + ok, bad + (not ok)\n"
        "sys.exit(0 if good and not bad else 1)\n"
    )
    python = chia.with_name("python")
    return subprocess.run([python, "-c", code, plot], capture_output=True, check=False).returncode == 0


def test_plots_are_made_archived_and_proved_and_nothing_stays_behind(farm: Farm, chia: Path) -> None:
    told = farm.folder / "told"
    hook = {"command": ["sh", "-c", f'echo "$PLOTMAN_EVENT" >> {told}'], "events": ["plot-done", "archived"]}
    farm.configure(farm={"metrics_port": free_port()}, notifications={"targets": {"hook": hook}})
    farm.allow(4)
    farm.up()
    eventually(lambda: len(farm.archived()) == 4, "four plots on the drives", 120)
    eventually(lambda: not list(farm.folder.glob("dst/*/*")), "the sources are deleted")
    for plot in farm.archived():
        assert plot.stat().st_size == expected_size_bytes(read_header(plot))
        assert prove(chia, plot)
    assert not list(farm.folder.glob("tmp/*/*"))
    assert not list(farm.folder.glob("drives/*/.incoming/*.part"))
    eventually(lambda: not farm.jobs(), "no job is left")
    assert "as many plots as were asked for" in (farm.plotter().pause_reason or "")
    eventually(lambda: farm.events("plot-done")[3:], "all are told to be done")
    done = farm.events("plot-done")
    assert len(done) == 4
    for event in done:
        eventually(lambda id=event.task_id: farm.status_of(id) == "SUCCESS", "the result is stored")
        assert set(farm.result(event.task_id)["result"]["phase_times_s"]) == {"1", "2", "3", "4"}
    eventually(lambda: farm.events("archived")[3:], "each is told to be archived")
    assert len(farm.events("archived")) == 4, "each plot is archived once"
    with redis.Redis.from_url(farm.url) as client:
        assert len(client.keys("celery-task-meta-*")) == 12, "a result of each plot, transfer and admission"
    families = text_string_to_metric_families(farm.run("prometheus").stdout)
    metrics = {sample.name: sample.value for family in families for sample in family.samples}
    assert metrics["plotman_plots_made_total"] == metrics["plotman_plots_archived_total"] == 4
    assert metrics["plotman_archived_bytes_total"] == sum(plot.stat().st_size for plot in farm.archived())
    expected = sorted(["plot-done", "archived"] * 4)
    eventually(told.exists, "people are told")
    eventually(lambda: sorted(told.read_text().split()) == expected, "of all, once each")
    assert {"metrics", "notifier"} <= set(farm.pids())


def test_plots_started_by_hand_are_seen_within_two_seconds_count_and_are_archived(farm: Farm) -> None:
    farm.configure(tmp=1, dst=1, drives=1)
    farm.allow(0)
    farm.up()
    farm.logs.mkdir(exist_ok=True)
    plotter = farm.plot_by_hand(
        farm.folder / "tmp" / "1", farm.folder / "dst" / "1", farm.logs / "x.log", k=20
    )
    began_s = time.monotonic()
    job = eventually(lambda: [j for j in farm.jobs() if j.pid == plotter.pid], "it is seen")[0]
    took_s = [time.monotonic() - began_s]
    plotter.send_signal(signal.SIGSTOP)  # it shall not be over before all has been looked at
    assert not job.ours
    assert job.tmp == str(farm.folder / "tmp" / "1")
    status = json.loads(farm.run("status", "--json").stdout)
    assert [listed["pid"] for listed in status["jobs"]] == [plotter.pid]
    mute = farm.plot_by_hand(farm.folder / "tmp" / "1", farm.folder / "dst" / "1", None, k=20)
    began_s = time.monotonic()
    unknown = eventually(lambda: [j for j in farm.jobs() if j.pid == mute.pid], "one without a log too")
    took_s.append(time.monotonic() - began_s)
    assert min(took_s) < 2
    assert unknown[0].phase is None
    assert "?:?" in farm.run("status").stdout
    mute.kill()
    eventually(lambda: len(farm.jobs()) == 1, "its end is seen")
    eventually(lambda: farm.status_of(unknown[0].task_id) == "SUCCESS", "its task ends with it")
    assert "not known" in farm.result(unknown[0].task_id)["result"]["reason"]
    assert unknown[0].task_id not in {event.task_id for event in farm.events("plot-failed")}
    assert farm.run("unpause", "plotting").returncode == 0
    eventually(lambda: farm.waits().get("tmp max jobs"), "it counts for its tmp directory")
    assert not farm.events("plot-started")
    plotter.send_signal(signal.SIGCONT)
    eventually(farm.archived, "it is archived", 60)
    eventually(lambda: farm.status_of(job.task_id) == "SUCCESS", "it got a task of its own")


def test_a_plotter_that_dies_at_once_is_tried_three_times_and_no_more_until_told(farm: Farm) -> None:
    farm.configure(
        tmp=1,
        scheduling={"failure_pause_s": 0.5},
        plotting={"chiapos": {"executable": str(farm.folder / "chia"), "k": 18}},
    )
    program = farm.folder / "chia"
    program.write_text("#!/bin/sh\necho 'Error: no keys today'\nexit 1\n", encoding="utf-8")
    program.chmod(0o755)
    farm.up(*MAKING)
    eventually(lambda: farm.events("plotting-stopped"), "plotting stops loudly", 30)
    starts = [event.at for event in farm.events("plot-started")]
    assert len(starts) == 3
    first, second = ((later - earlier).total_seconds() for earlier, later in pairwise(starts))
    assert first >= 0.5
    assert second > first, "the pauses grow"
    status = farm.run("status").stdout
    assert "no keys today" in status
    assert f"plotman unpause plotting --host {HOST}" in status
    assert farm.run("unpause", "plotting", "--host", HOST).returncode == 0
    eventually(lambda: len(farm.events("plot-started")) > 3, "it tries again when told")


def test_a_failed_plot_ends_as_failure_with_the_last_lines_of_its_log(farm: Farm) -> None:
    farm.configure(tmp=1, plotting={"chiapos": {"executable": str(farm.chia), "k": 18, "n_buckets": 128}})
    farm.allow(1)
    farm.up(*MAKING)
    failed = eventually(lambda: farm.events("plot-failed"), "it fails", 60)[0]
    eventually(lambda: farm.status_of(failed.task_id) == "FAILURE", "the result is stored")
    assert "Stripe size too large" in str(farm.result(failed.task_id)["result"]["exc_message"])
    assert "Traceback" not in farm.run("status").stdout


def test_status_and_dirs_tell_of_running_jobs_and_room(farm: Farm) -> None:
    farm.configure()
    farm.allow(2)
    farm.up()
    plots_held(farm, 2)
    status = farm.run("status")
    assert status.returncode == 0
    assert "Plotting: 2 of " in status.stdout
    shown = json.loads(farm.run("dirs", "--json").stdout)
    assert len(shown["tmp"]) == 2
    assert all(tmp["free_bytes"] > 0 for tmp in shown["tmp"])
    assert len(shown["drives"]) == 2
    assert str(farm.folder / "drives" / "1") in farm.run("dirs").stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting small drives needs root")
def test_the_next_drive_is_taken_and_without_one_the_plot_stays_and_status_says_why(farm: Farm) -> None:
    farm.configure(tmp=1, dst=1, drives=2)
    full, small = (farm.folder / "drives" / number for number in "12")
    with small_drive(full, "1m"), small_drive(small, "6m"):  # a k18 plot takes 3.6 MB
        farm.allow(2)
        farm.up()
        eventually(lambda: [plot.parent for plot in farm.archived()] == [small], "one is archived", 60)
        eventually(lambda: len(farm.events("plot-done")) == 2, "another one is made", 60)
        reason = eventually(lambda: farm.waits().get("drives"), "it waits for a drive")
        stays = list(farm.folder.glob("dst/1/*.plot"))
        assert len(stays) == 1
        assert re.match(r"plot needs [34]\.\d MB", reason)  # k18 plots are of 3.9 to 4.2 MB
        assert "free drive" in reason
        assert reason.split(";")[0] in farm.run("status").stdout.replace("\n", " ")
        farm.decided_again()
        assert list(farm.folder.glob("dst/1/*.plot")) == stays
        subprocess.run(["mount", "-o", "remount,size=20m", full], check=True)
        eventually(lambda: list(full.glob("*.plot")), "with room it goes", 60)
        eventually(lambda: not list(farm.folder.glob("dst/1/*.plot")), "its source is deleted")
        farm.stop()


def test_orders_that_are_stale_wrong_or_come_twice_start_nothing(farm: Farm) -> None:
    farm.configure(tmp=2, dst=1, plotting={"chiapos": {"executable": str(farm.chia), **K20}},
                   scheduling={"tmpdir_max_jobs": 3, "global_max_jobs": 5})  # fmt: skip
    farm.allow(1)
    farm.up(*MAKING)
    job = eventually(lambda: [job for job in farm.jobs() if job.phase], "a plot runs")[0]
    started = farm.events("plot-started")
    tmp, token = str(farm.folder / "tmp" / "2"), farm.plotter().start_token
    incarnation, count = token.split(":")
    soon = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    twice, nobody = str(uuid4()), str(uuid4())
    wrong: dict[str, dict[str, Any]] = {
        "of an old token": {"tmp": tmp, "turn": f"{incarnation}:{int(count) - 1}", "expires_at": soon},
        "of a token to come": {"tmp": tmp, "turn": f"{incarnation}:{int(count) + 1}", "expires_at": soon},
        "of a time that is over": {"tmp": tmp, "turn": token, "expires_at": "2026-01-01T00:00:00Z"},
        "with unknown keys": {"tmp": tmp, "turn": token, "argv": ["rm"]},
        "with a tmp elsewhere": {"tmp": "/etc"},
        "with a dst elsewhere": {"tmp": tmp, "dst": "/etc"},
        "while it is paused": {"tmp": tmp, "turn": token},
        "of a newer kind": {"tmp": tmp, "version": 99, "magic": 1},
    }
    with farm.client() as app:
        queue = f"plotter.{HOST}"
        sent = {what: app.send_task(PLOT, kwargs={"host": HOST, **given}, queue=queue)
                for what, given in wrong.items()}  # fmt: skip
        elsewhere = app.send_task(PLOT, kwargs={"host": "another", "tmp": tmp}, queue=queue)
        # Twice the same message, and the notes by which a worker asks for tasks, late and for nobody.
        for _ in range(2):
            app.send_task(PLOT, kwargs={"host": HOST, "tmp": tmp}, queue=queue, task_id=twice)
        app.send_task(PLOT, kwargs={"host": HOST, "adopt": True}, queue=queue, task_id=job.task_id)
        app.send_task(PLOT, kwargs={"host": HOST, "adopt": True}, queue=queue, task_id=nobody)
        for what, result in [*sent.items(), ("of another host", elsewhere)]:
            task_id = str(result.id)
            eventually(lambda id=task_id: farm.status_of(id) == "FAILURE", f"an order {what} is refused")
            assert farm.result(task_id)["result"]["exc_type"] == "OrderRefused", what
        eventually(lambda: len(farm.jobs()) == 2, "of the two that are the same, one starts")
        assert {found.task_id for found in farm.jobs()} == {job.task_id, twice}
        told = eventually(lambda: farm.events("plot-started")[len(started) :], "its start is told")
        assert [event.task_id for event in told] == [twice]
        assert farm.status_of(job.task_id) == "STARTED"
        eventually(lambda: farm.status_of(twice) == "STARTED", "its task goes on")
        assert not farm.status_of(nobody) or farm.status_of(nobody) == "STARTED"
        # The task of which a second message came can still be stopped.
        for task_id in (twice, job.task_id):

            def stopped(task_id: str = task_id) -> bool:
                app.control.revoke(task_id, terminate=True)
                return task_id not in {found.task_id for found in farm.jobs()}

            eventually(stopped, f"{task_id} is stopped", 20, every_s=0.5)
    assert "Traceback" not in (farm.state / "logs" / "plotter.log").read_text(encoding="utf-8")
