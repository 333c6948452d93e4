"""A call leaves nothing behind, whether it is answered, answered twice or not at all."""

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
from plotman.control.app import app
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

ANSWERED = """
import json, threading, redis
from common import config
from common.config.broker_url import broker_url
from plotman.control.app import app
from plotman.control.rpc import ask_many

server = redis.Redis.from_url(broker_url(config.load()))
send, sent = app.send_task, []

def answer(task_id):
    # As a worker does: the key, then the message.
    meta = {"status": "SUCCESS", "result": "text" * 999, "task_id": task_id, "children": []}
    meta = json.dumps(meta | {"traceback": None})
    server.set("celery-task-meta-" + task_id, meta)
    server.publish("celery-task-meta-" + task_id, meta)

def answered(*given, task_id, **options):
    result = send(*given, task_id=task_id, **options)
    sent.append(task_id)
    if len(sent) < 7:
        answer(task_id)  # at once: the key is found, and the message comes second
    else:
        threading.Timer(0.5, answer, [task_id]).start()
    return result

app.send_task = answered
for hosts in ("a", "b", "c", ("d", "e", "f"), "g"):
    answers = ask_many("harvester_worker.free_space", hosts, timeout_s=20)
    assert set(answers.values()) == {"text" * 999}, answers
kept = app.backend._pending_messages
print(json.dumps([len(kept), kept.total]))
"""


def test_calls_that_nobody_answers_leave_no_subscription_and_no_connection(
    tmp_path: Path, broker_url: str
) -> None:
    assert printed(SILENT, tmp_path, broker_url) == [0, 0, True, 0]


def test_answers_that_come_twice_are_not_kept(tmp_path: Path, broker_url: str) -> None:
    assert printed(ANSWERED, tmp_path, broker_url) == [0, 0]


def printed(program: str, folder: Path, broker_url: str) -> object:
    """What a Python program with the installed plotman prints, as JSON."""
    done = subprocess.run(
        [python(), "-c", program],
        env=one_drive(folder, broker_url, "asks"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
