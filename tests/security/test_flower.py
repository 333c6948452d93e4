"""Flower, started as users start it, does not listen to everybody."""

from __future__ import annotations

import base64
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from tests.support.installed import celery
from tests.support.ports import free_port
from tests.support.waiting import eventually

SECRET = "correct-horse-battery"


@pytest.fixture
def environment(tmp_path: Path, broker_url: str) -> dict[str, str]:
    return _environment(tmp_path, broker_url)


def _environment(folder: Path, broker_url: str, **farm: object) -> dict[str, str]:
    settings = {
        "host": "web",
        "broker": broker_url,
        "state": str(folder / "state"),
        "scheduler": True,
        **farm,
    }
    path = folder / "plotman.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "version": [2],
                "farm": settings,
                "harvester": {"drives": [str(folder)], "plain_folders": True, "receiver_port": 0},
            }
        ),
        encoding="utf-8",
    )
    return {name: value for name, value in os.environ.items() if not name.startswith("FLOWER_")} | {
        "PLOTMAN_CONFIG": str(path)
    }


def _flower(*options: str) -> list[str]:
    return celery("flower", *options)


def test_by_hand_on_all_addresses_without_password_it_refuses_and_says_what_to_do(
    environment: dict[str, str],
) -> None:
    done = subprocess.run(
        _flower("--address=0.0.0.0", f"--port={free_port()}"),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert "flower_auth: USER:PASSWORD" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def protected(tmp_path: Path, broker_url: str) -> Iterator[tuple[psutil.Process, int, Path]]:
    """Flower on all addresses with the password of plotman.yaml: its process, port and output."""
    port, log = free_port(), tmp_path / "flower.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _flower("--address=0.0.0.0", f"--port={port}"),
            env=_environment(tmp_path, broker_url, flower_auth=f"farmer:{SECRET}"),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    yield psutil.Process(process.pid), port, log
    process.terminate()
    process.wait(timeout=20)


def _answer(port: int, account: str | None = None) -> int | None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/")
    if account:
        request.add_header("Authorization", "Basic " + base64.b64encode(account.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def test_with_flower_auth_it_asks_and_the_password_is_seen_nowhere(
    protected: tuple[psutil.Process, int, Path],
) -> None:
    process, port, log = protected
    assert eventually(lambda: _answer(port), "Flower answers") == 401
    assert _answer(port, f"farmer:{SECRET}") == 200
    assert _answer(port, "farmer:wrong") == 401
    assert SECRET not in " ".join(process.cmdline())
    assert SECRET not in " ".join(process.environ().values())
    assert SECRET not in log.read_text(encoding="utf-8")


def test_by_hand_without_an_address_it_listens_on_this_machine_only(
    environment: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    with (tmp_path / "flower.log").open("wb") as output:
        process = subprocess.Popen(
            _flower(f"--port={port}"), env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        eventually(lambda: _answer(port), "Flower answers")
        listening = {
            connection.laddr.ip
            for connection in psutil.Process(process.pid).net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}
    finally:
        process.terminate()
        process.wait(timeout=20)
