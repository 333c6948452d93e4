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


def test_a_client_that_floods_the_log_is_cut(tmp_path: Path) -> None:
    """It can write into the log of its server, which would fill the disk of the state folder."""
    ours, theirs = socket.socketpair()
    program, log_file = tmp_path / "rsync", tmp_path / "1.log"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    client = Client(theirs, "10.0.0.2", time.monotonic())
    connection = ReceiverConnection(client, tmp_path / "1.conf", log_file, MARK, TIMEOUTS, str(program), "us")
    with ours:
        log_file.write_bytes(b"x" * (1 << 20))
        assert connection.poll()
        assert connection._server.poll() is None
        with log_file.open("ab") as file:
            file.write(b"x")
        assert connection.poll()
        assert connection._server.wait(10) != 0
