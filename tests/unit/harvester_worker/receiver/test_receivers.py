"""Receivers without a client: what is open, what is left after a stop, and after a worker that was killed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import TransferFailed
from common.model.ticket import Ticket
from harvester_worker.receiver import receivers
from harvester_worker.receiver.receivers import Receivers
from tests.support.waiting import eventually

PLOT, OTHER = "0f" * 32, "1f" * 32


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


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        made = Receivers(tmp_path / "receivers", "127.0.0.1", port, lambda _: None)
        with pytest.raises(TransferFailed, match=f"Port {port} cannot be listened on"):
            opened(made)
    made.stop()
