"""Asking hosts that do not answer."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.support.installed import python
from tests.support.one_drive import one_drive

ASK = """
import json, time
from plotman.control.asking import ask_many
began_s = time.monotonic()
answers = ask_many("harvester_worker.free_space", ["a", "b", "c", "d"], timeout_s=1)
print(json.dumps([time.monotonic() - began_s, [type(answer).__name__ for answer in answers.values()]]))
"""


def test_many_silent_hosts_take_one_deadline_and_not_their_sum(tmp_path: Path, broker_url: str) -> None:
    environment = one_drive(tmp_path, broker_url, "asks")
    done = subprocess.run(
        [python(), "-c", ASK], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    took_s, answers = json.loads(done.stdout)
    assert answers == ["NobodyThere"] * 4
    assert took_s < 2.5  # each beyond the first would take a second more
