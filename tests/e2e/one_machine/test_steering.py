"""Pauses, drains and a plotman.yaml that changes, each said to a running farm by a process of its own."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import redis
import yaml

from common.config.broker_url import embedded_broker
from common.names import DRAIN, UNDRAIN, Keys, Role
from tests.support.farm import HOST, Farm
from tests.support.waiting import eventually


def test_what_is_paused_or_drained_takes_nothing_new_until_it_is_said_or_the_time_is_over(farm: Farm) -> None:
    farm.configure(scheduling={"global_max_jobs": 1})
    farm.allow(0)
    farm.up()
    tmp, dst, drives = (farm.folder / name for name in ("tmp", "dst", "drives"))

    # A tmp and a dst directory, and all of archiving; then one plot.
    said(farm, "drain", f"{HOST}:{tmp}/1", f"{HOST}:{dst}/2", "--until", "+2h", "--reason", "new cable")
    said(farm, "pause", "archiving", "--reason", "the network is needed")
    status = farm.run("status").stdout
    assert f"{tmp}/1 is drained: new cable (" in status, status
    assert "begins no more transfers: the network is needed (" in status
    said(farm, "pause", "plotting", "--after", "1")
    ended = eventually(lambda: farm.events("plot-done"), "the plot is made", 60)[0]
    eventually(lambda: farm.status_of(ended.task_id) == "SUCCESS", "its result is stored")
    assert Path(str(farm.result(ended.task_id)["result"]["tmp"])) == tmp / "2"
    plot = eventually(lambda: list(dst.glob("*/*.plot")), "it lies in dst")[0]
    assert plot.parent == dst / "1"
    reason = eventually(lambda: farm.waits().get("archiving paused"), "it says why it waits")
    assert reason.startswith("archiving is paused: the network is needed (")
    assert farm.waits()["paused"].startswith("as many plots as were asked for have been started")

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

    # The host as a whole, for its roles; by itself this ends.
    said(farm, "undrain", f"{HOST}:{tmp}/1", f"{HOST}:{dst}/2", f"{HOST}:{drives}/1")
    eventually(lambda: drained(farm) == set(), "nothing is drained")
    answer = said(farm, "drain", HOST, "--reason", "power cut")
    assert len(answer.splitlines()) == 2, "plotter and harvester"
    answer = said(farm, "unpause", "plotting")
    assert "but no plots start: it is drained: power cut" in answer
    assert {drive.word for drive in farm.harvester().drives} == {"draining"}
    soon = (datetime.now(UTC) + timedelta(seconds=10)).isoformat()
    with farm.client() as app:
        sent = {"host": HOST, "until": soon}
        app.send_task(DRAIN, kwargs=sent, queue=f"plotter.{HOST}")
        assert not farm.events("plot-started")[1:]
        eventually(lambda: farm.waits().get("paused", "").startswith("it is drained until "), "it is told")
        eventually(lambda: farm.events("plot-started")[1:], "when the time is over, a plot starts")
        assert datetime.now(UTC) >= datetime.fromisoformat(soon)
        # What is none of its own is refused, on the host.
        wrong = app.send_task(UNDRAIN, kwargs={"host": HOST, "dir": "/etc"}, queue=f"plotter.{HOST}")
        eventually(lambda: farm.status_of(str(wrong.id)) == "FAILURE", "it is refused")
    said(farm, "pause", "plotting")

    # All that are there, and a word about who is not.
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
    assert any(f"takes plots; lifted: {HOST}; still drained: {drive}" in answer for answer in answers)
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


def test_plotman_yaml_takes_effect_while_all_runs_and_a_bad_one_is_refused(farm: Farm) -> None:
    farm.configure(
        tmp=1, dst=1, drives=1, scheduling={"global_stagger_m": 600}, farm={"max_jobs": 0},
        harvester={"drives": [str(farm.folder / "drives" / "1")]},
    )  # fmt: skip
    farm.up()
    workers = farm.pids()
    eventually(lambda: farm.waits().get("farm max jobs"), "beat holds the farm's limit")

    # Beat, then the plotter: the first plot starts.
    edit(farm, "farm", max_jobs=2)
    eventually(lambda: farm.events("plot-started"), "beat follows")
    eventually(lambda: farm.waits().get("stagger"), "the next waits for the stagger")

    # A bad one: told, and the last good one stays.
    good = farm.config.read_text(encoding="utf-8")
    write(farm, good.replace("global_stagger_m", "global_staggr_m"))
    told = eventually(lambda: farm.events("config-refused"), "it is refused")[0].text
    assert "global_stagger_m" in told
    assert ":" in told
    status = eventually(lambda: one_line(farm, "is refused"), "status shows it")
    assert "plotman.yaml:" in status
    assert farm.plotter().global_stagger_s == 36_000
    assert len(farm.jobs()) <= 1

    # A worker that crashes meanwhile comes back by the last good one, and its plot goes on.
    first = farm.events("plot-started")[0].task_id
    farm.kill("plotter")
    eventually(lambda: farm.events("config-refused")[1:], "it is back, and tells of the errors")
    eventually(lambda: one_line(farm, "is refused"), "status shows them still")
    eventually(lambda: farm.status_of(first) == "SUCCESS", "its plot is made", 60)
    assert farm.plotter().global_stagger_s == 36_000
    workers = farm.pids()
    farm.config.unlink()
    eventually(lambda: any("does not exist" in line for line in farm.plotter().problems), "nor none at all")
    write(farm, good)
    eventually(lambda: not farm.plotter().problems, "a good one cures it")

    # Another tmp directory, another stagger, and no job or task is lost. The harvester's drives likewise.
    for name in ("tmp/2", "drives/2"):
        (farm.folder / name).mkdir()
    edit(farm, "directories", tmp=[str(farm.folder / "tmp" / number) for number in "12"])
    eventually(lambda: [tmp.state for tmp in farm.plotter().tmp_dirs] == ["ok", "ok"], "it is looked at")
    edit(farm, "harvester", drives=[str(farm.folder / "drives" / "2")], margin_bytes=2_000_000)
    eventually(
        lambda: [drive.path for drive in farm.harvester().drives] == [str(farm.folder / "drives" / "2")],
        "one drive for the other",
    )
    assert farm.harvester().margin_bytes == 2_000_000
    edit(farm, "scheduling", global_stagger_m=0, global_max_jobs=2)
    eventually(lambda: {job.tmp for job in farm.jobs()} == set(tmps(farm)), "both are plotted in", 30)

    # A tmp directory that is taken away under a running plot.
    ids = {job.task_id for job in farm.jobs()}
    edit(farm, "directories", tmp=tmps(farm)[:1])
    edit(farm, "scheduling", global_max_jobs=0)
    eventually(lambda: [tmp.path for tmp in farm.plotter().tmp_dirs] == tmps(farm)[:1], "it is gone")
    for task_id in ids:
        eventually(lambda id=task_id: farm.status_of(id) == "SUCCESS", "plots that ran are made", 60)
    eventually(lambda: not list(farm.folder.glob("dst/1/*.plot")), "and archived", 60)
    assert list(farm.folder.glob("drives/2/*.plot"))
    assert not farm.events("plot-failed")

    # What needs a restart is named, and holds as it was.
    edit(farm, "harvester", receiver_port=9999)
    eventually(lambda: one_line(farm, "harvester.receiver_port"), "it is named")
    edit(farm, "harvester", receiver_port=0)
    eventually(lambda: not one_line(farm, "harvester.receiver_port"), "and no more when it is as it was")

    # Hours for starting: shut now, by the clock on the wall.
    now = datetime.now().astimezone()
    opens = now + timedelta(hours=3)
    hours = f"{opens:%H:%M}-{opens + timedelta(hours=1):%H:%M}"
    edit(farm, "scheduling", windows=[hours], global_max_jobs=2)
    reason = eventually(lambda: farm.waits().get("windows"), "it waits for its hours")
    assert reason == f"outside scheduling.windows until {opens:%H:%M}"
    count = len(farm.events("plot-started"))
    time.sleep(1)  # nothing may happen now
    assert len(farm.events("plot-started")) == count
    edit(farm, "scheduling", windows=["00:00-24:00"])
    eventually(lambda: len(farm.events("plot-started")) > count, "in its hours it starts")
    assert farm.pids() == workers, "all in the same processes"


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


def one_line(farm: Farm, words: str) -> str:
    notes = json.loads(farm.run("status", "--json").stdout)["notes"]
    return next((note for note in notes if words in note), "")


def tmps(farm: Farm) -> list[str]:
    return [str(farm.folder / "tmp" / number) for number in "12"]


def edit(farm: Farm, section: str, **keys: Any) -> None:
    content = yaml.safe_load(farm.config.read_text(encoding="utf-8"))
    content[section] = content[section] | keys
    write(farm, yaml.safe_dump(content))


def write(farm: Farm, text: str) -> None:
    """As editors do: another file in the place of the first."""
    other = farm.config.with_suffix(".swp")
    other.write_text(text, encoding="utf-8")
    other.replace(farm.config)


def put_silent(farm: Farm, host: str) -> None:
    """A plotter that said something once."""
    board = farm.board()
    board.put_snapshot(Role.PLOTTER, farm.plotter().model_copy(update={"host": host}))
    address = embedded_broker(farm.state)
    assert address is not None
    with redis.Redis.from_url(address.url) as client:
        client.delete(Keys.alive(Role.PLOTTER, host))
