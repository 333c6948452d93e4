"""The way in from other machines: real rsync through a harvester's door, and what must not get through it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest

from common.errors import BrokerError, TransferFailed
from common.moving import never
from common.ticket import Ticket
from harvester_worker.door import connection
from harvester_worker.door.connection import PATIENCE, Patience
from harvester_worker.door.doors import Doomed, Doors
from plotter_worker.transfer.bandwidth import Bandwidth
from plotter_worker.transfer.pacing import available
from plotter_worker.transfer.progress import Progress
from plotter_worker.transfer.rsync import command
from plotter_worker.transfer.run import Sent, run
from plotter_worker.transfer.transport import ThroughDoor
from tests.support.waiting import eventually

PLOT_ID = "ab" * 32
MB = 1 << 20


@dataclass
class House:
    """A harvester with one drive, an open door for one part, and a plotter's file for it."""

    folder: Path
    doors: Doors
    ended: list[Doomed] = field(default_factory=list)

    @property
    def incoming(self) -> Path:
        return self.folder / "drive" / ".incoming"

    @property
    def part(self) -> Path:
        return self.incoming / f"{PLOT_ID}.part"

    @property
    def source(self) -> Path:
        return self.folder / "dst" / f"plot-k18-2026-11-22-15-48-{PLOT_ID}.plot"

    def open(self, move: str = "one") -> Ticket:
        return self.doors.open(PLOT_ID, "plotter1", str(self.incoming.parent), self.part, move)

    def send(
        self,
        ticket: Ticket,
        *more: str,
        tell: Callable[[Progress], None] = lambda _: None,
        started: Callable[[int], None] = lambda _: None,
    ) -> Sent:
        """As the archiver does it."""
        way = ThroughDoor(self.part, lambda: ticket, self.folder / "tickets")
        with way.opened() as (target, options):
            return run(command(str(self.source), target, (*options, *more)), tell, never, "us", started)

    def servers(self) -> list[psutil.Process]:
        mine = str(self.folder / "doors")
        return [process for process in psutil.Process().children(recursive=True) if _mark(process) == mine]


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(connection.MARK)
    except psutil.Error:
        return None


@pytest.fixture
def make_house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    made: list[House] = []

    def make(size_bytes: int = 8 * MB, drive: Path | None = None, patience: Patience = PATIENCE) -> House:
        ended: list[Doomed] = []
        doors = Doors(tmp_path / "doors", "127.0.0.1", 0, ended.append, patience)
        house = House(tmp_path, doors, ended)
        if drive is not None:
            (tmp_path / "drive").symlink_to(drive)
        house.incoming.mkdir(parents=True)
        house.source.parent.mkdir()
        house.part.touch()
        house.source.write_bytes(os.urandom(size_bytes))
        made.append(house)
        return house

    yield make
    for house in made:
        house.doors.stop()


def test_a_plot_comes_in_and_its_digest_with_it(make_house: Callable[..., House]) -> None:
    house = make_house()
    told: list[Progress] = []

    sent = house.send(house.open(), tell=told.append)

    assert house.part.read_bytes() == house.source.read_bytes()
    assert sent.digest is not None
    assert told[-1].percent == 100
    assert list((house.folder / "tickets").iterdir()) == []
    eventually(lambda: not house.servers(), "the server has ended")


def test_a_closed_door_lets_nobody_in_and_nobody_listens(make_house: Callable[..., House]) -> None:
    house = make_house()
    ticket = house.open()
    assert house.open() is ticket  # asked for again by the same move
    renewed = house.open("two")
    with pytest.raises(TransferFailed, match="did not let us in"):
        house.send(ticket)

    house.send(renewed)
    assert house.doors.close(PLOT_ID) == "plotter1"

    eventually(lambda: not _listens(renewed.port), "nobody listens")
    with pytest.raises(TransferFailed, match="nobody listens"):
        house.send(renewed)
    assert house.doors.close(PLOT_ID) is None


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_a_transfer_that_is_cut_sends_at_most_a_twentieth_again(make_house: Callable[..., House]) -> None:
    size_bytes = 128 * MB
    house = make_house(size_bytes)
    pids: list[int] = []

    def cut(progress: Progress) -> None:
        if progress.done_bytes > 0.45 * size_bytes and pids:
            os.kill(pids.pop(), signal.SIGKILL)

    with pytest.raises(TransferFailed, match="signal 9"):
        house.send(house.open(), "--bwlimit=30000", tell=cut, started=pids.append)
    ticket = house.open("two")  # which ends whoever still writes
    there_bytes = house.part.stat().st_size
    assert 0.3 * size_bytes < there_bytes < size_bytes

    sent = house.send(ticket)

    assert house.part.read_bytes() == house.source.read_bytes()
    assert sent.digest is not None
    assert sent.sent_bytes - (size_bytes - there_bytes) < 0.05 * size_bytes


def test_two_doors_are_open_on_one_port_and_lead_to_one_part_each(make_house: Callable[..., House]) -> None:
    house = make_house()
    other = house.incoming / f"{'cd' * 32}.part"
    other.touch()
    ours = house.open()
    theirs = house.doors.open("cd" * 32, "plotter2", str(house.incoming.parent), other, "three")

    assert ours.port == theirs.port
    swapped = theirs.model_copy(update={"module": ours.module})
    with pytest.raises(TransferFailed, match="did not let us in"):
        house.send(swapped)  # the other's password opens nothing here
    house.send(ours)

    assert other.stat().st_size == 0
    assert house.part.stat().st_size == house.source.stat().st_size


# What somebody with the ticket might try; DIR is a folder of his with x.plot in it, URL the door.
STRAIGHT = ["--append-verify", "--fsync"]
ATTACKS = {
    "list": ["URL/"],
    "list the modules": ["HOST/"],
    "read the part": ["URL/PART", "DIR/got"],
    "read a plot": ["URL/../farmed.plot", "DIR/got"],
    "take and remove": ["--remove-source-files", "URL/PART", "DIR/got"],
    "write another name": [*STRAIGHT, "DIR/x.plot", "URL/x.plot"],
    "write into the farmed folder": [*STRAIGHT, "DIR/x.plot", "URL/../x.plot"],
    "append to a farmed plot": [*STRAIGHT, "DIR/x.plot", "URL/../farmed.plot"],
    "write another's part": [*STRAIGHT, "DIR/x.plot", "URL/other.part"],
    "write two files": [*STRAIGHT, "DIR/x.plot", "DIR/y.plot", "URL/"],
    "delete by an empty folder": ["-r", "--delete", "DIR/empty/", "URL/"],
    "make folders": ["-r", "DIR/tree", "URL/"],
    "make missing folders": ["--mkpath", "DIR/x.plot", "URL/a/b/PART"],
    "put a symbolic link": ["-l", "DIR/link", "URL/PART"],
    "put a hard link": ["--link-dest=/", "DIR/x.plot", "URL/PART"],
    "put a device": ["-D", "DIR/fifo", "URL/PART"],
    "change permissions": ["-p", "--chmod=000", "DIR/x.plot", "URL/PART"],
    "change times": ["-t", "DIR/x.plot", "URL/PART"],
    "replace instead of appending": ["-W", "DIR/x.plot", "URL/PART"],
    "back up": ["--backup", *STRAIGHT, "DIR/x.plot", "URL/PART"],
    "temporary files elsewhere": ["--temp-dir=/", "DIR/x.plot", "URL/PART"],
    "partial files elsewhere": ["--partial-dir=/", "DIR/x.plot", "URL/PART"],
    "write a log": ["-M--log-file=DIR/log", *STRAIGHT, "DIR/x.plot", "URL/PART"],
    "compress": ["-z", *STRAIGHT, "DIR/x.plot", "URL/PART"],
}


@pytest.fixture
def besieged(make_house: Callable[..., House]) -> tuple[House, Path]:
    house = make_house(MB)
    drive = house.incoming.parent
    (drive / "farmed.plot").write_bytes(b"plot" * 100)
    (house.incoming / "other.part").write_bytes(b"part")
    own = house.folder / "own"
    (own / "empty").mkdir(parents=True)
    (own / "tree" / "below").mkdir(parents=True)
    for name in ("x.plot", "y.plot"):
        (own / name).write_bytes(b"evil" * 1000)
    (own / "link").symlink_to("/etc/passwd")
    os.mkfifo(own / "fifo")
    return house, own


def _state(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_mtime_ns, content)
    return found


def test_with_a_ticket_nothing_can_be_done_but_fill_the_one_part(besieged: tuple[House, Path]) -> None:
    house, own = besieged
    ticket = house.open()
    password = own / "password"
    password.write_text(ticket.password.get_secret_value())
    password.chmod(0o600)
    host = f"rsync://{ticket.module}@127.0.0.1:{ticket.port}"
    drive = (house.folder / "drive").resolve()
    before = _state(drive)

    def attack(words: list[str]) -> subprocess.CompletedProcess[str]:
        argv = [
            word.replace("URL", f"{host}/{ticket.module}")
            .replace("HOST", host)
            .replace("DIR", str(own))
            .replace("PART", house.part.name)
            for word in words
        ]
        return subprocess.run(
            ["rsync", "--timeout=10", f"--password-file={password}", *argv],
            capture_output=True,
            text=True,
            check=False,
        )

    with ThreadPoolExecutor(6) as attackers:
        answers = dict(zip(ATTACKS, attackers.map(attack, ATTACKS.values()), strict=True))

    listing = answers.pop("list the modules")
    assert ticket.module not in listing.stdout
    assert {name: done.stdout for name, done in answers.items() if done.returncode == 0} == {}
    assert _state(drive) == before
    assert not (own / "got").exists()
    house.send(ticket)  # the door itself is as good as ever
    assert house.part.read_bytes() == house.source.read_bytes()


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
    assert PLOT_ID not in house.doors.open_plots


def test_a_client_that_is_frozen_is_ended_and_the_part_kept(make_house: Callable[..., House]) -> None:
    house = make_house(64 * MB, patience=Patience(stale_s=1))
    ticket = house.open()
    pids: list[int] = []

    def send() -> None:
        with pytest.raises(TransferFailed):
            house.send(ticket, "--bwlimit=10000", started=pids.append)

    sending = threading.Thread(target=send)
    sending.start()
    eventually(lambda: house.part.stat().st_size > MB, "bytes arrive")
    os.kill(pids[0], signal.SIGSTOP)

    eventually(lambda: not house.servers(), "its server is ended", 15)
    assert house.part.stat().st_size > MB
    os.kill(pids[0], signal.SIGKILL)
    sending.join(10)


def test_who_says_nothing_is_sent_away(make_house: Callable[..., House]) -> None:
    house = make_house(patience=replace(PATIENCE, nameless_s=0.3))
    with socket.create_connection(("127.0.0.1", house.open().port)) as client:
        client.settimeout(10)
        received = b""
        while chunk := client.recv(4096):
            received += chunk
    assert received.startswith(b"@RSYNCD:")


def test_secrets_are_in_no_command_line_log_or_message(
    make_house: Callable[..., House], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    house = make_house(32 * MB)
    ticket = house.open()
    secret = ticket.password.get_secret_value()
    seen: set[str] = set()

    def look(_: Progress) -> None:
        for process in psutil.process_iter():
            try:
                seen.add(" ".join(process.cmdline()))
                if process.name() == "rsync":
                    seen.update(process.environ().values())
            except psutil.Error:
                continue
        seen.update(path.read_text("utf-8", "replace") for path in (house.folder / "doors").glob("*.log"))
        for secretive in [*(house.folder / "doors").glob("*.secrets"), *(house.folder / "tickets").iterdir()]:
            assert secretive.stat().st_mode & 0o077 == 0

    house.send(ticket, "--bwlimit=30000", tell=look)

    assert any("rsync --daemon" in line for line in seen)
    assert not any(secret in text for text in seen)
    assert secret not in caplog.text + repr(ticket) + str(ticket.model_dump()) + ticket.model_dump_json()
    assert (house.folder / "doors").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(not available(), reason="this kernel does not let us reach into our child's sockets")
def test_the_bandwidth_changes_while_a_transfer_runs(make_house: Callable[..., House]) -> None:
    house = make_house(96 * MB, patience=replace(PATIENCE, nameless_s=0.5))  # who has a name stays
    limit: list[int | None] = [8 * MB]
    bandwidth = Bandwidth(lambda: limit[0])
    begun_s = time.monotonic()
    slow: list[float] = []

    def tell(progress: Progress) -> None:
        if time.monotonic() - begun_s > 2 and limit[0] is not None:
            slow.append(progress.done_bytes / (time.monotonic() - begun_s))
            limit[0] = None

    sent = house.send(house.open(), tell=tell, started=bandwidth.follow)

    assert slow
    assert 4 * MB < slow[0] < 16 * MB
    assert sent.took_s < 8  # the whole would take twelve seconds at that rate


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
    assert connection.end_strays(str(house.folder / "doors")) >= 1
    sending.join(10)


def test_a_port_that_is_taken_is_said_so_with_a_cure(tmp_path: Path) -> None:
    part = tmp_path / "drive" / ".incoming" / f"{PLOT_ID}.part"
    with socket.create_server(("", 0)) as taken:
        doors = Doors(tmp_path / "doors", "127.0.0.1", taken.getsockname()[1], lambda _: None)
        with pytest.raises(TransferFailed, match=r"harvester\.door_port"):
            doors.open(PLOT_ID, "plotter1", str(tmp_path), part, None)


def test_a_failure_that_the_harvester_tells_is_the_reason(tmp_path: Path) -> None:
    told = Ticket(
        plot_id=PLOT_ID, address="h", port=1, module="ab", password="x", failure="/farm/1 failed: no space"
    )
    with pytest.raises(TransferFailed, match=r"no space.*another drive"):
        ThroughDoor(Path("/farm/1/.incoming/a.part"), lambda: told, tmp_path).check()


def test_without_the_notice_board_there_is_no_way_in(tmp_path: Path) -> None:
    def away() -> Ticket:
        raise BrokerError("Redis does not answer.")

    with pytest.raises(BrokerError):
        ThroughDoor(Path("/farm/1/.incoming/a.part"), away, tmp_path).check()
