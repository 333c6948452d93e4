"""A broker that can be stopped and started again, empty."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.store import Board
from plotman.supervisor import broker
from tests.support.waiting import eventually


class Server:
    """Our own Redis; `kill` takes it away, `start` brings it back."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "redis"
        self.url = broker.settle(self.state, lambda _: None).url
        self._log = folder / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(broker.argv(self.state), stdout=output, stderr=subprocess.STDOUT)
        eventually(lambda: broker.answers(self.url), "the broker answers")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def wipe(self) -> None:
        """Lose everything, as a Redis without its disk does."""
        import redis

        with redis.Redis.from_url(self.url) as client:
            client.flushall()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def board(server: Server) -> Board:
    return Board.connect(server.url)
