"""What two threads read of a server's log at a time: one polls, one closes the receiver."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from harvester_worker.receiver.connection import TIMEOUTS, ReceiverConnection
from harvester_worker.receiver.greeter import Client
from harvester_worker.receiver.rsyncd import ServerLog

MARK = "5f1d0c"
DIGEST = "0f" * 16


@dataclass
class SlowLog(ServerLog):
    """A log of which a line is read only once `goes_on` is set."""

    def __post_init__(self) -> None:
        self.begun, self.goes_on = threading.Event(), threading.Event()

    def read(self, line: bytes) -> None:
        self.begun.set()
        assert self.goes_on.wait(10)
        ServerLog.read(self, line)


def test_who_closes_a_receiver_gets_the_digest_that_another_thread_is_reading(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    client = Client(theirs, "10.0.0.2", time.monotonic())
    config, log_file = tmp_path / "1.conf", tmp_path / "1.log"
    connection = ReceiverConnection(client, config, log_file, MARK, TIMEOUTS, "true", "us")
    with ours:
        connection.wait_ended()
    log_file.write_text(f"2026/11/22 13:05:27 [4711] {MARK} {DIGEST}\n")
    connection.log = log = SlowLog(MARK)

    polling = threading.Thread(target=connection.poll)
    polling.start()
    assert log.begun.wait(10)
    threading.Timer(0.3, log.goes_on.set).start()
    connection.wait_ended()
    digest = log.digest
    polling.join(10)

    assert digest == DIGEST
