"""The pool in a real Celery worker. These fail when the Celery internals that it leans on move."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from tests.support.installed import from_wheel
from tests.support.waiting import eventually

APP = """
import os
import time
from celery import Celery
from celery.exceptions import Ignore
from common.worker.pool import stay_findable, stop_event

app = Celery("pooltest", broker=os.environ["URL"], backend=os.environ["URL"])
app.conf.update(worker_pool="common.worker.pool:TaskPool", worker_concurrency=20,
                worker_hijack_root_logger=False,
                worker_disable_prefetch=True, worker_prefetch_multiplier=1, task_track_started=True,
                result_backend_thread_safe=True)
NOTES = os.environ["NOTES"]
first = {}

def note(text):
    with open(NOTES, "a") as file:
        print(text, file=file)

@app.task(bind=True, name="long")
def long(self, label="long"):
    if first.setdefault(self.request.id, label) != label:
        raise Ignore("a duplicate")
    event = stop_event(self.request.id)
    note(f"{label} begins")
    while not event.wait(0.05):
        stay_findable(self.request.id)
    note(f"{label} {event.reason.value}")
    raise Ignore("let go")

@app.task(name="short")
def short():
    return 7

@app.task(name="orders")
def orders():
    app.send_task("short")

@app.task(name="one")
def one():
    note(f"one {time.time()}")
    time.sleep(0.05)
    note(f"one {time.time()}")
"""


class Worker:
    def __init__(self, folder: Path, url: str, *options: str) -> None:
        (folder / "pooltest.py").write_text(APP, encoding="utf-8")
        self.notes = folder / "notes"
        self.notes.touch()
        self.app = Celery("client", broker=url, backend=url)
        env = os.environ | {"URL": url, "NOTES": str(self.notes), "PYTHONPATH": str(folder)}
        with (folder / "worker.log").open("wb") as output:
            self.process = subprocess.Popen(
                from_wheel("celery", "-A", "pooltest", "worker", "-l", "INFO", "--without-mingle", *options),
                env=env,
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.log = folder / "worker.log"

    def send(self, label: str = "long", task_id: str | None = None) -> str:
        """Send a long task, and wait until it runs."""
        sent = self.app.send_task("long", kwargs={"label": label}, task_id=task_id)
        self.until(f"{label} begins")
        return str(sent.id)

    def until(self, text: str, timeout_s: float = 30) -> None:
        eventually(lambda: text in self.noted, f"the task notes {text!r}", timeout_s)

    @property
    def noted(self) -> list[str]:
        return self.notes.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def worker(tmp_path: Path, broker_url: str) -> Iterator[Worker]:
    started = Worker(tmp_path, broker_url)
    yield started
    started.process.kill()
    started.process.wait()
    started.app.close()


def ends_within(process: subprocess.Popen[bytes], timeout_s: float) -> float:
    began = time.monotonic()
    process.wait(timeout=timeout_s)
    return time.monotonic() - began


def test_a_terminated_task_is_told_so_and_a_warm_shutdown_lets_the_others_go(worker: Worker) -> None:
    doomed, revoked = worker.send("doomed"), worker.send("revoked")
    other = worker.send("other")
    # Two messages of one id, as after a connection that was cut: the first continues as if it were alone.
    worker.app.send_task("long", kwargs={"label": "again"}, task_id=other)
    assert worker.app.send_task("short").get(timeout=30) == 7
    worker.app.control.revoke(revoked)
    worker.app.control.revoke(doomed, terminate=True)
    worker.until("doomed terminated")
    eventually(lambda: worker.app.AsyncResult(doomed).state == "REVOKED", "it is revoked")
    assert worker.noted == ["doomed begins", "revoked begins", "other begins", "doomed terminated"]
    worker.process.send_signal(signal.SIGTERM)
    assert ends_within(worker.process, 20) < 8
    # A plain revoke keeps a task from starting; it says nothing to one that runs.
    assert sorted(worker.noted[4:]) == ["other shutdown", "revoked shutdown"]
    assert "Traceback" not in worker.log.read_text(encoding="utf-8")


def test_a_task_whose_message_came_twice_can_still_be_terminated(worker: Worker) -> None:
    task_id = worker.send("first")
    worker.app.send_task("long", kwargs={"label": "second"}, task_id=task_id)
    assert worker.app.send_task("short").get(timeout=30) == 7

    def terminate() -> bool:
        worker.app.control.revoke(task_id, terminate=True)
        return "first terminated" in worker.noted

    eventually(terminate, "it is terminated", 10, every_s=0.3)


def test_tasks_can_share_their_connections_to_redis_and_subscribe_to_no_result(
    worker: Worker, broker_url: str
) -> None:
    with redis.Redis.from_url(broker_url) as client:
        worker.send("first")
        before = len(client.client_list())
        for number in range(10):
            worker.send(str(number))
        worker.app.send_task("orders", ignore_result=True)
        eventually(lambda: not client.llen("celery"), "all is taken")
        assert worker.app.send_task("short").get(timeout=30) == 7
        assert len(client.client_list()) <= before + 3
        eventually(lambda: not client.pubsub_channels("celery-task-meta-*"), "nobody listens", 5)


def test_a_cold_shutdown_lets_tasks_go_and_ends_within_seconds(worker: Worker) -> None:
    worker.send()
    worker.process.send_signal(signal.SIGQUIT)
    assert ends_within(worker.process, 20) < 8
    assert worker.noted == ["long begins", "long shutdown"]
    assert "NotImplementedError" not in worker.log.read_text(encoding="utf-8")


def test_the_next_task_of_a_worker_that_does_one_at_a_time_begins_when_the_last_has_ended(
    tmp_path: Path, broker_url: str
) -> None:
    worker = Worker(tmp_path, broker_url, "-c", "1")
    try:
        for _ in range(6):
            sent = worker.app.send_task("one")
        sent.get(timeout=30)
        times = [float(text.split()[1]) for text in worker.noted]
        between = sorted(begin - end for end, begin in zip(times[1::2], times[2::2], strict=False))
        assert between[0] >= 0, "one at a time"
        assert between[2] < 0.5, f"its main loop was woken: {between}"
    finally:
        worker.process.kill()
        worker.process.wait()
        worker.app.close()
