"""A plotman.yaml that changes while all workers run."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import yaml

from tests.support.farm import Farm
from tests.support.waiting import eventually


def test_changed_limits_and_directories_take_effect_in_the_running_processes(farm: Farm) -> None:
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

    assert farm.pids() == workers, "all in the same processes"


def test_a_bad_file_is_refused_and_the_last_good_one_stays_also_after_a_crash(farm: Farm) -> None:
    farm.configure(
        tmp=1, dst=1, drives=1, scheduling={"global_stagger_m": 600}, farm={"max_jobs": 0},
        harvester={"drives": [str(farm.folder / "drives" / "1")]},
    )  # fmt: skip
    farm.up()
    eventually(lambda: farm.waits().get("farm max jobs"), "beat holds the farm's limit")

    # Beat, then the plotter: the first plot starts.
    edit(farm, "farm", max_jobs=2)
    eventually(lambda: farm.events("plot-started"), "beat follows")
    eventually(lambda: farm.waits().get("stagger"), "the next waits for the stagger")

    # A bad one: reported, and the last good one stays.
    good = farm.config.read_text(encoding="utf-8")
    write(farm, good.replace("global_stagger_m", "global_staggr_m"))
    told = eventually(lambda: farm.events("config-refused"), "it is refused")[0].text
    assert "global_stagger_m" in told
    assert ":" in told
    status = eventually(lambda: one_line(farm, "is refused"), "status shows it")
    assert "plotman.yaml:" in status
    assert farm.plotter().global_stagger_s == 36_000
    assert len(farm.jobs()) <= 1

    # Operators control the farm meanwhile; each verb names the mistake.
    for words in (("pause", "plotting"), ("unpause", "plotting"), ("history",), ("cleanup",)):
        done = farm.run(*words)
        assert done.returncode == 0, done.stderr
        assert "global_staggr_m" in done.stderr
        assert "plotman config check" in done.stderr

    # A worker that crashes meanwhile comes back by the last good one, and its plot continues.
    first = farm.events("plot-started")[0].task_id
    farm.kill("plotter")
    eventually(lambda: farm.events("config-refused")[1:], "it is back, and tells of the errors")
    eventually(lambda: one_line(farm, "is refused"), "status shows them still")
    eventually(lambda: farm.status_of(first) == "SUCCESS", "its plot is made", 60)
    assert farm.plotter().global_stagger_s == 36_000
    farm.config.unlink()
    eventually(lambda: any("does not exist" in line for line in farm.plotter().problems), "nor none at all")
    write(farm, good)
    eventually(lambda: not farm.plotter().problems, "a good one cures it")


def test_hours_for_starting_take_effect(farm: Farm) -> None:
    farm.configure(
        tmp=1, dst=1, drives=1, scheduling={"global_stagger_m": 0, "global_max_jobs": 0},
        harvester={"drives": [str(farm.folder / "drives" / "1")]},
    )  # fmt: skip
    farm.up()

    # Hours for starting: shut now, by the clock on the wall.
    now = datetime.now().astimezone()
    opens = now + timedelta(hours=3)
    hours = f"{opens:%H:%M}-{opens + timedelta(hours=1):%H:%M}"
    edit(farm, "scheduling", windows=[hours], global_max_jobs=2)
    reason = eventually(lambda: farm.waits().get("windows"), "it waits for its hours")
    assert reason == f"outside scheduling.windows until {opens:%H:%M}"
    count = len(farm.events("plot-started"))
    farm.decided_again()
    assert len(farm.events("plot-started")) == count
    edit(farm, "scheduling", windows=["00:00-24:00"])
    eventually(lambda: len(farm.events("plot-started")) > count, "in its hours it starts")


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
