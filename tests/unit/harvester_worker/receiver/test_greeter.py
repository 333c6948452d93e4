"""Clients before they say hello: who is let in, who is refused, and who makes room for another."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from harvester_worker.receiver import greeter
from harvester_worker.receiver.greeter import (
    HELLO,
    IN_ALL,
    PER_ADDRESS,
    Client,
    Greeter,
    Stranger,
    ThrottledLog,
    crowded_out,
)
from harvester_worker.receiver.identity import make_identity
from tests.support.ports import listens
from tests.support.waiting import eventually


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def clients(sockets: ExitStack, *addresses: str) -> list[Client]:
    """One for each, the oldest first."""
    return [
        Client(sockets.enter_context(socket.socket()), address, since_s)
        for since_s, address in enumerate(addresses)
    ]


def test_there_is_room(sockets: ExitStack) -> None:
    known = clients(
        sockets, *["a"] * (PER_ADDRESS - 1), *[f"b{number}" for number in range(IN_ALL - PER_ADDRESS)]
    )
    assert crowded_out(known, "a") is None
    assert crowded_out([], "a") is None


def test_an_address_with_its_share_crowds_out_only_itself(sockets: ExitStack) -> None:
    known = clients(sockets, "b", *["a"] * PER_ADDRESS)
    assert crowded_out(known, "a") is known[1]
    assert crowded_out(known, "c") is None


def test_the_address_with_the_most_makes_room(sockets: ExitStack) -> None:
    known = clients(sockets, *[f"b{number}" for number in range(IN_ALL - 2)], "a", "a")
    assert crowded_out(reversed(known), "c") is known[-2]


class Served:
    """A client after its hello, to which no module is open yet."""

    def __init__(self, address: str) -> None:
        self.address, self.since_s, self.ended = address, 0.0, False

    def end(self) -> None:
        self.ended = True


RESET = b" (reset)"


class Door:
    """A greeter that listens, and its clients."""

    def __init__(self, sockets: ExitStack, tls: ssl.SSLContext | None = None, hello_s: float = 60) -> None:
        self.sockets = sockets
        self.listening = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = int(self.listening.getsockname()[1])
        self.served: list[Stranger] = []
        self.let_in: list[Client] = []
        self.greeter = Greeter(self.listening, tls, hello_s, lambda: self.served, ThrottledLog())

    def connect(self, says: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), source_address=(source, 0))
        self.sockets.enter_context(client)
        client.sendall(says)
        client.setblocking(False)
        self.turn()
        return client

    def turn(self) -> int:
        """Returns the number of clients that have been let in by now."""
        self.let_in += self.greeter.turn(0.02)
        return len(self.let_in)

    def answer(self, client: socket.socket) -> bytes:
        """All that the client gets until it is disconnected; RESET at its end if it sent more than was
        read."""
        got = bytearray()

        def is_closed() -> bool:
            self.turn()
            try:
                while chunk := client.recv(4096):
                    got.extend(chunk)
            except BlockingIOError:
                return False
            except ConnectionResetError:
                got.extend(RESET)
            return True

        eventually(is_closed, "it is disconnected", 10)
        return bytes(got)

    def is_open(self, client: socket.socket) -> bool:
        self.turn()
        try:
            return client.recv(1) != b""
        except BlockingIOError:
            return True


@pytest.fixture
def make_door(sockets: ExitStack) -> Iterator[Callable[..., Door]]:
    made: list[Door] = []

    def make(tls: ssl.SSLContext | None = None, hello_s: float = 60) -> Door:
        made.append(Door(sockets, tls, hello_s))
        return made[-1]

    yield make
    for door in made:
        door.greeter.close()


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    (tmp_path / "pem").write_text(make_identity().secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    return context


def test_a_client_is_let_in_by_its_whole_hello(make_door: Callable[..., Door]) -> None:
    door = make_door()
    client = door.connect()
    (stranger,) = door.greeter._clients
    assert not door.greeter._advanced(stranger)
    client.sendall(HELLO[:4])
    assert door.turn() == 0
    client.sendall(HELLO[4:] + b" 31.0\n")
    eventually(door.turn, "it is let in", 10)
    assert not door.listening.getblocking(), "a client that has left again would stop the thread"
    (let_in,) = door.let_in
    assert let_in.address == "127.0.0.1"
    assert let_in.connection.getblocking()
    assert let_in.connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1
    assert let_in.connection.recv(100) == HELLO + b" 31.0\n", "its server reads it again"
    assert let_in.hello == b""
    door.greeter.close()
    let_in.connection.sendall(b"served")
    assert client.recv(10) == b"served", "it is no more the greeter's"
    let_in.end()


def test_what_speaks_another_protocol_is_answered_and_logged(
    make_door: Callable[..., Door], caplog: pytest.LogCaptureFixture
) -> None:
    door = make_door()
    client = door.connect(b"GET / HTTP/1.1\r\n")
    assert door.answer(client) == b"@RSYNCD: 31.0\n@ERROR: protocol startup error\n"
    assert "a client at 127.0.0.1 was refused: it does not speak rsync's protocol" in caplog.text
    assert door.let_in == []


def test_what_connects_and_says_nothing_leaves_no_trace(
    make_door: Callable[..., Door], tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    """As programs do that check whether a port is open."""
    for door in (make_door(), make_door(tls)):
        for client in (door.connect(), door.connect()):
            client.shutdown(socket.SHUT_WR)
            assert door.answer(client) == b""
        assert door.greeter._clients == []
    assert caplog.text == ""


def test_a_connection_that_breaks_is_dropped(
    make_door: Callable[..., Door], caplog: pytest.LogCaptureFixture
) -> None:
    door = make_door()
    client = door.connect()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    eventually(lambda: door.turn() == 0 and not door.greeter._clients, "it is dropped", 10)
    assert "was refused: [Errno 104]" in caplog.text


def test_a_client_that_says_no_hello_in_time_is_disconnected(
    make_door: Callable[..., Door], caplog: pytest.LogCaptureFixture
) -> None:
    door = make_door(hello_s=5)
    late, early = door.connect(), door.connect()
    stranger = door.greeter._clients[0]
    stranger.since_s -= 5
    assert door.answer(late) == b""
    assert stranger.connection.fileno() == -1
    assert door.is_open(early)
    assert "no hello came within 5 s" in caplog.text


def test_who_makes_room_is_disconnected_and_the_new_client_stays(
    make_door: Callable[..., Door], caplog: pytest.LogCaptureFixture
) -> None:
    door = make_door()
    clients = [door.connect() for _ in range(PER_ADDRESS)]
    assert all(door.is_open(client) for client in clients)
    new = door.connect()
    assert door.answer(clients[0]) == b""
    assert all(door.is_open(client) for client in (*clients[1:], new))
    assert "too many clients have not given a password" in caplog.text

    served = Served("127.0.0.2")
    door.served += [served, *[Served("127.0.0.3") for _ in range(PER_ADDRESS)]]
    door.connect(source="127.0.0.2")
    assert not served.ended
    door.served += [Served("127.0.0.2") for _ in range(PER_ADDRESS - 2)]
    door.connect(source="127.0.0.2")
    assert served.ended


def test_a_hello_that_comes_as_its_client_makes_room_is_not_heard(make_door: Callable[..., Door]) -> None:
    door = make_door()
    oldest, *_ = [door.connect() for _ in range(PER_ADDRESS)]
    with socket.create_connection(("127.0.0.1", door.port)):
        oldest.sendall(HELLO)
        assert door.turn() == 0
        assert door.answer(oldest) == RESET
        assert door.let_in == []


def test_a_warning_that_anybody_can_cause_is_written_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = [1000.0]
    monkeypatch.setattr(greeter.time, "monotonic", lambda: now_s[0])
    throttled = ThrottledLog()
    for after_s, action in (
        (0, "stranger"),
        (59, "stranger"),
        (0, "stranger"),
        (0, "another"),
        (1, "stranger"),
    ):
        now_s[0] += after_s
        throttled.warning(action, f"{action} at {now_s[0]:g}")
    throttled.warning("stranger", "again")
    assert [record.getMessage() for record in caplog.records] == [
        "stranger at 1000",
        "another at 1059",
        "stranger at 1060 (2 more like it before)",
    ]


def test_a_closed_door_ends_its_clients_and_does_not_listen(make_door: Callable[..., Door]) -> None:
    door = make_door()
    client = door.connect()
    door.greeter.close()
    with contextlib.suppress(ConnectionResetError):
        client.setblocking(True)
        assert client.recv(1) == b""
    assert not listens(door.port)


def test_with_tls_a_client_without_it_learns_what_it_needs(
    make_door: Callable[..., Door], tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    door = make_door(tls)
    assert b"@ERROR: this harvester takes plots by TLS only" in door.answer(door.connect(HELLO))
    assert "it speaks no TLS" in caplog.text
    assert door.let_in == []


def test_with_tls_a_hello_is_heard_through_it(make_door: Callable[..., Door], tls: ssl.SSLContext) -> None:
    door = make_door(tls)
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    def speak(says: bytes) -> bytes:
        with (
            socket.create_connection(("127.0.0.1", door.port)) as plain,
            trusting.wrap_socket(plain) as client,
        ):
            client.sendall(says)
            return client.recv(100)

    with ThreadPoolExecutor() as clients:
        heard = clients.submit(speak, HELLO + b" 31.0\n")
        eventually(door.turn, "it is let in", 10)
        (let_in,) = door.let_in
        assert let_in.hello == HELLO + b" 31.0\n"
        assert let_in.connection.getblocking()
        let_in.connection.sendall(b"served")
        assert heard.result(10) == b"served"
        let_in.end()
        refused = clients.submit(speak, b"GET / HTTP/1.1\r\n")
        eventually(lambda: door.turn() and refused.done(), "it is refused", 10)
        assert refused.result() == b"@RSYNCD: 31.0\n@ERROR: protocol startup error\n"
    assert len(door.let_in) == 1


def test_half_a_handshake_wakes_nobody(make_door: Callable[..., Door], tls: ssl.SSLContext) -> None:
    door = make_door(tls)
    client = door.connect(b"\x16\x03\x01\x02\x00\x01")
    eventually(lambda: door.greeter._clients, "it is accepted", 10)
    door.turn()
    assert isinstance(door.greeter._clients[0].connection, ssl.SSLSocket)
    assert door.greeter._selector.select(0) == []
    assert door.is_open(client)


def test_a_handshake_that_fails_is_logged(
    make_door: Callable[..., Door], tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    door = make_door(tls)
    door.answer(door.connect(b"\x16 no handshake at all"))
    assert "the TLS handshake failed" in caplog.text
    assert door.greeter._clients == []
