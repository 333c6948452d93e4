"""A broker that takes connections and never answers: verbs say so."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from common.errors import ExitCode
from plotman.control.farm import board, quick_board
from tests.support.installed import from_wheel


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A plotman.yaml whose broker is a server that reads nothing and answers nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=20) as silent:  # the kernel takes the connections
        path = tmp_path / "plotman.yaml"
        broker = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        farm = {"host": "desk", "broker": broker, "state": str(tmp_path / "state")}
        path.write_text(yaml.safe_dump({"version": [2], "farm": farm}), encoding="utf-8")
        monkeypatch.setenv("PLOTMAN_CONFIG", str(path))
        yield path


@pytest.mark.parametrize("words", [("status",), ("why",), ("pause", "plotting")], ids=" ".join)
def test_a_verb_says_that_the_broker_does_not_answer(config: Path, words: tuple[str, ...]) -> None:
    ran = subprocess.run(
        from_wheel("plotman", *words),
        env=os.environ | {"PLOTMAN_CONFIG": str(config)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == ExitCode.UNREACHABLE
    assert "accepts connections, but does not answer" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_a_verb_is_less_patient_than_a_worker(config: Path) -> None:
    full = board()._redis.connection_pool.connection_kwargs
    assert full["socket_timeout"] <= 5
    quick = quick_board()
    assert quick._patience_s is not None
    assert quick._patience_s < 5
