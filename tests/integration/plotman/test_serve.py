"""A worker as `plotman up` starts it, without Celery's command line: it starts, refuses and restarts as one
that was started by that."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from celery import Celery

from common.names import Role
from common.store import Board
from tests.support.installed import from_wheel, python
from tests.support.one_drive import one_drive
from tests.support.sections import PLOTTER
from tests.support.waiting import eventually

HOST = "served"


@pytest.fixture
def environment(tmp_path: Path, broker_url: str) -> dict[str, str]:
    return one_drive(tmp_path, broker_url, HOST)


def command(*words: str) -> list[str]:
    return from_wheel("plotman.serve", *words)


@pytest.fixture
def worker(environment: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (tmp_path / "worker.log").open("wb") as output:
        process = subprocess.Popen(
            command(f"harvester@{HOST}"), env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    yield process
    process.terminate()
    process.wait(timeout=30)


def test_a_hangup_starts_the_worker_anew_and_sigterm_ends_it_well(
    worker: subprocess.Popen[bytes], board: Board, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    eventually(lambda: "ready" in log.read_text(), "it is up")
    worker.send_signal(signal.SIGHUP)
    eventually(lambda: log.read_text().count(f"harvester@{HOST} ready") == 2, "it is up again")
    eventually(lambda: HOST in board.snapshots(Role.HARVESTER), "it tells of itself")
    worker.terminate()
    assert worker.wait(30) == 0
    assert "Traceback" not in log.read_text()
    assert board.snapshots(Role.HARVESTER) == {}, "nothing is ordered there any more"
    assert board.last_words(Role.HARVESTER)[HOST][0].stopped


def test_an_archiver_sends_as_many_plots_at_a_time_as_plotman_yaml_says(
    tmp_path: Path, broker_url: str, board: Board
) -> None:
    (tmp_path / "tmp").mkdir()
    settings = PLOTTER | {
        "farm": {"host": HOST, "broker": broker_url, "state": str(tmp_path / "state")},
        "directories": {"tmp": [str(tmp_path / "tmp")]},
        "archiving": {"target": "harvester", "concurrency": 3},
    }
    config = tmp_path / "plotman.yaml"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    environment = os.environ | {"PLOTMAN_CONFIG": str(config)}
    with subprocess.Popen(command(f"archiver@{HOST}"), env=environment) as process:
        try:
            archiver = eventually(lambda: board.snapshots(Role.ARCHIVER).get(HOST), "it tells of itself")
            with Celery("client", broker=broker_url, backend=broker_url) as client:
                inspect = client.control.inspect([f"archiver@{HOST}"])
                stats = eventually(inspect.stats, "it answers")
        finally:
            process.terminate()
    assert stats[f"archiver@{HOST}"]["pool"]["max-concurrency"] == 3
    assert not archiver.problems


@pytest.mark.parametrize(
    ("node", "code", "told"),
    [
        ("harvester@other", 3, f"-n harvester@{HOST}"),
        ("harvester", 2, "ROLE@HOST"),
    ],
)
def test_what_cannot_be_served_here_is_told_in_a_line(
    environment: dict[str, str], node: str, code: int, told: str
) -> None:
    done = subprocess.run(
        command(node), env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code
    assert told in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


APP = "from plotman.app import make_app; from common.config import load; app = make_app(load())"
WORKER = f"app.Worker(hostname='harvester@{HOST}', queues=['harvester.{HOST}'])"


@pytest.mark.parametrize(("before", "shared"), [(WORKER, True), ("pass", False)], ids=["worker", "client"])
def test_the_tasks_of_a_worker_share_their_connections_to_redis(
    environment: dict[str, str], before: str, shared: bool
) -> None:
    code = f"{APP}; {before}; print(app.backend.thread_safe)"
    done = subprocess.run(
        [python(), "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split()[-1] == str(shared), done.stderr


def test_it_loads_neither_flower_nor_a_shell(environment: dict[str, str]) -> None:
    code = (
        f"{APP}; import sys, plotman.serve; app.loader.import_default_modules(); "
        "print(sorted({'flower', 'tornado', 'prompt_toolkit'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [python(), "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("celery", "-A", "plotman", "flower", "--address=127.0.0.1", "--port={}"), "farm.flower_port"),
        (("plotman", "prometheus", "--listen", "127.0.0.1:{}"), "farm.metrics_port"),
    ],
)
def test_a_page_whose_port_is_taken_names_port_cause_and_cure(
    environment: dict[str, str], words: tuple[str, ...], key: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        argv = from_wheel(*(word.format(port) for word in words))
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    cause = f"cannot be served on 127.0.0.1:{port}: Address already in use. Choose another ({key}"
    assert cause in done.stderr
    assert "Traceback" not in done.stderr
    assert "Serving" not in done.stderr
