"""Asking hosts that do not answer."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.support.installed import python
from tests.support.one_drive import one_drive

ASK = """
import json, time
from plotman.control.rpc import ask_many
began_s = time.monotonic()
answers = ask_many("harvester_worker.free_space", ["a", "b", "c", "d"], timeout_s=1)
print(json.dumps([time.monotonic() - began_s, [type(answer).__name__ for answer in answers.values()]]))
"""


FORGE = """
import json, redis
from plotman.control import rpc

send, forged = rpc._send, []

def sending(question, url, timeout_s):
    sent = send(question, url, timeout_s)
    result = {"status": "FAILURE", "task_id": sent.id, "result": forged.pop()}
    redis.Redis.from_url(url).set(f"celery-task-meta-{sent.id}", json.dumps(result))
    return sent

rpc._send = sending
forged += [
    {"exc_type": "system", "exc_module": "os", "exc_message": ["echo forged >&2"]},
    {"exc_type": "SystemExit", "exc_module": "builtins", "exc_message": [0]},
    {"exc_type": [], "exc_module": "os"},
    {"exc_type": "x", "exc_module": []},
    {"exc_type": "NoRoom", "exc_module": "common.errors", "exc_message": {"a": [1]}},
    {"exc_type": "__class__", "exc_module": "common.errors", "exc_message": ["x"]},
    5, [1], "x",
]
answers = rpc.ask_each([rpc.TaskCall("harvester_worker.free_space", "a") for _ in forged])
print(json.dumps([isinstance(answer, rpc.PlotmanError) for answer in answers]))
"""


def test_a_forged_result_runs_nothing_and_is_told_in_words(tmp_path: Path, broker_url: str) -> None:
    """Every worker's user may overwrite results."""
    done = subprocess.run(
        [python(), "-c", FORGE],
        env=one_drive(tmp_path, broker_url, "asks"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [True] * 9


def test_many_silent_hosts_take_one_deadline_and_not_their_sum(tmp_path: Path, broker_url: str) -> None:
    environment = one_drive(tmp_path, broker_url, "asks")
    done = subprocess.run(
        [python(), "-c", ASK], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    took_s, answers = json.loads(done.stdout)
    assert answers == ["NoAnswer"] * 4
    assert took_s < 2.5  # each beyond the first would take a second more
