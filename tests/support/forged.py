"""Messages as an attacker writes them into a queue of Redis, and a worker that receives them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import redis

from common.names import DETAILS, NOT_COPIED, REFUSE, RELEASE, RESERVE
from tests.support.secured import Machines
from tests.support.waiting import eventually

_WITHOUT_RESULT = (NOT_COPIED, REFUSE, RELEASE, RESERVE)


def body_of(args: Any = (), kwargs: Any = None, links: Any = None) -> str:
    """A task's body; any values."""
    body = json.dumps([args, {} if kwargs is None else kwargs, {} if links is None else links])
    return base64.b64encode(body.encode()).decode()


def forged(task: str = "plotter_worker.details", **changes: Any) -> dict[str, Any]:
    """A message that is well but for these values; keys are `headers__id` for the id in its headers."""
    task_id = str(uuid4())
    message: dict[str, Any] = {
        "body": body_of(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"lang": "py", "task": task, "id": task_id, "root_id": task_id, "argsrepr": "()"},
        "properties": {
            "correlation_id": task_id,
            "delivery_tag": str(uuid4()),
            "delivery_info": {"exchange": "", "routing_key": "q"},
            "body_encoding": "base64",
        },
    }
    for place, value in changes.items():
        part, _, key = place.partition("__")
        if key:
            message[part][key] = value
        else:
            message[part.replace("content_", "content-")] = value
    return message


class Attacked:
    """A worker that runs, the queue that it reads, and who may write into it."""

    def __init__(self, machines: Machines, log: Path, host: str, queue: str, attacker: redis.Redis) -> None:
        self._host, self._queue, self._attacker, self._log = host, queue, attacker, log
        self._admin = machines.secured.admin()
        self.process = psutil.Process(machines.processes[-1].pid)
        self.answers()

    def send(self, *messages: Any) -> None:
        """Put messages (objects, texts or bytes) into the queue, in this order."""
        self._attacker.lpush(
            self._queue, *(one if isinstance(one, bytes | str) else json.dumps(one) for one in messages)
        )

    def broadcast(self, method: str, **arguments: Any) -> None:
        """Send a command of Celery's to all workers, as a scheduler may."""
        command = {
            "method": method,
            "arguments": arguments,
            "destination": None,
            "pattern": None,
            "matcher": None,
        }
        message = forged(
            body=base64.b64encode(json.dumps(command).encode()).decode(),
            headers={"clock": 1, "expires": 0},
            properties__delivery_info={"exchange": "celery.pidbox", "routing_key": ""},
        )
        assert self._admin.publish("/0.celery.pidbox", json.dumps(message)) > 0

    def result(self, task_id: str) -> dict[str, Any] | None:
        try:
            found = json.loads(self._admin.get(f"celery-task-meta-{task_id}") or "null")
        except (ValueError, RecursionError):  # a lie
            return None
        return found if isinstance(found, dict) and found.get("task_id") == task_id else None

    def lie(self, task_id: str, result: str) -> None:
        """Write in place of a task's result."""
        self._attacker.set(f"celery-task-meta-{task_id}", result)

    def waiting(self) -> int:
        """Number of messages that the worker has taken and not begun."""
        return int(self._admin.hlen(f"unacked.{self._host}"))

    def call(self, task: str, args: Any = (), kwargs: Any = None) -> dict[str, Any]:
        """Call a task, and wait for its result."""
        message = forged(task, body=body_of(args, kwargs))
        self.send(message)
        return self.ended(message)

    def call_all(self, task: str, calls: list[tuple[Any, Any]], wait: bool = True) -> list[Any]:
        """Call a task with each (args, kwargs); its results, where it keeps some, None else."""
        messages = [forged(task, body=body_of(*call)) for call in calls]
        self.send(*messages)
        if not wait:
            return []
        self.answers()
        return [None if task in _WITHOUT_RESULT else self.ended(message) for message in messages]

    def ended(self, message: dict[str, Any]) -> dict[str, Any]:
        """The result of a message that was sent."""

        def end() -> dict[str, Any] | None:
            found = self.result(message["headers"]["id"])
            return found if found and found["status"] not in ("STARTED", "PENDING") else None

        return eventually(end, f"{message['headers']['task']} ends; log: {self.log[-2000:]}", 30)

    def answers(self) -> None:
        """Fail unless the worker answers, after all that is in its queue; it must not have been replaced."""
        answer = self.call(DETAILS, kwargs={"host": self._host, "plot": "none"})
        assert answer["result"]["exc_type"] in ("NoSuchPlot", "OrderRefused"), answer
        assert self.process.is_running()
        assert self.process.status() != psutil.STATUS_ZOMBIE

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def dropped(self) -> list[str]:
        """The lines of the log about messages that were dropped."""
        return [line for line in self.log.splitlines() if "dropped a message of" in line]
