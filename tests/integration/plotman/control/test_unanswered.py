"""A call that nobody answers leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.support.installed import python
from tests.support.one_drive import one_drive

SILENT = """
import json, os, threading, redis
from celery.result import AsyncResult
from common import config
from common.config.broker_url import broker_url
from plotman.app import app
from plotman.control.rpc import ask_many, hang_up

server = redis.Redis.from_url(broker_url(config.load()))
left = []

def asks():
    for _ in range(3):
        ask_many("harvester_worker.free_space", ["a", "b"], timeout_s=0.2)
    consumer = app.backend.result_consumer
    left.append(len(consumer.subscribed_to))
    left.append(sum(map(len, app.backend._pending_results)))
    before = len(os.listdir("/proc/self/fd"))
    hang_up()
    left.append(len(os.listdir("/proc/self/fd")) < before)

thread = threading.Thread(target=asks)
thread.start()
thread.join()
print(json.dumps([*left, len(server.pubsub_channels("celery-task-meta-*"))]))
"""


def test_calls_that_nobody_answers_leave_no_subscription_and_no_connection(
    tmp_path: Path, broker_url: str
) -> None:
    done = subprocess.run(
        [python(), "-c", SILENT],
        env=one_drive(tmp_path, broker_url, "asks"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [0, 0, True, 0]
