"""One connection: what is read of its server's log, when the server is ended, and what it leaves."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from harvester_worker.receiver import connection as connection_module
from harvester_worker.receiver.connection import (
    SLOWEST_SOURCE_BYTES_S,
    TIMEOUTS,
    ReceiverConnection,
    ReceiverTimeouts,
)
from harvester_worker.receiver.greeter import Client
from harvester_worker.receiver.rsyncd import RsyncModule, ServerLog
from tests.support.waiting import eventually

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


class Watched(ReceiverConnection):
    """ended: whether it has ended its server, which may live for a moment after that."""

    ended = False

    def end(self) -> None:
        self.ended = True
        super().end()


Made = Callable[..., Watched]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    """Makes a connection whose server is a program of the test."""
    with ExitStack() as closing:

        def make(lines: str = "exec sleep 60", timeouts: ReceiverTimeouts = TIMEOUTS) -> Watched:
            ours, theirs = socket.socketpair()
            closing.enter_context(ours)
            program = tmp_path / "rsync"
            program.write_text(f"#!/bin/sh\n{lines}\n")
            program.chmod(0o755)
            client = Client(theirs, "10.0.0.2", time.monotonic())
            config, log_file = tmp_path / "1.conf", tmp_path / "1.log"
            config.touch()
            connection = Watched(client, config, log_file, MARK, timeouts, str(program), "us")
            closing.callback(connection.wait_ended)
            return connection

        yield make


def test_who_closes_a_receiver_gets_the_digest_that_another_thread_is_reading(
    made: Made, tmp_path: Path
) -> None:
    connection = made()
    connection.wait_ended()
    (tmp_path / "1.log").write_text(f"2026/11/22 13:05:27 [4711] {MARK} {DIGEST}\n")
    connection.log = log = SlowLog(MARK)

    polling = threading.Thread(target=connection.poll)
    polling.start()
    assert log.begun.wait(10)
    threading.Timer(0.3, log.goes_on.set).start()
    connection.wait_ended()
    digest = log.digest
    polling.join(10)

    assert digest == DIGEST


def test_a_client_that_floods_the_log_is_cut(made: Made, tmp_path: Path) -> None:
    """It can write into the log of its server, which would fill the disk of the state folder."""
    connection, log_file = made(), tmp_path / "1.log"
    assert connection.poll()
    log_file.write_bytes(b"x" * (1 << 20))
    assert connection.poll()
    assert not connection.ended
    with log_file.open("ab") as file:
        file.write(b"x")
    assert connection.poll()
    assert connection._server.wait(10) != 0


def test_a_client_must_be_admitted_within_seconds(made: Made) -> None:
    connection = made()
    connection._begun_s -= TIMEOUTS.nameless_s - 1
    assert connection.poll()
    connection._begun_s -= 2
    connection.log.module = "ab"
    assert connection.poll()
    assert not connection.ended, "it is admitted"
    connection.log.module = None
    assert connection.poll()
    assert connection._server.wait(10) == -signal.SIGKILL


def test_a_client_that_comes_no_further_is_cut(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    connection, stale = made(), [False, True]
    monkeypatch.setattr(connection, "_is_stale", lambda _: stale.pop(0))
    assert connection.poll()
    assert not connection.ended
    assert connection.poll()
    assert connection._server.wait(10) == -signal.SIGKILL


def test_a_line_of_the_log_may_come_in_pieces(made: Made, tmp_path: Path) -> None:
    connection, line = made(), f"2026/11/22 13:05:27 [4711] {MARK} {DIGEST}\n"
    with (tmp_path / "1.log").open("w") as log_file:
        for piece in (line[:20], line[20:50], line[50:]):
            assert connection.log.digest is None
            log_file.write(piece)
            log_file.flush()
            connection.read_log()
    assert connection.log.digest == DIGEST


def test_a_server_that_has_ended_leaves_no_file(made: Made, tmp_path: Path) -> None:
    """The configuration names all receivers, and the state folder would fill with logs."""
    connection = made("exit 0")
    (tmp_path / "1.log").touch()
    eventually(lambda: not connection.poll(), "its end is seen", 10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rsync"]


def test_the_whole_server_has_ended_before_its_receiver_counts_as_closed(made: Made) -> None:
    connection = made("trap '' TERM; sleep 60 & wait")
    children = eventually(lambda: psutil.Process(connection._server.pid).children(), "it forks", 10)
    connection.wait_ended()
    assert connection._server.returncode == -signal.SIGKILL
    psutil.wait_procs(children, timeout=10)
    assert not any(child.is_running() for child in children)
    connection.end()  # no-op


def test_a_server_that_hangs_with_its_drive_is_not_waited_for(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float | None] = []

    def hangs(timeout: float | None = None) -> int:
        waited.append(timeout)
        raise subprocess.TimeoutExpired("rsync", timeout or 0)

    connection = made()
    monkeypatch.setattr(connection._server, "wait", hangs)
    connection.wait_ended()
    assert waited == [5]


SIZE_BYTES = 100_000_000
COMPARES_S = SIZE_BYTES / SLOWEST_SOURCE_BYTES_S
# Step, seconds after the last one; then where the server is in the part, and whether it waits for its drive.
Steps = list[tuple[float, int, bool]]


@pytest.mark.parametrize(
    ("begun_bytes", "steps", "stale"),
    [
        pytest.param(0, [(101, 0, False)], True, id="nothing arrives"),
        pytest.param(0, [(99, 0, False)], False, id="nothing arrives yet"),
        pytest.param(
            0, [(20, 0, False), (24, 0, False), (57, 0, False)], True, id="it is checked in between"
        ),
        pytest.param(0, [(99, 1000, False), (99, 2000, False)], False, id="as slow as it may be"),
        pytest.param(0, [(99, 999, False), (6, 999, False)], True, id="slower"),
        pytest.param(0, [(99, 1000, False), (99, 1999, False), (6, 1999, False)], True, id="slower later"),
        pytest.param(0, [(99, 5000, False), (101, 0, False)], True, id="read from its beginning again"),
        pytest.param(SIZE_BYTES, [(100 + COMPARES_S - 1, 0, False)], False, id="compares"),
        pytest.param(SIZE_BYTES, [(100 + COMPARES_S + 1, 0, False)], True, id="compares for too long"),
        pytest.param(
            SIZE_BYTES - 1,
            [(99, SIZE_BYTES - 1, False), (99, SIZE_BYTES, False), (104, SIZE_BYTES, False)],
            False,
            id="full, and compares all of it",
        ),
        pytest.param(
            0,
            [(99, SIZE_BYTES, False), (100 + COMPARES_S + 1, SIZE_BYTES, False)],
            True,
            id="full, and compares for too long",
        ),
        pytest.param(0, [(99, 0, True), (99, 0, True), (99, 0, True)], False, id="waits for its drive"),
        pytest.param(
            0,
            [(99, 0, True), (99, 0, True), (99, 0, True), (99, 0, True), (99, 0, True)],
            True,
            id="its drive hangs",
        ),
        pytest.param(0, [(99, 0, True), (99, 0, False), (6, 0, False)], True, id="waited for its drive"),
    ],
)
def test_a_part_that_comes_no_further_is_stale(
    made: Made, monkeypatch: pytest.MonkeyPatch, begun_bytes: int, steps: Steps, stale: bool
) -> None:
    connection = made(timeouts=ReceiverTimeouts(stale_s=100, slowest_bytes_s=10, drive_s=350))
    part = RsyncModule("ab", Path("/drive/.incoming/1.part"), Path("/secrets"), SIZE_BYTES)
    now_s = connection._begun_s
    assert not connection._is_stale(now_s + 10_000), "it is not known what the client fills"
    now_s = connection._begun_s = connection._moved_s = connection._passed_s = now_s + 10_000
    connection.expects(part, begun_bytes)
    for after_s, at_bytes, waits in steps[:-1]:
        now_s += after_s
        monkeypatch.setattr(connection_module, "_progress", lambda *_, seen=(at_bytes, waits): seen)
        assert not connection._is_stale(now_s)
    after_s, at_bytes, waits = steps[-1]
    monkeypatch.setattr(connection_module, "_progress", lambda *_: (at_bytes, waits))
    assert connection._is_stale(now_s + after_s) == stale


def test_the_processes_of_a_server_are_asked_how_far_they_are_every_few_seconds(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(connection_module, "_progress", lambda _, part: asked.append(part) or (0, False))
    connection = made()
    connection.expects(RsyncModule("ab", Path("/drive/1.part"), Path("/secrets"), 1), 0)
    for after_s in (6, 10, 12, 16):
        assert not connection._is_stale(connection._begun_s + after_s)
    assert asked == ["1.part", "1.part"]


def test_the_furthest_of_a_servers_processes_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """rsync forks: one process compares, another writes."""
    part = tmp_path / "1.part"
    part.write_bytes(bytes(5000))
    opens = f"exec 3<{part}; dd bs=1000 count=%d <&3 of=/dev/null 2>&-; echo; sleep 60 & wait"
    script = f"({opens % 4}) & ({opens % 2}) & wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as server:
        try:
            assert server.stdout is not None
            assert [server.stdout.readline() for _ in range(2)] == [b"\n"] * 2
            waiting: list[psutil.Process] = []

            def status(process: psutil.Process) -> str:
                return psutil.STATUS_DISK_SLEEP if process in waiting else psutil.STATUS_SLEEPING

            monkeypatch.setattr(psutil.Process, "status", status)
            assert connection_module._progress(server.pid, part.name) == (4000, False)
            assert connection_module._progress(server.pid, "2.part") == (0, False)
            forked = psutil.Process(server.pid).children()[0]
            for waits in (
                psutil.Process(server.pid),
                *eventually(forked.children, "its sleep is started", 10),
            ):
                waiting[:] = [waits]
                assert connection_module._progress(server.pid, part.name) == (4000, True)
        finally:
            os.killpg(server.pid, signal.SIGKILL)
    assert connection_module._progress(server.pid, part.name) == (0, False)


def test_the_kernel_detects_a_dead_network_within_about_a_minute() -> None:
    with socket.socket() as accepted:
        connection_module.keep_alive(accepted, TIMEOUTS)
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        names = ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        set_ = [accepted.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names]
        assert set_ == [60_000, 20, 10, 3]


def test_only_rsyncs_of_this_owner_are_strays(tmp_path: Path) -> None:
    started: list[subprocess.Popen[bytes]] = []
    for name, owner in (("rsync", "us"), ("rsync", "others"), ("sleep", "us")):
        program = tmp_path / owner / name
        program.parent.mkdir(exist_ok=True)
        shutil.copy(shutil.which("sleep") or "", program)
        environment = {connection_module.MARK: owner}
        started.append(subprocess.Popen([program, "60"], env=environment, start_new_session=True))
    try:
        for process in started:
            eventually(psutil.Process(process.pid).environ, "it is started")
        assert connection_module.end_strays("us") == 1
        assert [process.poll() is None for process in started] == [False, True, True]
    finally:
        for process in started:
            process.kill()
            process.wait()
