"""A receiver that takes TLS only: what can be seen on the wire, and who is refused."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.errors import TransferFailed
from common.store import Board
from common.worker.move_step import never
from harvester_worker.receiver.identity import make_identity
from plotter_worker.archiving.transfer.progress import TransferProgress
from tests.support.receiver import MB, PLOT_ID, House
from tests.support.site import HERE, THERE, Site, id_of
from tests.support.waiting import eventually


class Tap:
    """Stands between plotter and harvester, and keeps all that passes, either way."""

    def __init__(self, port: int) -> None:
        self.heard = bytearray()
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        try:
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()
        except OSError:
            return

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while chunk := source.recv(1 << 16):
                self.heard += chunk
                sink.sendall(chunk)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.fixture
def tap() -> Iterator[Callable[[int], Tap]]:
    made: list[Tap] = []

    def make(port: int) -> Tap:
        made.append(Tap(port))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_neither_the_plot_nor_the_way_in_can_be_read_on_the_wire(
    make_house: Callable[..., House], tap: Callable[[int], Tap]
) -> None:
    house = make_house(8 * MB, tls=True)
    ticket = house.open()
    wire = tap(ticket.port)
    told: list[TransferProgress] = []

    sent = house.send(ticket.model_copy(update={"port": wire.port}), tell=told.append)

    plot = house.source.read_bytes()
    assert house.part.read_bytes() == plot
    assert sent.digest is not None
    assert told[-1].percent == 100
    assert len(wire.heard) > len(plot)
    readable = [plot[at : at + 32] for at in range(0, len(plot) - 32, 1 << 16)]
    readable += [word.encode() for word in (PLOT_ID, ticket.module, ticket.password.get_secret_value())]
    readable += [b"@RSYNCD", b"password"]
    assert [text for text in readable if text in wire.heard] == []
    assert list((house.folder / "tickets").iterdir()) == []
    eventually(lambda: not house.servers(), "the server has ended")


def test_the_tap_hears_a_plot_that_comes_in_without_tls(
    make_house: Callable[..., House], tap: Callable[[int], Tap]
) -> None:
    """Else the test before this one would show nothing."""
    house = make_house(MB)
    ticket = house.open()
    wire = tap(ticket.port)

    house.send(ticket.model_copy(update={"port": wire.port}))

    assert house.source.read_bytes()[:4096] in wire.heard
    assert ticket.module.encode() in wire.heard


def test_a_receiver_with_another_certificate_is_not_spoken_to(
    make_house: Callable[..., House], tap: Callable[[int], Tap]
) -> None:
    house = make_house(MB, tls=True)
    ticket = house.open()
    wire = tap(ticket.port)
    another = make_identity().certificate

    with pytest.raises(TransferFailed, match="another certificate"):
        house.send(ticket.model_copy(update={"port": wire.port, "certificate": another}))

    assert house.part.stat().st_size == 0
    assert b"@RSYNCD" not in wire.heard
    house.send(ticket)  # the receiver itself is as good as ever


def test_a_ticket_with_a_certificate_never_leads_in_without_tls(
    make_house: Callable[..., House], tap: Callable[[int], Tap]
) -> None:
    house = make_house(MB)
    ticket = house.open()
    wire = tap(ticket.port)

    with pytest.raises(TransferFailed, match="does not speak TLS"):
        house.send(ticket.model_copy(update={"port": wire.port, "certificate": make_identity().certificate}))

    assert house.part.stat().st_size == 0
    assert ticket.module.encode() not in wire.heard


def test_a_plotter_of_an_older_version_is_told_why_it_is_refused(
    make_house: Callable[..., House], caplog: pytest.LogCaptureFixture
) -> None:
    house = make_house(MB, tls=True)
    ticket = house.open()

    with pytest.raises(TransferFailed, match=r"by TLS only.*install"):
        house.send(ticket.model_copy(update={"certificate": None}))

    assert house.part.stat().st_size == 0
    eventually(lambda: "speaks no TLS" in caplog.text, "the harvester's log says so, too")


def test_where_nobody_listens_the_address_is_named(make_house: Callable[..., House]) -> None:
    house = make_house(MB, tls=True)
    ticket = house.open()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(TransferFailed, match=f"127.0.0.1:{port} does not answer"):
        house.send(ticket.model_copy(update={"port": port}))


@pytest.mark.plotter
def test_the_plotter_knows_the_certificate_by_its_ticket_alone(
    farm: Callable[..., Any], drive: Path, board: Board, source: Path, tmp_path: Path
) -> None:
    site = Site(farm(drive), board, tmp_path, tls=True)
    try:
        reservation = site.intake.reserve(site.order(source))
        ticket = board.ticket(HERE, THERE, id_of(source))
        delivery = site.send(source, reservation)
        admission = site.intake.admit(delivery, never)
    finally:
        site.intake.stop()

    assert Path(admission.landed).read_bytes() == source.read_bytes()
    assert ticket is not None
    assert ticket.certificate is not None
    told = f"{reservation.kwargs()}{delivery.kwargs()}{admission.kwargs()}{site.told}"
    assert "CERTIFICATE" not in told
    assert "PRIVATE KEY" not in ticket.written()
    assert list((tmp_path / "state" / "tickets").iterdir()) == []
    assert not (tmp_path / "receivers").exists()  # nor its key


def test_each_worker_has_a_certificate_of_its_own_that_no_clock_makes_invalid(tmp_path: Path) -> None:
    from cryptography import x509

    one, other = make_identity(), make_identity()
    read = x509.load_pem_x509_certificate(one.certificate.encode())

    assert one.certificate != other.certificate
    assert one.secret not in repr(one)
    assert (read.not_valid_before_utc.year, read.not_valid_after_utc.year) == (1970, 9999)
