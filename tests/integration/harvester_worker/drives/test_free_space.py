"""What a harvester answers to somebody who calls its task by hand; with Redis reached by a unix socket."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from common.names import Role, queue
from common.store import Board
from plotman.supervisor import broker
from tests.support.installed import celery
from tests.support.waiting import eventually

HOST, PASSWORD = "drives", "s3cret"


@dataclass
class Machine:
    """A harvester with a drive, one that is not there, and one that is disabled; its worker's log."""

    folder: Path
    url: str
    log: Path

    def celery(self, *arguments: str, spelled: str) -> str:
        done = subprocess.run(
            celery(*arguments),
            env=self.environment(spelled),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def environment(self, spelled: str) -> dict[str, str]:
        """spelled: the broker's address as plotman.yaml has it."""
        settings = {
            "version": [2],
            "farm": {"host": HOST, "broker": spelled, "state": str(self.folder / "state"), "flower": False},
            "harvester": {
                "drives": [str(self.folder / name) for name in ("one", "gone", "two")],
                "disabled": [str(self.folder / "two")],
                "plain_folders": True,
                "proofs": 0,
                "receiver_port": 0,
            },
        }
        path = self.folder / f"{spelled.partition(':')[0]}.yaml"
        path.write_text(yaml.safe_dump(settings), encoding="utf-8")
        return os.environ | {"PLOTMAN_CONFIG": str(path)}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    socket = tmp_path / "redis.sock"
    conf = tmp_path / "redis.conf"
    conf.write_text(
        f"port 0\nunixsocket {socket}\nrequirepass {PASSWORD}\ndir {tmp_path}\nmaxmemory-policy noeviction\n"
    )
    made = Machine(tmp_path, f"unix://:{PASSWORD}@{socket}?db=2", tmp_path / "worker.log")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    server = subprocess.Popen([broker.binary(), conf], stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: broker.answers(made.url), "the broker answers")
        with made.log.open("wb") as output:
            names = ("-n", f"harvester@{HOST}", "-Q", f"harvester.{HOST}")
            worker = subprocess.Popen(
                celery("worker", *names),
                env=made.environment(made.url),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield made
        finally:
            worker.terminate()
            worker.wait(timeout=30)
    finally:
        server.terminate()
        server.wait(timeout=10)


def test_free_space_is_answered_to_whoever_calls_it_by_whichever_spelling_of_the_socket(
    machine: Machine,
) -> None:
    kombus = machine.url.replace("unix://", "redis+socket://").replace("db=", "virtual_host=")
    board = Board.connect(kombus)
    eventually(lambda: board.snapshots(Role.HARVESTER).get(HOST), "the harvester announces itself", 60)
    with redis.Redis.from_url(machine.url) as admin:
        admin.lpush(queue(Role.HARVESTER, HOST), "no JSON")  # our transport drops it, as it does over TCP
    asked_at = datetime.now(UTC)

    call = ("call", "harvester_worker.free_space", "--kwargs", f'{{"host": "{HOST}"}}')
    task_id = machine.celery(*call, spelled=kombus)
    answer: list[dict[str, Any]] = ast.literal_eval(machine.celery("result", task_id, spelled=kombus))

    one, gone, two = answer
    keys = {"path", "state", "since", "free_bytes", "total_bytes", "reserved_bytes", "in_flight", "plots"}
    assert set(one) == set(gone) == set(two) == keys
    status = os.statvfs(machine.folder)
    assert (one["path"], one["state"]) == (str(machine.folder / "one"), "active")
    assert abs(one["free_bytes"] - status.f_bavail * status.f_frsize) < 2e9  # others write there, too
    assert one["total_bytes"] == status.f_blocks * status.f_frsize
    assert (one["reserved_bytes"], one["in_flight"], one["plots"]) == (0, 0, 0)
    assert datetime.fromisoformat(one["since"]) <= asked_at
    assert (gone["state"], gone["plots"], gone["free_bytes"]) == ("missing", None, None)
    assert (two["state"], two["plots"], two["free_bytes"]) == ("disabled", None, None)
    log = machine.log.read_text("utf-8")
    assert "Traceback" not in log
    assert PASSWORD not in log
    assert re.search(r"dropped a message of \d+ bytes from queue \S+: it is not JSON", log)
