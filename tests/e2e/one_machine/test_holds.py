"""Pauses and drains, each ordered by a process of its own while the farm runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import redis

from common.config.broker_url import embedded_broker
from common.names import DRAIN, UNDRAIN, Keys, Role
from tests.support.farm import HOST, Farm
from tests.support.waiting import eventually


def test_pauses_and_drains_hold_also_after_killed_workers_until_they_are_lifted(farm: Farm) -> None:
    farm.configure(scheduling={"global_max_jobs": 1})
    farm.allow(0)
    farm.up()
    tmp, dst, drives = (farm.folder / name for name in ("tmp", "dst", "drives"))

    # A tmp and a dst directory, and all of archiving; then one plot.
    said(farm, "drain", f"{HOST}:{tmp}/1", f"{HOST}:{dst}/2", "--until", "+2h", "--reason", "new cable")
    said(farm, "pause", "archiving", "--reason", "the network is needed")
    status = farm.run("status").stdout
    assert f"{tmp}/1 is drained: new cable (" in status, status
    assert "archiving is paused: the network is needed (" in status
    said(farm, "pause", "plotting", "--after", "1")
    ended = eventually(lambda: farm.events("plot-done"), "the plot is made", 60)[0]
    eventually(lambda: farm.status_of(ended.task_id) == "SUCCESS", "its result is stored")
    assert Path(str(farm.result(ended.task_id)["result"]["tmp"])) == tmp / "2"
    plot = eventually(lambda: list(dst.glob("*/*.plot")), "it lies in dst")[0]
    assert plot.parent == dst / "1"
    reason = eventually(lambda: farm.waits().get("archiving paused"), "it says why it waits")
    assert reason.startswith("archiving is paused: the network is needed (")
    assert farm.waits()["paused"].startswith("paused: as many plots as were asked for have been started")

    # A drive; killed workers forget nothing.
    said(farm, "drain", f"{drives}/1", "--reason", "to be sold")
    for name in ("plotter", "harvester"):
        killed = farm.kill(name)
        eventually(lambda name=name, pid=killed: farm.pids().get(name, pid) != pid, f"{name} is back")
    eventually(lambda: drained(farm) == {str(tmp / "1"), str(dst / "2"), str(drives / "1")}, "all is known")
    words = {drive.path: drive.word for drive in farm.harvester().drives}
    assert words == {str(drives / "1"): "draining", str(drives / "2"): "active"}
    assert plot.exists()
    assert farm.plotter().archiving_paused is not None
    said(farm, "unpause", "archiving")
    eventually(lambda: [one.parent for one in farm.archived()] == [drives / "2"], "it goes to the other", 30)


def test_a_drained_host_starts_nothing_until_the_drain_expires(farm: Farm) -> None:
    farm.configure(scheduling={"global_max_jobs": 1})
    farm.allow(0)
    farm.up()
    answer = said(farm, "drain", HOST, "--reason", "power cut")
    assert len(answer.splitlines()) == 2, "plotter and harvester"
    answer = said(farm, "unpause", "plotting")
    assert "still starts no plots: the host is drained: power cut" in answer
    assert {drive.word for drive in farm.harvester().drives} == {"draining"}
    soon = (datetime.now(UTC) + timedelta(seconds=10)).isoformat()
    with farm.client() as app:
        app.send_task(DRAIN, kwargs={"host": HOST, "until": soon}, queue=f"plotter.{HOST}")
        eventually(lambda: farm.waits().get("paused", "").startswith("the host is drained until "), "wait")
        assert not farm.events("plot-started")
        eventually(lambda: farm.events("plot-started"), "a plot starts when the drain has expired")
        assert datetime.now(UTC) >= datetime.fromisoformat(soon)
        # The host itself refuses a directory that it does not have.
        wrong = app.send_task(UNDRAIN, kwargs={"host": HOST, "dir": "/etc"}, queue=f"plotter.{HOST}")
        eventually(lambda: farm.status_of(str(wrong.id)) == "FAILURE", "it is refused")


def test_undrain_lifts_what_it_names_and_lists_what_is_still_drained(farm: Farm) -> None:
    farm.configure(scheduling={"global_max_jobs": 1})
    farm.allow(0)
    farm.up()
    tmp, dst, drives = (farm.folder / name for name in ("tmp", "dst", "drives"))

    # All that are there, and a note about the others.
    put_silent(farm, "ghost")
    everybody = farm.run("drain", "all")
    assert everybody.returncode == 4
    assert "ghost" in everybody.stderr
    assert len(everybody.stdout.splitlines()) == 2

    # What was drained by itself stays so with its host, and is named; `undrain all` leaves nothing drained.
    one, two, drive = f"{tmp}/1", f"{dst}/2", f"{drives}/1"
    said(farm, "drain", f"{HOST}:{one}", f"{HOST}:{two}", f"{HOST}:{drive}")
    answers = said(farm, "undrain", HOST).splitlines()
    assert any(f"lifted: {HOST}; still drained: {two}, {one}" in answer for answer in answers), answers
    assert any(f"on its drives; lifted: {HOST}; still drained: {drive}" in answer for answer in answers)
    tmp_line = next(
        line for line in said(farm, "dirs").splitlines() if line.startswith(HOST) and "drained" in line
    )
    assert "--" in tmp_line
    farm.run("drain", HOST)
    lifted = farm.run("undrain", "all", "--json")
    assert lifted.returncode == 4, "the ghost does not answer"
    told = {tuple(one["lifted"]): one for one in json.loads(lifted.stdout)["answers"] if one["answer"]}
    assert set(told) == {(HOST, two, one), (HOST, drive)}
    assert f"lifted: {HOST}, {two}, {one}" in told[HOST, two, one]["answer"]
    assert all(one["drained"] == [] for one in told.values())
    assert drained(farm) == set()
    assert farm.plotter().drained is None
    assert "nothing was drained" in farm.run("undrain", "all").stdout
    said(farm, "drain", f"{HOST}:{one}", HOST)
    called = farm.celery("call", UNDRAIN, "--kwargs", json.dumps({"host": HOST, "everything": True}))
    task = called.stdout.strip()
    eventually(lambda: farm.status_of(task) == "SUCCESS", "the task is called by hand")
    assert farm.result(task)["result"]["lifted"] == [HOST, one]
    misspelt = farm.run("drain", f"{HOST}:{tmp}/11")
    assert misspelt.returncode == 5
    assert f"Did you mean {tmp}/1?" in misspelt.stderr
    assert farm.run("drain", "no:way").returncode == 2
    assert "Traceback" not in misspelt.stderr + everybody.stderr


def said(farm: Farm, *verb: str) -> str:
    done = farm.run(*verb)
    assert done.returncode == 0, done.stderr
    return done.stdout


def drained(farm: Farm) -> set[str]:
    plotter = farm.maybe_plotter()
    if plotter is None:
        return set()
    places: list[Any] = [*plotter.tmp_dirs, *plotter.dst_dirs, *farm.harvester().drives]
    return {place.path for place in places if place.drained is not None}


def put_silent(farm: Farm, host: str) -> None:
    """A plotter that wrote one event."""
    board = farm.board()
    board.put_snapshot(Role.PLOTTER, farm.plotter().model_copy(update={"host": host}))
    address = embedded_broker(farm.state)
    assert address is not None
    with redis.Redis.from_url(address.url) as client:
        client.delete(Keys.alive(Role.PLOTTER, host))
