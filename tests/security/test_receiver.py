"""Attacks on a harvester's receiver, with a ticket and without, and of a harvester on an archiver."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from common.errors import TransferFailed
from harvester_worker.receiver.connection import TIMEOUTS
from harvester_worker.receiver.greeter import IN_ALL, PER_ADDRESS
from plotter_worker.archiving.transfer import rsync
from tests.integration.harvester_worker.conftest import make_house  # noqa: F401
from tests.support.receiver import MB, PLOT_ID, House
from tests.support.waiting import eventually

WAYS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
HANDSHAKE_BEGUN = b"\x16\x03\x01\x02\x00\x01"


@contextlib.contextmanager
def flood(
    port: int, count: int, says: bytes = b"", source: str = "127.0.0.1"
) -> Iterator[list[socket.socket]]:
    """Connections that say this much and nothing more."""
    clients: list[socket.socket] = []
    try:
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port), source_address=(source, 0))
            clients.append(client)
            with contextlib.suppress(OSError):
                client.sendall(says)
        yield clients
    finally:
        for client in clients:
            client.close()


def closed(client: socket.socket) -> bool:
    """Whether the other side has closed it."""
    client.setblocking(False)
    try:
        while client.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@WAYS
@pytest.mark.parametrize("says", [b"", b"@RSY", HANDSHAKE_BEGUN], ids=["nothing", "half a hello", "half TLS"])
@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"], ids=["the plotter's address", "another"])
def test_clients_without_a_password_keep_no_plot_out(
    make_house: Callable[..., House],  # noqa: F811
    caplog: pytest.LogCaptureFixture,
    tls: bool,
    says: bytes,
    source: str,
) -> None:
    house = make_house(MB, tls=tls)
    ticket = house.open()
    with flood(ticket.port, 300, says, source) as clients:
        eventually(lambda: sum(not closed(client) for client in clients) <= PER_ADDRESS, "few are kept")
        assert house.servers() == []  # none has a process
        threads = threading.active_count()
        house.send(ticket)
        assert threading.active_count() <= threads + 3

    assert house.part.read_bytes() == house.source.read_bytes()
    assert caplog.text.count("was refused") <= 2


def test_a_flood_from_many_addresses_keeps_no_plot_out(
    make_house: Callable[..., House],  # noqa: F811
) -> None:
    house = make_house(MB)
    ticket = house.open()
    with contextlib.ExitStack() as floods:
        clients = [
            client
            for number in range(2, 30)
            for client in floods.enter_context(flood(ticket.port, PER_ADDRESS, source=f"127.0.0.{number}"))
        ]
        eventually(lambda: sum(not closed(client) for client in clients) <= IN_ALL, "few are kept")
        house.send(ticket)

    assert house.part.read_bytes() == house.source.read_bytes()


@WAYS
@pytest.mark.parametrize("says", [b"", b"@RSY", HANDSHAKE_BEGUN], ids=["nothing", "half a hello", "half TLS"])
def test_a_client_must_say_hello_within_seconds(
    make_house: Callable[..., House],  # noqa: F811
    tls: bool,
    says: bytes,
) -> None:
    house = make_house(MB, tls=tls, timeouts=replace(TIMEOUTS, hello_s=1))
    with flood(house.open().port, 1, says) as (client,):
        eventually(lambda: closed(client), "it is disconnected", 5)


@WAYS
def test_wrong_passwords_are_logged_once(
    make_house: Callable[..., House],  # noqa: F811
    caplog: pytest.LogCaptureFixture,
    tls: bool,
) -> None:
    house = make_house(MB, tls=tls)
    ticket = house.open()
    wrong = ticket.model_copy(update={"password": type(ticket.password)("x" * 43)})

    for _ in range(5):
        with pytest.raises(TransferFailed, match="refused the password"):
            house.send(wrong)

    eventually(lambda: "127.0.0.1 gave a wrong password" in caplog.text, "the log says so")
    assert caplog.text.count("gave a wrong password") == 1
    house.send(ticket)


@WAYS
def test_a_part_does_not_grow_beyond_what_was_announced(
    make_house: Callable[..., House],  # noqa: F811
    caplog: pytest.LogCaptureFixture,
    tls: bool,
) -> None:
    house = make_house(3 * MB, tls=tls)
    ticket = house.open()
    other = house.incoming / f"{'cd' * 32}.part"
    other.touch()
    house.receivers.open("cd" * 32, "plotter2", str(house.incoming.parent), other, "two", 100 * MB)
    house.source.write_bytes(os.urandom(40 * MB))

    with pytest.raises(TransferFailed):
        house.send(ticket)

    assert house.part.stat().st_size == 3 * MB
    eventually(lambda: "sends more of a plot than the 3145728 bytes" in caplog.text, "the log says so")
    assert house.receivers.close(PLOT_ID) is None  # it is closed already
    assert house.ended == []  # its drive is not blamed


def test_a_digest_counts_only_if_rsync_found_it_right(
    make_house: Callable[..., House],  # noqa: F811
) -> None:
    house = make_house(MB)
    sent = house.send(house.open())

    arrived = house.receivers.close(PLOT_ID)

    assert arrived is not None
    assert arrived.digest == sent.digest


def test_a_plotter_that_drips_does_not_keep_the_receiver(
    make_house: Callable[..., House],  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = make_house(64 * MB, timeouts=replace(TIMEOUTS, stale_s=1, slowest_bytes_s=4e6))

    with pytest.raises(TransferFailed):
        house.send(house.open(), "--bwlimit=500")  # the whole would take two minutes

    assert house.part.stat().st_size < 32 * MB
    assert "came no further" in caplog.text


class Dripping:
    """Stands for a harvester that takes a little at a time, and says that it is there.

    fast_bytes: it takes these first, as a good one would.
    """

    def __init__(self, port: int, fast_bytes: int = 0) -> None:
        self._fast_bytes = fast_bytes
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._ended = threading.Event()
        self._to = port
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        self._listening.close()

    def _serve(self) -> None:
        client, _ = self._listening.accept()
        with client, socket.create_connection(("127.0.0.1", self._to)) as server:
            answers = threading.Thread(target=self._carry, args=(server, client, 1 << 60), daemon=True)
            answers.start()
            self._carry(client, server, self._fast_bytes)

    def _carry(self, source: socket.socket, sink: socket.socket, fast_bytes: int) -> None:
        with contextlib.suppress(OSError):
            while not self._ended.wait(0 if fast_bytes > 0 else 0.05) and (chunk := source.recv(4096)):
                fast_bytes -= len(chunk)
                sink.sendall(chunk)


def test_a_harvester_that_drips_does_not_keep_the_archiver(
    make_house: Callable[..., House],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rsync, "STALE_S", 1.0, raising=False)
    house = make_house(64 * MB)
    ticket = house.open()
    dripping = Dripping(ticket.port)

    with pytest.raises(TransferFailed, match=r"came no further than .* within 1s"):
        house.send(ticket.model_copy(update={"port": dripping.port}))

    dripping.close()
    assert house.part.stat().st_size < 32 * MB


def test_a_harvester_that_never_flushes_does_not_keep_the_archiver(
    make_house: Callable[..., House],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rsync, "STALE_S", 1.0, raising=False)
    monkeypatch.setattr(rsync, "FLUSH_S", 1.0, raising=False)
    house = make_house(8 * MB)
    ticket = house.open()
    dripping = Dripping(ticket.port, fast_bytes=15 * MB // 2)  # the network itself holds the rest

    with pytest.raises(TransferFailed, match="is not flushed within 1s"):
        house.send(ticket.model_copy(update={"port": dripping.port}), "--bwlimit=6000")

    dripping.close()


@WAYS
@pytest.mark.parametrize(
    "options",
    [
        ("--no-append",),
        ("--no-append", "--inplace", "--no-inplace"),
        ("--no-append", "--partial"),
        ("--no-append", "--remote-option=--log-format", "--remote-option=--append"),
        ("--no-append", "--protect-args"),
    ],
    ids=" ".join,
)
def test_a_plotter_writes_into_its_part_only_and_not_into_further_files(
    make_house: Callable[..., House],  # noqa: F811
    tls: bool,
    options: tuple[str, ...],
) -> None:
    """Without --append rsync writes a file beside the part, which is as large and has no reservation."""
    house = make_house(MB, tls=tls)
    ticket, before = house.open(), house.part.stat()

    with pytest.raises(TransferFailed):
        house.send(ticket, *options)

    assert list(house.incoming.iterdir()) == [house.part]
    after = house.part.stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, 0)
    house.send(ticket)
    assert house.part.read_bytes() == house.source.read_bytes()
