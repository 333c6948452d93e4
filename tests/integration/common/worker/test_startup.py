"""The check at start, of real workers and a real server."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from common.model.snapshot import HarvesterSnapshot
from common.names import Role
from common.store import Board
from common.store.server import ask
from common.store.server_checks import FindingLevel
from common.worker.duplicate_host import neighbour
from common.worker.startup import StartupWatch
from tests.support.installed import celery, from_wheel
from tests.support.one_drive import one_drive
from tests.support.tiny import tiny
from tests.support.waiting import eventually

HOST = "checked"


@pytest.fixture
def environment(tmp_path: Path, broker_url: str) -> dict[str, str]:
    return one_drive(tmp_path, broker_url, HOST)


def command(*options: str) -> list[str]:
    return celery("worker", *options)


@pytest.mark.parametrize(
    ("options", "changes", "told"),
    [
        (("-n", f"harvester@{HOST}", "-Q", f"harvester.{HOST}", "-P", "threads"), {}, "Omit -P"),
        (("-n", "harvester@other", "-Q", "harvester.other"), {}, f"-n harvester@{HOST}"),
        (
            ("-n", f"harvester@{HOST}", "-Q", f"harvester.{HOST}"),
            {"CELERY_BROKER_URL": "redis://:secretword@127.0.0.1:1/0"},
            "Unset CELERY_BROKER_URL",
        ),
    ],
)
def test_a_worker_that_cannot_do_its_work_ends_with_one_line_and_an_exit_code(
    environment: dict[str, str], options: tuple[str, ...], changes: dict[str, str], told: str
) -> None:
    done = subprocess.run(
        command(*options), env=environment | changes, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 3
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "CRITICAL" in line]
    assert len(lines) == 1
    assert told in lines[0]
    assert "Traceback" not in done.stdout + done.stderr
    assert "secretword" not in lines[0]


@pytest.fixture
def careless(environment: dict[str, str], broker_url: str, tmp_path: Path) -> Iterator[Path]:
    """A harvester worker at a Redis that evicts; the log that it writes."""
    with redis.Redis.from_url(broker_url) as admin:
        admin.config_set("maxmemory-policy", "allkeys-lru")
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("-n", f"harvester@{HOST}", "-Q", f"harvester.{HOST}", "--prefetch-multiplier", "4"),
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    yield log
    process.terminate()
    process.wait(timeout=30)


def test_unsafe_settings_stand_in_the_log_the_snapshot_and_the_status(
    careless: Path, environment: dict[str, str], board: Board
) -> None:
    def told() -> tuple[str, ...]:
        snapshot = board.snapshots(Role.HARVESTER).get(HOST)
        return snapshot.problems if snapshot else ()

    for finding in ("maxmemory-policy allkeys-lru", "fetches messages ahead"):
        eventually(lambda finding=finding: finding in " ".join(told()), f"the snapshot tells: {finding}", 60)
    assert careless.read_text().count("maxmemory-policy allkeys-lru") == 1
    status = subprocess.run(
        from_wheel("plotman", "status"),
        env=environment | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "allkeys-lru" in status.stdout + status.stderr


def test_a_server_is_asked_without_any_right_to_its_configuration(broker_url: str) -> None:
    server = ask(broker_url)
    assert server.version is not None
    assert server.version >= (7,)
    assert server.eviction == "noeviction"
    assert server.persistent is True
    assert server.open_to_all is False
    assert abs(server.skew_s or 0) < 1


def test_a_server_without_password_is_found_open(broker_url: str) -> None:
    with redis.Redis.from_url(broker_url) as admin:
        admin.acl_setuser("default", enabled=True, nopass=True)
    assert ask(broker_url).open_to_all is True


OURS, THEIRS = "boot1 8:1", "boot1 8:2"


def publish(board: Board, mark: str) -> None:
    board.put_snapshot(
        Role.HARVESTER, HarvesterSnapshot(host=HOST, at=datetime.now(UTC), drives=()), mark=mark
    )


@pytest.mark.parametrize("mark", [None, OURS, "boot2 8:2"])
def test_no_worker_waits_for_one_before_it_or_on_another_machine(board: Board, mark: str | None) -> None:
    if mark is not None:
        publish(board, mark)
    began_s = time.monotonic()
    assert neighbour(board, Role.HARVESTER, HOST, OURS) is None
    assert time.monotonic() - began_s < 5


def test_a_worker_starts_beside_one_of_its_name_that_has_ended(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.worker.duplicate_host._RENEWED_S", 0.5)
    publish(board, THEIRS)
    assert neighbour(board, Role.HARVESTER, HOST, OURS) is None


def test_a_worker_does_not_start_beside_one_of_its_name_that_lives(board: Board) -> None:
    publish(board, THEIRS)
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(neighbour, board, Role.HARVESTER, HOST, OURS)
        eventually(lambda: publish(board, THEIRS) or asked.done(), "it is refused", 10, every_s=0.1)
    refusal = asked.result()
    assert refusal is not None
    assert refusal.severity is FindingLevel.FATAL
    assert refusal.what == f"Another plotman on this machine runs as harvester@{HOST}."


def test_a_folder_whose_drive_takes_no_writes_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr("common.worker.startup._HANGS_S", 0.1)
    monkeypatch.setattr(os, "utime", lambda _: answers.wait(30))
    watch = StartupWatch("redis://127.0.0.1:1/0", folders={"plotman's state": tmp_path})
    watch.check_folders()
    named = (
        f"The folder of plotman's state, {tmp_path}, does not answer. Check its drive: no new plots start."
    )
    assert watch.full == (named,)
    watch.check_folders()  # without another write
    assert watch.full == (named,)
    answers.set()
    eventually(lambda: watch.check_folders() or not watch.full, "it is named no more", 10)


def test_a_folder_that_is_read_only_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    watch = StartupWatch("redis://127.0.0.1:1/0", folders={"plotman's state": folder})
    with tiny(folder, "size=2m,ro"):
        watch.check_folders()
        assert watch.full == (
            f"The folder of plotman's state, {folder}, is read-only. "
            "Mount it for writing: no new plots start.",
        )
    watch.check_folders()
    assert watch.full == ()


def test_a_server_that_is_away_is_looked_at_later() -> None:
    watch = StartupWatch("redis://127.0.0.1:1/0")
    assert watch.check() is False
    assert watch.problems() == ()
