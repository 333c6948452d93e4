"""Redis' memory is full while a plot runs: each place names Redis, and later all continues."""

from __future__ import annotations

import json

import redis

from tests.support.farm import Farm
from tests.support.waiting import eventually


def test_a_full_redis_is_named_and_the_farm_continues_when_it_has_room(farm: Farm) -> None:
    farm.configure(tmp=1)
    farm.allow(1)
    farm.up()
    eventually(farm.jobs, "a plot runs", 60)
    with redis.Redis.from_url(farm.url) as client:
        client.config_set("maxmemory", 1)
        assert "Redis' memory is full, so that it refuses writes" in farm.run("status").stdout
        assert "Redis' memory is full, so that it refuses writes" in farm.run("why").stdout
        assert json.loads(farm.run("why", "--json").stdout)["redis"].startswith("Redis' memory is full")
        refused = farm.run("pause", "plotting")
        assert refused.returncode == 4, refused
        assert "refuses writes: its memory is full. Raise maxmemory" in refused.stderr
        eventually(lambda: list(farm.folder.glob("dst/*/*.plot")), "the plot is made", 60)
        former = farm.kill("plotter")
        eventually(lambda: farm.pids().get("plotter", former) != former, "another worker starts", 60)
        client.config_set("maxmemory", 0)
    eventually(farm.archived, "the plot is on its drive", 60)
    for file in (farm.state / "logs").glob("*.log"):
        before, traceback, text = file.read_text().partition("Traceback")
        assert not traceback, f"{file.name}: {before[-300:]}{traceback}{text[:5000]}"
