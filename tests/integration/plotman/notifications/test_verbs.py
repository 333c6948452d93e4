"""`plotman notify`, as an operator runs it: to a real HTTP server by Apprise, and to a hook."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.store import Board
from tests.support.installed import from_wheel
from tests.support.notified import SECRET, Phone, hooked, tell
from tests.support.waiting import eventually

Configure = Callable[..., Path]


@pytest.fixture
def configure(broker_url: str, tmp_path: Path) -> Configure:
    """Writes plotman.yaml with these targets."""

    def write(**targets: Any) -> Path:
        config = tmp_path / "plotman.yaml"
        content = {
            "version": [2],
            "farm": {"host": "desk", "broker": broker_url, "state": str(tmp_path / "state")},
            "notifications": {"targets": targets},
        }
        config.write_text(yaml.safe_dump(content, sort_keys=False))
        config.chmod(0o600)
        return config

    return write


def plotman(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        from_wheel("plotman", *arguments),
        env=os.environ | {"PLOTMAN_CONFIG": str(config)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def notifier(config: Path) -> Iterator[Path]:
    """Runs `plotman notify run`; yields its log. It must end well, without a traceback or a secret."""
    state, log = config.parent / "state", config.parent / "notifier.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            from_wheel("plotman", "notify", "run"),
            env=os.environ | {"PLOTMAN_CONFIG": str(config)},
            stderr=output,
        )
    try:
        eventually((state / "alarms.json").exists, "it listens for events")
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
    text = log.read_text()
    assert process.returncode == 0, text
    assert "Traceback" not in text and SECRET not in text


def last_hook(folder: Path) -> str | None:
    kinds = [kind for kind, _ in hooked(folder)]
    return kinds[-1] if kinds else None


def test_without_targets_notify_test_says_so(configure: Configure) -> None:
    none = plotman(configure(), "notify", "test")
    assert (none.returncode, "has no notification targets" in none.stderr) == (5, True)


def test_notify_test_sends_to_every_target_or_to_the_named_one(
    configure: Configure, tmp_path: Path, phone: Phone, hook: Path
) -> None:
    config = configure(phone={"url": phone.url}, bad={"command": ["false"]}, hook={"command": [str(hook)]})
    tried = plotman(config, "notify", "test")
    assert tried.returncode == 1 and SECRET not in tried.stdout + tried.stderr
    assert tried.stdout.splitlines() == [
        "phone: delivered",
        "bad: failed. false ended with 1.",
        "hook: delivered",
    ]
    assert "plotman on desk" in phone.messages()[0] and last_hook(tmp_path) == "test"
    assert plotman(config, "notify", "test", "hook").returncode == 0
    assert plotman(config, "notify", "test", "nobody").returncode == 5
    assert plotman(config, "config", "check", str(config)).returncode == 0


def test_a_machine_runs_one_notifier(configure: Configure, hook: Path) -> None:
    config = configure(hook={"command": [str(hook)]})
    with notifier(config):
        refused = plotman(config, "notify", "run")
        assert refused.returncode == 1 and "runs already" in refused.stderr


def test_a_running_notifier_follows_changes_of_plotman_yaml(
    board: Board, configure: Configure, tmp_path: Path, phone: Phone, hook: Path
) -> None:
    config = configure(phone={"url": phone.url}, hook={"command": [str(hook)]})
    with notifier(config) as log:
        tell(board, "refused")
        eventually(lambda: last_hook(tmp_path) == "refused", "the hook has run")
        eventually(lambda: len(phone.told) == 1, "the phone has the message")
        configure(hook={"command": [str(hook)], "events": ["archived"]})
        eventually(lambda: "notifications.targets" in log.read_text(), "it has read the change")
        tell(board, "refused", task="t2")
        tell(board, "archived")
        eventually(lambda: last_hook(tmp_path) == "archived", "the hook has run again")
        assert [kind for kind, _ in hooked(tmp_path)] == ["refused", "archived"]
        assert len(phone.told) == 1
