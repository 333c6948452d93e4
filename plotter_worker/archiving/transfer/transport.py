"""The three ways to send a plot to its part file: two run rsync, the third copies."""

from __future__ import annotations

import contextlib
import os
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import mkstemp

from common.config.sections.archiving import Route
from common.errors import TransferFailed
from common.model.address import bracketed
from common.model.messages import Reservation
from common.model.plot_name import plot_id_of
from common.model.ticket import Ticket
from common.system import tls_relay
from plotter_worker.archiving.transfer.rsync import NETWORK_TIMEOUT_S

# rsync must not create a part that was removed: its space is no longer reserved.
_EXISTING_ONLY = "--existing"
_CONNECT_S = 10


@dataclass(frozen=True, slots=True)
class RsyncArguments:
    """rsync's destination argument, further options, and additional environment variables."""

    target: str
    options: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


class SendTransport(ABC):
    """Reaches the part file of one reservation.

    paced: whether rsync itself has the connection, so that the limit of the bandwidth can change while it
        runs.
    """

    paced: bool = False

    def check(self) -> None:
        """Check, as far as possible before anything is sent, that the part can be reached. Raises
        TransferFailed."""
        return

    @abstractmethod
    def opened(self) -> contextlib.AbstractContextManager[RsyncArguments]:
        """Prepare a run of rsync, and clean up after it."""

    def explanation(self) -> str | None:
        """Why the other side ended the transfer; None if unknown."""
        return None


@dataclass(frozen=True, slots=True)
class SameMachine:
    """The drive is in this machine, or mounted here over the network, so that its part can be written."""

    part: Path
    over_network: bool = False


@dataclass(frozen=True, slots=True)
class OverSsh(SendTransport):
    """ssh starts the receiving rsync, as a user who may write there. login: user@host."""

    login: str
    part: PurePosixPath

    @contextlib.contextmanager
    def opened(self) -> Iterator[RsyncArguments]:
        # By default ssh waits for over two minutes, and prompts for passwords.
        ssh = (
            f"ssh -o BatchMode=yes -o ConnectTimeout={_CONNECT_S}"
            " -o ServerAliveInterval=20 -o ServerAliveCountMax=3"
        )
        options = (_EXISTING_ONLY, f"--timeout={NETWORK_TIMEOUT_S}", f"--rsh={ssh}", "--protect-args")
        yield RsyncArguments(f"{self.login}:{self.part}", options)


@dataclass(frozen=True, slots=True)
class ThroughReceiver(SendTransport):
    """The harvester has opened a receiver for this transfer.

    ticket: reads it from the board.
    folder: for password and certificate. rsync reads the password from a file: every user can see command
        lines.
    """

    part: PurePosixPath
    ticket: Callable[[], Ticket | None]
    folder: Path
    paced: bool = True

    def check(self) -> None:
        self._ticket()

    def _ticket(self) -> Ticket:
        found = self.ticket()
        if found is None:
            raise TransferFailed(
                f"The receiver for {self.part} is closed.", "The harvester will open another."
            )
        if found.failure is not None:
            raise TransferFailed(f"{found.failure}.", "The plot goes to another drive.")
        return found

    @contextlib.contextmanager
    def opened(self) -> Iterator[RsyncArguments]:
        ticket = self._ticket()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        with contextlib.ExitStack() as files:
            password = files.enter_context(_own_file(self.folder, f"{ticket.password.get_secret_value()}\n"))
            certificate = None
            if ticket.certificate is not None:
                certificate = files.enter_context(_own_file(self.folder, ticket.certificate))
            yield self._arguments(ticket, password, certificate)

    def _arguments(self, ticket: Ticket, password: Path, certificate: Path | None) -> RsyncArguments:
        """With a certificate in the ticket, the connection always uses TLS."""
        address = bracketed(ticket.address)
        target = f"rsync://{ticket.module}@{address}:{ticket.port}/{ticket.module}/{self.part.name}"
        options = (
            f"--timeout={NETWORK_TIMEOUT_S}",
            f"--contimeout={_CONNECT_S}",
            _EXISTING_ONLY,
            f"--password-file={password}",
        )
        if certificate is None:
            return RsyncArguments(target, options)
        argv = tls_relay.connecting(ticket.address, ticket.port, certificate)
        # rsync expands % (%H is the host) before a shell parses the command.
        program = "exec " + shlex.join(argv).replace("%", "%%")
        return RsyncArguments(target, options, {"RSYNC_CONNECT_PROG": program})

    def explanation(self) -> str | None:
        found = self.ticket()
        return found.failure if found else None


@contextlib.contextmanager
def _own_file(folder: Path, secret: str) -> Iterator[Path]:
    """Write a temporary file that only this user can read, from its first byte. Its name is made here: a name
    from the ticket could be a path to another file."""
    fd, name = mkstemp(dir=folder)
    try:
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(secret)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _part_of(reservation: Reservation) -> PurePosixPath:
    """Check that the reserved part is the one that belongs to this plot on that drive. Raises
    TransferFailed."""
    expected = PurePosixPath(reservation.drive) / ".incoming" / f"{plot_id_of(reservation.path)}.part"
    if reservation.part != str(expected):
        raise TransferFailed(
            f"Harvester {reservation.host} reserved a file that is not the part of this plot.",
            "Install the same version of plotman on both machines.",
        )
    return expected


def transport_to(
    reservation: Reservation,
    host: str,
    route: Route | None = None,
    ticket: Callable[[], Ticket | None] = lambda: None,
    folder: Path = Path(),
) -> SendTransport | SameMachine:
    """Choose the transport from `host` to the reserved part. route: the harvester's entry in
    archiving.routes. Raises TransferFailed if the part cannot be reached."""
    part = _part_of(reservation)
    if route is not None and route.path is not None:
        # `..` would lead out of the mounted directory.
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
