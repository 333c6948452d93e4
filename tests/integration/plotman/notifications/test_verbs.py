"""`plotman notify`, as a person runs it: to a real HTTP server by Apprise and to a hook."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import yaml

from common.store import Board
from tests.support.installed import from_wheel
from tests.support.notified import SECRET, Phone, hooked, tell
from tests.support.waiting import eventually


def plotman(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        from_wheel("plotman", *arguments),
        env=os.environ | {"PLOTMAN_CONFIG": str(config)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_verbs_try_every_target_out_and_run_one_notifier_a_machine(
    board: Board, broker_url: str, tmp_path: Path, phone: Phone, hook: Path
) -> None:
    config = tmp_path / "plotman.yaml"

    def configure(**targets: Any) -> None:
        content = {
            "version": [2],
            "farm": {"host": "desk", "broker": broker_url, "state": str(tmp_path / "state")},
            "notifications": {"targets": targets},
        }
        config.write_text(yaml.safe_dump(content, sort_keys=False))
        config.chmod(0o600)

    configure()
    none = plotman(config, "notify", "test")
    assert (none.returncode, "tells nobody" in none.stderr) == (5, True)
    configure(phone={"url": phone.url}, bad={"command": ["false"]}, hook={"command": [str(hook)]})
    tried = plotman(config, "notify", "test")
    assert tried.returncode == 1 and SECRET not in tried.stdout + tried.stderr
    assert tried.stdout.splitlines() == ["phone: told", "bad: not told. false ended with 1.", "hook: told"]
    assert "plotman on desk" in phone.messages()[0] and hooked(tmp_path)[0][0] == "test"
    assert plotman(config, "notify", "test", "hook").returncode == 0
    assert plotman(config, "notify", "test", "nobody").returncode == 5
    assert plotman(config, "config", "check", str(config)).returncode == 0

    argv = from_wheel("plotman", "notify", "run")
    environment = os.environ | {"PLOTMAN_CONFIG": str(config)}
    log = tmp_path / "notifier.log"
    with log.open("wb") as output:
        runs = subprocess.Popen(argv, env=environment, stderr=output)
    try:
        eventually((tmp_path / "state" / "alarms.json").exists, "it has begun to listen")
        refused = plotman(config, "notify", "run")
        assert refused.returncode == 1 and "runs already" in refused.stderr
        tell(board, "refused")
        eventually(lambda: [kind for kind, _ in hooked(tmp_path)][-1] == "refused", "the hook is told")
        eventually(lambda: len(phone.told) == 2, "the phone is told")
        configure(hook={"command": [str(hook)], "events": ["archived"]})  # takes effect while it runs
        eventually(lambda: "notifications.targets" in log.read_text(), "it has read it")
        tell(board, "refused", task="t2")
        tell(board, "archived")
        eventually(lambda: [kind for kind, _ in hooked(tmp_path)][-1] == "archived", "the hook is told")
        assert len(phone.told) == 2
    finally:
        runs.send_signal(signal.SIGTERM)
        runs.wait(timeout=20)
    said = log.read_text()
    assert runs.returncode == 0, said
    assert "Traceback" not in said and SECRET not in said
