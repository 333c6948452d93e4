"""The way in from other machines: real rsync through a harvester's receiver."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from common.errors import BrokerError, TransferFailed
from common.model.ticket import Ticket
from harvester_worker.receiver.receivers import ClosedReceiver, Receivers
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.archiving.transfer.transport import ThroughReceiver
from tests.support.ports import listens
from tests.support.receiver import MB, PLOT_ID, House
from tests.support.waiting import eventually


def test_a_plot_comes_in_and_its_digest_with_it(make_house: Callable[..., House]) -> None:
    house = make_house()
    told: list[TransferProgress] = []

    sent = house.send(house.open(), tell=told.append)
    closed = house.receivers.close(PLOT_ID)

    assert closed is not None
    assert closed.digest == sent.digest
    assert house.part.read_bytes() == house.source.read_bytes()
    assert sent.digest is not None
    assert told[-1].percent == 100
    assert list((house.folder / "tickets").iterdir()) == []
    eventually(lambda: not house.servers(), "the server has ended")


def test_a_closed_receiver_lets_nobody_in_and_nobody_listens(make_house: Callable[..., House]) -> None:
    house = make_house()
    ticket = house.open()
    assert house.open() is ticket  # asked for again by the same move
    renewed = house.open("two")
    with pytest.raises(TransferFailed, match="refused the password"):
        house.send(ticket)

    house.send(renewed)
    closed = house.receivers.close(PLOT_ID)
    assert closed is not None
    assert closed.plotter == "plotter1"

    eventually(lambda: not listens(renewed.port), "nobody listens")
    with pytest.raises(TransferFailed, match="nothing listens"):
        house.send(renewed)
    assert house.receivers.close(PLOT_ID) is None


def test_a_plot_has_one_receiver_also_if_two_moves_ask_at_a_time(
    make_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    house = make_house()
    house.open("one")
    close, between = house.receivers.close, []

    def close_and_be_overtaken(plot_id: str) -> ClosedReceiver | None:
        closed = close(plot_id)
        if not between:
            between.append(house.open("between"))
        return closed

    monkeypatch.setattr(house.receivers, "close", close_and_be_overtaken)
    latest = house.open("two")

    with pytest.raises(TransferFailed, match="refused the password"):
        house.send(between[0])
    house.send(latest)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_transfer_that_is_cut_sends_at_most_a_twentieth_again(
    make_house: Callable[..., House], tls: bool
) -> None:
    size_bytes = 128 * MB
    house = make_house(size_bytes, tls=tls)
    pids: list[int] = []

    def cut(progress: TransferProgress) -> None:
        if progress.done_bytes > 0.45 * size_bytes and pids:
            os.kill(pids.pop(), signal.SIGKILL)

    with pytest.raises(TransferFailed, match="signal 9"):
        house.send(house.open(), "--bwlimit=30000", tell=cut, started=pids.append)
    ticket = house.open("two")  # which ends a server that still writes
    there_bytes = house.part.stat().st_size
    assert 0.3 * size_bytes < there_bytes < size_bytes

    sent = house.send(ticket)

    assert house.part.read_bytes() == house.source.read_bytes()
    assert sent.digest is not None
    assert sent.sent_bytes - (size_bytes - there_bytes) < 0.05 * size_bytes


def test_two_receivers_are_open_on_one_port_and_lead_to_one_part_each(
    make_house: Callable[..., House],
) -> None:
    house = make_house()
    other = house.incoming / f"{'cd' * 32}.part"
    other.touch()
    ours = house.open()
    theirs = house.receivers.open("cd" * 32, "plotter2", str(house.incoming.parent), other, "three", 8 * MB)

    assert ours.port == theirs.port
    swapped = theirs.model_copy(update={"module": ours.module})
    with pytest.raises(TransferFailed, match="refused the password"):
        house.send(swapped)  # the other's password opens nothing here
    house.send(ours)

    assert other.stat().st_size == 0
    assert house.part.stat().st_size == house.source.stat().st_size


def test_a_port_in_use_is_reported_with_a_remedy(tmp_path: Path) -> None:
    part = tmp_path / "drive" / ".incoming" / f"{PLOT_ID}.part"
    with socket.create_server(("", 0)) as taken:
        receivers = Receivers(tmp_path / "receivers", "127.0.0.1", taken.getsockname()[1], lambda _: None)
        with pytest.raises(TransferFailed, match=r"harvester\.receiver_port"):
            receivers.open(PLOT_ID, "plotter1", str(tmp_path), part, None, MB)


def test_a_failure_that_the_harvester_tells_is_the_reason(tmp_path: Path) -> None:
    told = Ticket(
        plot_id=PLOT_ID,
        address="h",
        port=1024,
        module="ab" * 8,
        password="x" * 43,
        failure="/farm/1 failed: no space",
    )
    with pytest.raises(TransferFailed, match=r"no space.*another drive"):
        ThroughReceiver(PurePosixPath("/farm/1/.incoming/a.part"), lambda: told, tmp_path).check()


def test_without_the_board_there_is_no_transfer(tmp_path: Path) -> None:
    def away() -> Ticket:
        raise BrokerError("Redis does not answer.")

    with pytest.raises(BrokerError):
        ThroughReceiver(PurePosixPath("/farm/1/.incoming/a.part"), away, tmp_path).check()
