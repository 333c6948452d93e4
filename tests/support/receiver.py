"""A harvester's receiver with a part file behind it, and a plotter's file that is to come in."""

from __future__ import annotations

import base64
import hashlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import psutil

from common.model.ticket import Ticket
from common.worker.move_step import never
from harvester_worker.receiver import connection
from harvester_worker.receiver.receivers import EndedTransfer, Receivers
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.archiving.transfer.rsync import Sent, command, run
from plotter_worker.archiving.transfer.transport import ThroughReceiver

PLOT_ID = "ab" * 32
MB = 1 << 20


@dataclass
class House:
    """A harvester with one drive, an open receiver for one part, and a plotter's file for it."""

    folder: Path
    receivers: Receivers
    ended: list[EndedTransfer] = field(default_factory=list)

    @property
    def incoming(self) -> Path:
        return self.folder / "drive" / ".incoming"

    @property
    def part(self) -> Path:
        return self.incoming / f"{PLOT_ID}.part"

    @property
    def source(self) -> Path:
        return self.folder / "dst" / f"plot-k18-2026-11-22-15-48-{PLOT_ID}.plot"

    def open(self, move: str = "one", begun_bytes: int = 0) -> Ticket:
        drive = str(self.incoming.parent)
        size_bytes = self.source.stat().st_size
        return self.receivers.open(PLOT_ID, "plotter1", drive, self.part, move, size_bytes, begun_bytes)

    def send(
        self,
        ticket: Ticket,
        *more: str,
        tell: Callable[[TransferProgress], None] = lambda _: None,
        started: Callable[[int], None] = lambda _: None,
    ) -> Sent:
        """As the archiver does it."""
        way = ThroughReceiver(PurePosixPath(self.part), lambda: ticket, self.folder / "tickets")
        with way.opened() as opened:
            argv = command(str(self.source), opened.target, (*opened.options, *more))
            return run(argv, tell, never, "us", started, opened.environment)

    def servers(self) -> list[psutil.Process]:
        mine = str(self.folder / "receivers")
        return [process for process in psutil.Process().children(recursive=True) if _mark(process) == mine]


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(connection.MARK)
    except psutil.Error:
        return None


def says_in_the_log(ticket: Ticket, part: str, text: str) -> None:
    """Do what a client that is no rsync may do with a ticket: have the server's rsync log any line.

    The protocol is rsync's, version 30, in which the client's errors follow the options at once.
    """
    with socket.create_connection((ticket.address, ticket.port), timeout=10) as client:
        lines = client.makefile("rb")
        client.sendall(f"@RSYNCD: 30.0\n{ticket.module}\n".encode())
        challenge = b""
        while not challenge:
            line = lines.readline()
            assert line, "the server has closed"
            challenge = line.removeprefix(b"@RSYNCD: AUTHREQD ").strip() if b"AUTHREQD" in line else b""
        digest = hashlib.md5(ticket.password.get_secret_value().encode() + challenge, usedforsecurity=False)
        answer = base64.b64encode(digest.digest()).rstrip(b"=").decode()
        client.sendall(f"{ticket.module} {answer}\n".encode())
        assert lines.readline() == b"@RSYNCD: OK\n"
        options = ("--server", "-e.LsfxCI", "--append", "--inplace", "--partial", ".")
        client.sendall("\0".join((*options, f"{ticket.module}/{part}", "", "")).encode())
        said = f"{text}\n".encode()
        # MPLEX_BASE + MSG_ERROR, and the length, rsync's io.c
        client.sendall(((7 + 3) << 24 | len(said)).to_bytes(4, "little") + said)
        lines.read()
