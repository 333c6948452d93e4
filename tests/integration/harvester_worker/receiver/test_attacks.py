"""What must not get through a harvester's receiver, and what must not leak from it."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harvester_worker.receiver.connection import TIMEOUTS
from plotter_worker.archiving.transfer.progress import TransferProgress
from tests.support.receiver import MB, House

# What somebody with the ticket might try; DIR is a folder of his with x.plot in it, URL the receiver.
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
    house.send(ticket)  # the receiver itself is as good as ever
    assert house.part.read_bytes() == house.source.read_bytes()


def test_a_client_that_names_no_module_is_disconnected(make_house: Callable[..., House]) -> None:
    house = make_house(timeouts=replace(TIMEOUTS, nameless_s=2))
    with socket.create_connection(("127.0.0.1", house.open().port)) as client:
        client.sendall(b"@RSYNCD: 31.0\n")
        client.settimeout(10)
        received = b""
        while chunk := client.recv(4096):
            received += chunk
    assert received.startswith(b"@RSYNCD:")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_secrets_are_in_no_command_line_log_or_message(
    make_house: Callable[..., House], caplog: pytest.LogCaptureFixture, tls: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    house = make_house(96 * MB, tls=tls)
    ticket = house.open()
    secret = ticket.password.get_secret_value()
    seen: set[str] = set()

    def look(_: TransferProgress) -> None:
        for process in psutil.process_iter():
            try:
                seen.add(" ".join(process.cmdline()))
                if process.name() == "rsync" or "tls_relay" in " ".join(process.cmdline()):
                    seen.update(process.environ().values())
            except psutil.Error:
                continue
        for path in (house.folder / "receivers").glob("*.log"):
            with suppress(FileNotFoundError):
                seen.add(path.read_text("utf-8", "replace"))
        receivers, tickets = house.folder / "receivers", house.folder / "tickets"
        for secretive in [*receivers.glob("*.secrets"), *receivers.glob("*.pem"), *tickets.iterdir()]:
            assert secretive.stat().st_mode & 0o077 == 0

    house.send(ticket, "--bwlimit=30000", tell=look)

    assert any("rsync --daemon" in line for line in seen)
    assert not any(secret in text for text in seen)
    assert secret not in caplog.text + repr(ticket) + str(ticket.model_dump()) + ticket.model_dump_json()
    assert (house.folder / "receivers").stat().st_mode & 0o077 == 0
