"""The farm's history on one machine: whole, each end once, whether processes are killed or Redis is wiped."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import redis

from common.config.broker_url import embedded_broker
from common.errors import ExitCode, OrderRefused
from common.model.snapshot import ArchiverSnapshot
from common.names import HARVESTER_HISTORY, PAUSE, PLOTTER_HISTORY, Keys, Role
from tests.support.farm import HOST, Farm
from tests.support.waiting import eventually


def ask(farm: Farm, kind: str, **order: Any) -> dict[str, Any]:
    """A page, as the host's task answers it."""
    task, role = (HARVESTER_HISTORY, "harvester") if kind == "landings" else (PLOTTER_HISTORY, "plotter")
    sent = farm.client().send_task(task, kwargs={"host": HOST, "kind": kind, **order}, queue=f"{role}.{HOST}")
    answer: dict[str, Any] = sent.get(10)
    return answer


def rows_of(farm: Farm, kind: str = "plots", count: int = 0, **order: Any) -> list[dict[str, Any]]:
    """What is kept, once there is so much; without plots that others make on this machine meanwhile."""

    def enough() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = ask(farm, kind, **order)["rows"]
        rows = [row for row in found if kind != "plots" or row["ordered_at"]]
        return rows if len(rows) >= count else None

    return eventually(enough, f"{count} {kind} are kept") or []


def client_of(farm: Farm) -> redis.Redis:
    address = embedded_broker(farm.state)
    assert address is not None
    return redis.Redis.from_url(address.url)


def wipe(farm: Farm) -> None:
    with client_of(farm) as client:
        client.flushall()


def archiver(farm: Farm) -> ArchiverSnapshot | None:
    found: ArchiverSnapshot | None = farm.board().snapshots(Role.ARCHIVER).get(HOST)
    return found


@pytest.mark.timeout(400)
def test_plots_and_transfers_are_kept_once_through_kills_restarts_and_an_empty_redis(farm: Farm) -> None:
    farm.configure(tmp=1, dst=1, drives=1, scheduling={"global_max_jobs": 1})
    farm.allow(2)
    farm.up()
    eventually(lambda: len(farm.archived()) == 2, "two plots on the drive", 120)
    eventually(lambda: not list(farm.folder.glob("dst/*/*")), "the sources are deleted")
    first = rows_of(farm, count=2)
    rows_of(farm, "transfers", count=2)

    # The worker is killed while a plot is made that it then sees end only by its log.
    farm.client().send_task(PAUSE, kwargs={"host": HOST, "after": 1}, queue=f"plotter.{HOST}")
    job = eventually(lambda: next(iter(farm.jobs()), None), "the third plot runs")
    farm.kill("plotter", signal.SIGKILL)
    farm.kill("harvester", signal.SIGKILL)
    wipe(farm)
    eventually(lambda: len(farm.archived()) == 3, "the third is archived", 120)
    eventually(lambda: not list(farm.folder.glob("dst/*/*")), "the sources are deleted")
    rows = rows_of(farm, count=3)
    assert rows[1:] == first
    assert rows[0]["task_id"] == job.task_id

    # One more is ended by an operator.
    farm.client().send_task(PAUSE, kwargs={"host": HOST, "after": 1}, queue=f"plotter.{HOST}")
    job = eventually(lambda: next(iter(farm.jobs()), None), "the fourth plot runs")
    os.kill(job.pid, signal.SIGKILL)
    assert len(rows_of(farm, count=4)) == 4
    (failed,) = rows_of(farm, failed=True)
    assert (failed["end"], failed["task_id"], failed["path"]) == ("failed", job.task_id, None)
    assert "SIGKILL" in failed["reason"]

    _made_rows_are_complete(farm, rows)
    _transfers_are_complete(farm)
    _tables_and_exports_agree(farm, rows)
    _tasks_answer_in_pages(farm)
    _a_silent_host_is_named_and_the_rest_is_shown(farm, rows)
    for said in (farm.plotter(), eventually(lambda: archiver(farm), "the archiver is on the board")):
        assert said.tally is not None
        assert (said.tally.day_count, sum(said.tally.hours_count)) == (3, 3)
        assert said.tally.week_bytes == said.tally.day_bytes


def _made_rows_are_complete(farm: Farm, rows: list[dict[str, Any]]) -> None:
    assert len({row["plot_id"] for row in rows}) == 3
    for row in rows:
        assert (row["end"], row["plotter"], row["k"], row["host"]) == ("done", "chiapos", 18, HOST)
        assert (row["threads"], row["buckets"], row["buffer_mib"]) == (2, 16, 200)
        assert (row["tmp"], row["dst"]) == (str(farm.folder / "tmp/1"), str(farm.folder / "dst/1"))
        assert row["ordered_at"] <= row["started_at"] < row["ended_at"]
        assert all(row[f"phase{phase}_s"] > 0 for phase in (1, 2, 3, 4))
        assert row["total_s"] > 0
        assert Path(row["log"]).exists()
    for row in rows[1:]:
        assert row["size_bytes"] == (farm.folder / "drives/1" / Path(row["path"]).name).stat().st_size


def _transfers_are_complete(farm: Farm) -> None:
    transfers = rows_of(farm, "transfers", count=3)
    assert len(transfers) == 3
    for row in transfers:
        assert (row["end"], row["harvester"], row["drive"]) == (
            "archived",
            HOST,
            str(farm.folder / "drives/1"),
        )
        assert row["size_bytes"] == Path(row["landed"]).stat().st_size
        assert "proofs" in row["verified"] or "header" in row["verified"]
        assert row["started_at"] < row["ended_at"]
        assert row["transfer_s"] > 0 and row["admit_s"] > 0 and row["attempts"] >= 1
        assert row["sent_bytes"] > 0 and row["rate_bytes_s"] > 0
    landings = rows_of(farm, "landings")
    assert {row["path"] for row in landings} == {row["landed"] for row in transfers}
    assert {row["end"] for row in landings} == {"landed"} and len(landings) == 3


def _tables_and_exports_agree(farm: Farm, rows: list[dict[str, Any]]) -> None:
    table = farm.run("history").stdout
    assert all(row["plot_id"][:8] in table for row in rows)
    told = json.loads(farm.run("history", "--json", "--transfers", "--since", "1d", "-n", "2").stdout)
    assert told["rows"] == rows_of(farm, "transfers", limit=2) and told["missing"] == []
    exported = list(csv.DictReader(io.StringIO(farm.run("export").stdout)))
    assert [row["Plot ID"] for row in exported] == [row["plot_id"] for row in reversed(rows)]
    logs = list(csv.DictReader(io.StringIO(farm.run("export", f"{farm.logs}/*.plot.log").stdout)))
    assert {row["Plot ID"] for row in logs} == {row["Plot ID"] for row in exported}
    analysis = json.loads(farm.run("analyze", "--json", "--by", "host").stdout)
    assert [each["plots"] for each in analysis["slices"]] == [3]
    summary = json.loads(farm.run("history", "--summary", "--json").stdout)
    assert (summary["made"]["day_count"], summary["archived"]["day_count"]) == (3, 3)
    assert summary["drives"]["why_unknown"] == "plots were archived for less than an hour"


def _a_silent_host_is_named_and_the_rest_is_shown(farm: Farm, rows: list[dict[str, Any]]) -> None:
    farm.board().put_snapshot(Role.PLOTTER, farm.plotter().model_copy(update={"host": "gone"}))
    with client_of(farm) as client:
        client.delete(Keys.alive(Role.PLOTTER, "gone"))
    told = farm.run("history")
    assert told.returncode == 0
    assert "gone is missing: plotter gone is silent" in told.stderr
    assert rows[0]["plot_id"][:8] in told.stdout
    alone = farm.run("history", "--host", "gone")
    assert alone.returncode == ExitCode.UNREACHABLE
    assert "plotter gone is silent" in alone.stderr
    assert farm.run("history", "--host", "nobody").returncode == ExitCode.NOTHING


def _tasks_answer_in_pages(farm: Farm) -> None:
    page = ask(farm, "plots", limit=3)
    rest = ask(farm, "plots", after=page["next"])
    assert len(page["rows"]) == 3 and rest["next"] is None
    assert page["rows"] + rest["rows"] == ask(farm, "plots")["rows"]
    with pytest.raises(OrderRefused, match="is not a place in the history"):
        ask(farm, "plots", after="x")
