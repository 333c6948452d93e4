"""How a plot reaches its part file. One small class for each way; what they share is rsync's."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import mkstemp
from typing import Protocol

from common.config.archiving import Route
from common.errors import TransferFailed
from common.model.messages import Reservation
from common.model.plot_name import plot_id_of
from common.model.ticket import Ticket
from common.system import tls_relay
from plotter_worker.archiving.transfer.rsync import LOCAL_TIMEOUT_S, NETWORK_TIMEOUT_S

# A part that is gone is not made again: its room is no longer held.
_ONLY_WHAT_IS_THERE = "--existing"
_CONNECT_S = 10


@dataclass(frozen=True, slots=True)
class Way:
    """What rsync must be told: its destination argument, further options, and variables of its
    environment."""

    target: str
    options: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


class SendTransport(Protocol):
    """A way to the part file of one reservation.

    over_network: whether the bandwidth limit is meant for it. paced: whether rsync itself holds the
    connection, so that the limit can change while it runs.
    """

    @property
    def over_network(self) -> bool: ...

    @property
    def paced(self) -> bool: ...

    def check(self) -> None:
        """Look whether the way is open. Raises TransferFailed before anything is sent."""

    def opened(self) -> contextlib.AbstractContextManager[Way]:
        """The way is there while the body runs."""

    def explanation(self) -> str | None:
        """Why the other side ended the transfer, where it says so."""


@dataclass(frozen=True, slots=True)
class SameMachine:
    """The drive hangs on this machine, or is mounted here over the network: rsync from path to path."""

    part: Path
    over_network: bool = False
    paced: bool = False

    def check(self) -> None:
        # A link would lead to a file that nobody reserved: who owns a mounted drive may have put it there.
        if self.part.is_symlink() or self.part.parent.is_symlink():
            raise TransferFailed(f"{self.part} is a symbolic link.", "See who put it there, and delete it.")
        if not self.part.is_file():
            raise TransferFailed(f"{self.part} is gone: its reservation lapsed.", "It will be made anew.")
        if not os.access(self.part, os.W_OK):
            raise TransferFailed(
                f"{self.part} cannot be written.", "Run archiver and harvester as the same user."
            )

    @contextlib.contextmanager
    def opened(self) -> Iterator[Way]:
        yield Way(str(self.part), (_ONLY_WHAT_IS_THERE, f"--timeout={LOCAL_TIMEOUT_S}"))

    def explanation(self) -> str | None:
        return None


@dataclass(frozen=True, slots=True)
class OverSsh:
    """rsync at the other end is started by ssh, as a user who may write there. login: user@host."""

    login: str
    part: PurePosixPath
    over_network: bool = True
    paced: bool = False  # the connection is ssh's

    def check(self) -> None:
        """Only ssh can tell."""

    @contextlib.contextmanager
    def opened(self) -> Iterator[Way]:
        # ssh alone would wait for over two minutes, and ask for passwords on a terminal that nobody sees.
        ssh = (
            f"ssh -o BatchMode=yes -o ConnectTimeout={_CONNECT_S}"
            " -o ServerAliveInterval=20 -o ServerAliveCountMax=3"
        )
        options = (_ONLY_WHAT_IS_THERE, f"--timeout={NETWORK_TIMEOUT_S}", f"--rsh={ssh}", "--protect-args")
        yield Way(f"{self.login}:{self.part}", options)

    def explanation(self) -> str | None:
        return None


@dataclass(frozen=True, slots=True)
class ThroughReceiver:
    """The harvester has opened a door for this transfer. folder: for the password, which rsync reads from a
    file, since command lines are for everybody to see, and for the door's certificate. ticket: asks the
    notice board for it."""

    part: PurePosixPath
    ticket: Callable[[], Ticket | None]
    folder: Path
    over_network: bool = True
    paced: bool = True

    def check(self) -> None:
        self._ticket()

    def _ticket(self) -> Ticket:
        found = self.ticket()
        if found is None:
            raise TransferFailed(
                f"The door to {self.part} is closed again.", "The harvester will be asked to open another."
            )
        if found.failure is not None:
            raise TransferFailed(f"{found.failure}.", "The plot goes to another drive.")
        return found

    @contextlib.contextmanager
    def opened(self) -> Iterator[Way]:
        ticket = self._ticket()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        with contextlib.ExitStack() as files:
            password = files.enter_context(_own_file(self.folder, f"{ticket.password.get_secret_value()}\n"))
            certificate = None
            if ticket.certificate is not None:
                certificate = files.enter_context(_own_file(self.folder, ticket.certificate))
            yield self._way(ticket, password, certificate)

    def _way(self, ticket: Ticket, password: Path, certificate: Path | None) -> Way:
        """A ticket with a certificate leads through TLS and no other way."""
        address = f"[{ticket.address}]" if ":" in ticket.address else ticket.address
        target = f"rsync://{ticket.module}@{address}:{ticket.port}/{ticket.module}/{self.part.name}"
        options = (
            f"--timeout={NETWORK_TIMEOUT_S}",
            f"--contimeout={_CONNECT_S}",
            _ONLY_WHAT_IS_THERE,
            f"--password-file={password}",
        )
        if certificate is None:
            return Way(target, options)
        argv = tls_relay.connecting(ticket.address, ticket.port, certificate)
        # A shell reads it, and rsync before that: to it %H is the host.
        program = "exec " + shlex.join(argv).replace("%", "%%")
        return Way(target, options, {"RSYNC_CONNECT_PROG": program})

    def explanation(self) -> str | None:
        found = self.ticket()
        return found.failure if found else None


@contextlib.contextmanager
def _own_file(folder: Path, secret: str) -> Iterator[Path]:
    """A file of this text while the body runs, readable by nobody else from its first byte on. Its name is
    made here: one of a ticket could lead anywhere."""
    fd, name = mkstemp(dir=folder)
    try:
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(secret)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _part_of(reservation: Reservation) -> PurePosixPath:
    """The part file, if it is the one that a harvester makes for this plot on that drive. Raises
    TransferFailed."""
    expected = PurePosixPath(reservation.drive) / ".incoming" / f"{plot_id_of(reservation.path)}.part"
    if reservation.part is None or str(expected) != reservation.part:
        raise TransferFailed(
            f"Harvester {reservation.host} reserved what is not a part file of this plot (part).",
            "See whether both machines run the same plotman.",
        )
    return expected


def transport_to(
    reservation: Reservation,
    host: str,
    route: Route | None = None,
    ticket: Callable[[], Ticket | None] = lambda: None,
    folder: Path = Path(),
) -> SendTransport:
    """The way from `host` to the reserved part. route: what plotman.yaml says of the harvester, None for
    nothing. ticket, folder: see ThroughDoor. Raises TransferFailed where there is no way."""
    part = _part_of(reservation)
    if route is not None and route.path is not None:
        # `..` would lead out of what is mounted.
        if not part.is_relative_to(route.under) or ".." in part.parts:
            raise TransferFailed(
                f"{part} is not below {route.under}, which is mounted at {route.path}.",
                f"Correct archiving.routes.{reservation.host} in plotman.yaml.",
            )
        return SameMachine(Path(route.path) / part.relative_to(route.under), over_network=True)
    if route is not None and route.ssh is not None:
        return OverSsh(route.ssh, part)
    if reservation.host == host:
        return SameMachine(Path(part))
    return ThroughReceiver(part, ticket, folder)
