"""Receivers: which are open, what they make of what a server's log says, and what a stop leaves."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.errors import TransferFailed
from common.model.ticket import Ticket
from common.names import TICKET_LIFETIME
from harvester_worker.receiver import receivers
from harvester_worker.receiver.connection import TIMEOUTS
from harvester_worker.receiver.greeter import HELLO, Client
from harvester_worker.receiver.receivers import ClosedReceiver, EndedTransfer, Receivers
from harvester_worker.receiver.rsyncd import RsyncModule, ServerLog
from tests.support.waiting import eventually

PLOT, OTHER = "0f" * 32, "1f" * 32
PART = Path(f"/drive/.incoming/{PLOT}.part")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Receivers]:
    one = Receivers(tmp_path / "receivers", "127.0.0.1", 0, lambda _: None)
    yield one
    one.stop()


def opened(made: Receivers, plot_id: str = PLOT, move: str = "one", plotter: str = "p1") -> Ticket:
    return made.open(plot_id, plotter, "/drive", Path(f"/drive/.incoming/{plot_id}.part"), move, 1 << 20)


def listens(ticket: Ticket) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", ticket.port)) == 0


def test_a_start_ends_servers_and_removes_files_of_a_worker_that_was_killed(
    made: Receivers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners: list[str] = []
    monkeypatch.setattr(receivers, "end_strays", lambda owner: owners.append(owner) or 1)
    (tmp_path / "receivers").mkdir()
    (tmp_path / "receivers" / "left.secrets").touch()
    made.start()
    assert owners == [str(tmp_path / "receivers")]
    assert not (tmp_path / "receivers").exists()
    made.start()  # for the first time


def test_a_stop_closes_all_receivers_and_opens_no_other(made: Receivers, tmp_path: Path) -> None:
    tickets = [opened(made, plot_id) for plot_id in (PLOT, OTHER)]
    assert len({ticket.port for ticket in tickets}) == 1
    made.stop()
    assert made.close(PLOT) is None, "it was closed"
    assert not listens(tickets[0])
    assert not (tmp_path / "receivers").exists()
    with pytest.raises(TransferFailed, match="about to stop"):
        opened(made)


def test_a_ticket_is_of_one_move_of_one_plotter(made: Receivers) -> None:
    first = opened(made)
    assert opened(made) == first, "its message came twice"
    second = opened(made, move="two")
    assert second.module != first.module
    assert opened(made, move="two", plotter="p2").module != second.module


def test_a_receiver_closes_for_good_and_spares_the_move_that_is_named(
    made: Receivers, tmp_path: Path
) -> None:
    ticket = opened(made)
    secret = tmp_path / "receivers" / f"{ticket.module}.secrets"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert made.close(PLOT, but_for="one") is None
    assert secret.exists()
    assert made.close(OTHER) is None
    closed = made.close(PLOT, but_for="two")
    assert closed is not None
    assert closed.plotter == "p1"
    assert not secret.exists()
    assert made.close(PLOT) is None
    eventually(lambda: not listens(ticket), "without a receiver nothing listens")


def test_a_receiver_closes_for_its_own_plotter_only(made: Receivers) -> None:
    opened(made)
    assert made.close(PLOT, plotter="p2") is None
    assert made.close(PLOT, plotter="p1") is not None
    made.open(PLOT, "p1", "/drive", PART, None, 1 << 20)
    assert made.close(PLOT) is not None, "it was opened for no move"


def test_a_path_that_rsync_would_read_otherwise_gets_no_receiver(made: Receivers) -> None:
    with pytest.raises(TransferFailed, match="plainer name"):
        made.open(PLOT, "p1", "/%", Path("/%USER%/.incoming/1.part"), "one", 1 << 20)
    assert made.close(PLOT) is None


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        made = Receivers(tmp_path / "receivers", "127.0.0.1", port, lambda _: None)
        with pytest.raises(TransferFailed, match=f"Port {port} cannot be listened on"):
            opened(made)
    made.stop()


class Server:
    """Stands for the connection of a client after its hello. The test says what its log says."""

    def __init__(self, client: Client, config: Path, log_file: Path, mark: str, *about: Any) -> None:
        self.address, self.since_s = client.address, client.since_s
        self.client, self.config, self.log_file, self.about = client, config, log_file, about
        self.log = ServerLog(mark)
        self.runs, self.ended, self.polls = True, False, 0
        self.expected: tuple[RsyncModule, int] | None = None
        self.last: str | None = None  # digest that is read as the server ends
        self.fails: list[Exception] = []

    def poll(self) -> bool:
        self.polls += 1
        if self.fails:
            raise self.fails.pop()
        return self.runs

    def expects(self, module: RsyncModule, begun_bytes: int) -> None:
        self.expected = module, begun_bytes

    def end(self) -> None:
        self.ended = True

    def wait_ended(self) -> None:
        self.ended, self.runs, self.log.digest = True, False, self.last


class House:
    """A harvester's receivers, and the servers of the clients that have connected."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.servers: list[Server] = []
        self.arrived: list[tuple[Path, str]] = []
        self.transfers: list[EndedTransfer] = []
        monkeypatch.setattr(receivers, "ReceiverConnection", self._serve)
        self.receivers = Receivers(
            folder / "receivers",
            "127.0.0.1",
            0,
            self.transfers.append,
            on_arrived=lambda part, digest: self.arrived.append((part, digest)),
        )

    def _serve(self, *about: Any) -> Server:
        self.servers.append(Server(*about))
        return self.servers[-1]

    def connect(self, ticket: Ticket, module: str | None) -> Server:
        """A client that is admitted to this module."""
        before = len(self.servers)
        with socket.create_connection(("127.0.0.1", ticket.port)) as client:
            client.sendall(HELLO)
            eventually(lambda: len(self.servers) > before, "it is served", 10)
        self.servers[-1].log.module = module
        self.supervise(self.servers[-1])
        return self.servers[-1]

    def supervise(self, server: Server) -> None:
        """Wait until it has been looked after, all of it."""
        polls = server.polls
        eventually(lambda: server.polls > polls + 1 or not server.runs, "it is polled", 10)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    made = House(tmp_path, monkeypatch)
    yield made
    for server in made.servers:
        server.runs = False
        server.client.end()
    made.receivers.stop()


def test_each_client_gets_a_server_with_the_receivers_that_are_open(house: House, tmp_path: Path) -> None:
    tickets = [opened(house.receivers, plot_id) for plot_id in (PLOT, OTHER)]
    first, second = (house.connect(tickets[0], None) for _ in range(2))
    for server in (first, second):
        text = server.config.read_text()
        assert all(f"[{ticket.module}]" in text for ticket in tickets)
        assert f"log file = {server.log_file}\n" in text
        assert f"log format = {server.log.mark} %C\n" in text
        assert server.about == (TIMEOUTS, "rsync", str(tmp_path / "receivers"))
        assert server.client.connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert not server.ended
    assert (first.config, first.log_file) != (second.config, second.log_file)
    assert first.log.mark != second.log.mark
    assert house.receivers._not_admitted() == [first, second]
    second.log.module = tickets[1].module
    assert house.receivers._not_admitted() == [first]


def test_a_server_knows_how_much_of_the_part_is_from_earlier_runs(house: House) -> None:
    ticket = opened(house.receivers)
    server = house.connect(ticket, ticket.module)
    assert server.expected is not None
    assert (server.expected[0].part, server.expected[1]) == (PART, 0)
    again = house.receivers.open(PLOT, "p1", "/drive", PART, "one", 1 << 20, 500)
    assert again is ticket
    house.supervise(server)
    assert server.expected[1] == 500


def test_a_plot_that_arrived_is_reported_once_and_its_digest_stays(house: House) -> None:
    ticket = opened(house.receivers)
    server = house.connect(ticket, ticket.module)
    server.log.digest = "aa"
    eventually(lambda: house.arrived, "it is reported", 10)
    house.supervise(server)
    assert house.arrived == [(PART, "aa")]
    server.log.digest = "bb"
    eventually(lambda: len(house.arrived) > 1, "it arrived anew", 10)
    assert house.arrived[1:] == [(PART, "bb")]
    house.connect(ticket, ticket.module)
    assert len(house.arrived) == 2, "nothing of another try has arrived"
    assert house.receivers.close(PLOT) == ClosedReceiver("p1", "bb"), "the server's end says no more"


def test_a_digest_that_comes_as_the_receiver_closes_counts(house: House) -> None:
    tickets = [opened(house.receivers, plot_id) for plot_id in (PLOT, OTHER)]
    server, other = (house.connect(ticket, ticket.module) for ticket in tickets)
    server.last, other.last = "cc", "dd"
    assert house.receivers.close(PLOT) == ClosedReceiver("p1", "cc")
    assert (server.ended, other.ended) == (True, False)


def test_a_drive_that_fails_ends_the_transfer_and_its_receiver(house: House) -> None:
    ticket = opened(house.receivers)
    server = house.connect(ticket, ticket.module)
    server.log.trouble = "No space left on device"
    eventually(lambda: house.transfers, "it is reported", 10)
    assert house.transfers == [EndedTransfer(PLOT, "p1", "/drive", ticket, "No space left on device")]
    assert server.ended
    assert house.receivers.close(PLOT) is None


def test_a_plotter_that_sends_more_than_it_announced_loses_its_receiver(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    ticket = opened(house.receivers)
    server = house.connect(ticket, ticket.module)
    server.log.oversent, server.log.trouble = True, "File too large"
    eventually(lambda: server.ended, "it is ended", 10)
    eventually(lambda: not house.receivers._receivers, "its receiver is closed", 10)
    assert house.transfers == []
    assert "p1 sends more of a plot than the 1048576 bytes that it announced" in caplog.text


def test_a_server_of_a_receiver_that_was_closed_is_ended(house: House) -> None:
    """It read its configuration just before."""
    ticket = opened(house.receivers)
    assert not house.connect(ticket, None).ended
    assert house.connect(ticket, "0123456789abcdef").ended
    assert house.receivers.close(PLOT) is not None


def test_a_wrong_password_is_logged_as_its_server_ends(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    ticket = opened(house.receivers)
    other, server = (house.connect(ticket, None) for _ in range(2))
    other.runs = False
    server.log.refused = "ab"
    house.supervise(server)
    assert "wrong password" not in caplog.text
    server.runs = False
    eventually(lambda: "a client at 127.0.0.1 gave a wrong password" in caplog.text, "it is logged", 10)
    eventually(lambda: house.receivers._connections == [], "it is forgotten", 10)


def test_a_receiver_that_is_not_used_for_as_long_as_its_ticket_lives_is_closed(house: House) -> None:
    tickets = [opened(house.receivers, plot_id) for plot_id in (PLOT, OTHER)]
    server = house.connect(tickets[0], tickets[0].module)
    grace_s = TICKET_LIFETIME.total_seconds()
    for receiver in house.receivers._receivers.values():
        receiver.used_s -= grace_s - 5
    assert opened(house.receivers, OTHER) == tickets[1], "it is asked for again"
    for receiver in house.receivers._receivers.values():
        receiver.used_s -= grace_s - 5
    house.supervise(server)
    assert len(house.receivers._receivers) == 2
    for receiver in house.receivers._receivers.values():
        receiver.used_s -= 6
    eventually(lambda: house.receivers._of(OTHER) is None, "it is closed", 10)
    assert house.receivers.close(PLOT) is not None, "a client fills its part"


def test_an_error_stops_neither_the_supervision_nor_the_listening(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    ticket = opened(house.receivers)
    server = house.connect(ticket, ticket.module)
    server.fails.append(OSError(28, "No space left on device"))
    eventually(lambda: "supervising the receivers failed" in caplog.text, "it is logged", 10)
    assert house.connect(ticket, ticket.module).expected is not None
    server.log.digest = "aa"
    eventually(lambda: house.arrived, "the first is supervised as well", 10)


def test_the_port_stays_open_until_the_last_server_has_ended(house: House) -> None:
    ticket = opened(house.receivers)
    server = house.connect(ticket, None)
    house.receivers.close(PLOT)
    house.supervise(server)
    assert listens(ticket)
    server.runs = False
    eventually(lambda: not listens(ticket), "nobody needs it", 10)
    thread = house.receivers._thread
    eventually(lambda: thread and not thread.is_alive(), "nor its thread", 10)
    assert opened(house.receivers).port


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_plotters_may_use_any_address(made: Receivers) -> None:
    port = opened(made).port
    for address in ("127.0.0.1", "::1"):
        socket.create_connection((address, port)).close()


def test_all_tickets_of_a_start_have_one_certificate_and_its_key_is_secret(tmp_path: Path) -> None:
    made = Receivers(tmp_path / "receivers", "127.0.0.1", 0, lambda _: None, tls=True)
    pem = tmp_path / "receivers" / "receiver.pem"
    first, second = opened(made), opened(made, OTHER)
    assert first.certificate is not None
    assert first.certificate == second.certificate
    assert first.certificate in pem.read_text()
    assert pem.stat().st_mode & 0o777 == 0o600
    for plot_id in (PLOT, OTHER):
        made.close(plot_id)
    eventually(lambda: not listens(first), "nobody needs it", 10)
    again = opened(made)
    assert again.certificate == first.certificate, "its file is there already"
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", again.port)) as client,
        pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"),
    ):
        old.wrap_socket(client)
    made.stop()
