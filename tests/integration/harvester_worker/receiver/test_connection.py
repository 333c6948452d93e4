"""Transfers through a harvester's receiver that are slowed down, or that nothing good can come of."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from common.errors import TransferFailed
from common.model.ticket import Ticket
from harvester_worker.receiver import connection
from harvester_worker.receiver.connection import SLOWEST_SOURCE_BYTES_S, TIMEOUTS, ReceiverTimeouts
from plotter_worker.archiving.transfer.bandwidth import Bandwidth, available
from plotter_worker.archiving.transfer.progress import TransferProgress
from tests.support.receiver import MB, PLOT_ID, House
from tests.support.site import Site
from tests.support.waiting import eventually


def test_a_drive_that_somebody_filled_ends_the_transfer_at_once(
    make_house: Callable[..., House], mounted_drive: Callable[[int], Path]
) -> None:
    drive = mounted_drive(48 * MB)
    house = make_house(200 * MB, drive)

    begun_s = time.monotonic()
    with pytest.raises(TransferFailed):
        house.send(house.open(), "--bwlimit=20000")  # the whole would take ten seconds

    assert time.monotonic() - begun_s < 6
    ended = eventually(lambda: house.ended, "the plotter is to be told why")
    assert "No space left on device" in ended[0].reason
    assert ended[0].drive == str(house.incoming.parent)
    assert house.receivers.close(PLOT_ID) is None  # it is closed already


@contextmanager
def frozen_client(house: House, ticket: Ticket, limit: str, begun_bytes: int) -> Iterator[None]:
    """A client that stands still once more than `begun_bytes` are in the part."""
    pids: list[int] = []

    def send() -> None:
        with pytest.raises(TransferFailed):
            house.send(ticket, limit, started=pids.append)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        eventually(lambda: house.part.stat().st_size > begun_bytes, "bytes arrive")
        os.kill(pids[0], signal.SIGSTOP)
        yield
    finally:
        os.kill(pids[0], signal.SIGKILL)
        sending.join(10)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_client_that_is_frozen_is_ended_and_the_part_kept(
    make_house: Callable[..., House], tls: bool
) -> None:
    house = make_house(64 * MB, timeouts=ReceiverTimeouts(stale_s=3), tls=tls)
    with frozen_client(house, house.open(), "--bwlimit=10000", MB):
        eventually(lambda: not house.servers(), "its server is ended", 15)
        assert house.part.stat().st_size > MB


def test_a_client_that_has_much_to_compare_first_may_be_silent_for_longer(
    make_house: Callable[..., House],
) -> None:
    begun_bytes = 32 * MB
    house = make_house(64 * MB, timeouts=ReceiverTimeouts(stale_s=0.5))
    house.part.write_bytes(house.source.read_bytes()[:begun_bytes])
    ticket = house.open(begun_bytes=begun_bytes)
    with frozen_client(house, ticket, "--bwlimit=1000", begun_bytes):
        silent_s = time.monotonic()
        eventually(lambda: not house.servers(), "its server is ended all the same", 15)
        assert time.monotonic() - silent_s > begun_bytes / SLOWEST_SOURCE_BYTES_S


def test_a_server_whose_drive_hangs_is_not_waited_for_without_end(
    make_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    house = make_house(64 * MB, timeouts=ReceiverTimeouts(stale_s=0.5, drive_s=0.5))
    # As the kernel tells of a process that waits for its drive and gets nothing.
    monkeypatch.setattr(connection, "_progress", lambda leader, part: (1, True))

    with pytest.raises(TransferFailed):
        house.send(house.open(), "--bwlimit=2000")  # the whole would take half a minute

    assert house.part.stat().st_size < 64 * MB
    eventually(lambda: not house.servers(), "its server is ended")


@pytest.mark.plotter
@pytest.mark.parametrize("move", ["one", "two"], ids=["asked for twice", "asked for anew"])
def test_a_receiver_to_a_part_that_was_begun_knows_how_much_there_is_to_compare(
    site: Site, source: Path, monkeypatch: pytest.MonkeyPatch, move: str
) -> None:
    opened: list[int] = []
    receivers = site.intake._receivers
    really = receivers.open

    def open_receiver(*about: Any) -> Any:
        opened.append(about[-1])
        return really(*about)

    monkeypatch.setattr(receivers, "open", open_receiver)
    part = Path(site.intake.reserve(site.order(source)).part or "")
    part.write_bytes(bytes(100_000))
    site.intake.reserve(site.order(source, move))

    assert opened == [0, 100_000]


@pytest.mark.skipif(not available(), reason="this kernel does not let us reach into our child's sockets")
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_the_bandwidth_changes_while_a_transfer_runs(make_house: Callable[..., House], tls: bool) -> None:
    house = make_house(96 * MB, timeouts=replace(TIMEOUTS, nameless_s=2), tls=tls)  # who has a name stays
    limit: list[int | None] = [8 * MB]
    bandwidth = Bandwidth(lambda: limit[0])
    begun_s = time.monotonic()
    paced: list[tuple[float, int]] = []
    slow: list[float] = []

    def tell(progress: TransferProgress) -> None:
        now_s = time.monotonic()
        if limit[0] is None or now_s - begun_s < 1:  # before it is paced, loopback takes as much as it can
            return
        paced.append((now_s, progress.done_bytes))
        (first_s, first_bytes), took_s = paced[0], now_s - paced[0][0]
        if took_s > 2:
            slow.append((progress.done_bytes - first_bytes) / (now_s - first_s))
            limit[0] = None

    sent = house.send(house.open(), tell=tell, started=bandwidth.add)

    assert slow
    assert 4 * MB < slow[0] < 16 * MB
    assert sent.took_s < 11  # the whole would take twelve seconds at that rate


def test_servers_of_a_worker_that_was_killed_are_ended(make_house: Callable[..., House]) -> None:
    house = make_house(16 * MB)
    ticket = house.open()
    begun = threading.Event()

    def send() -> None:
        with pytest.raises(TransferFailed):
            house.send(ticket, "--bwlimit=5000", tell=lambda _: begun.set())

    sending = threading.Thread(target=send)
    sending.start()
    assert begun.wait(10)
    eventually(house.servers, "somebody serves")

    assert connection.end_strays("others") == 0
    assert connection.end_strays(str(house.folder / "receivers")) >= 1
    assert not house.servers()
    sending.join(10)
