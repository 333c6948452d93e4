"""Arguments of the tasks. What a message may say is checked here; whether it fits the host, there.

No message carries a command line, a program or an option of one: those come from the plotman.yaml of
the machine that runs them.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from common.errors import OrderRefused

VERSION = 1  # grows when a message changes its meaning; older ones are understood for a release


class Message(BaseModel):
    """Base of all task arguments: frozen.

    version: of the message's meaning; a worker refuses what is newer than itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = VERSION

    @classmethod
    def read(cls, **arguments: Any) -> Self:
        """Check a task's arguments. Raises OrderRefused that names each wrong one, and for a message of a
        newer plotman, whose meaning is not known here.

        A message that tells its version was written by a plotman: unknown keys in it are those of the next
        release, and can be left out. One without is a person's, whose mistakes are told.
        """
        version = arguments.get("version", VERSION)
        if isinstance(version, int) and version > VERSION:
            raise OrderRefused(
                f"This message is of a newer plotman (version {version}, known here: {VERSION}).",
                "Upgrade plotman on this machine.",
            )
        try:
            return cls.model_validate(arguments, extra="ignore" if "version" in arguments else None)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or 'arguments'}: {problem['msg']}"
                for problem in error.errors()
            )
            raise OrderRefused(
                f"The task's arguments are wrong: {wrong}.", "Correct them and call it again."
            ) from error

    def kwargs(self) -> dict[str, Any]:
        """The arguments as a task takes them, JSON only, nothing that is None."""
        return self.model_dump(mode="json", exclude_none=True)


class PlotOrder(Message):
    """Start one plot. A person may leave all but the host out: the plotter then picks what is free.

    turn: of the snapshot that this was decided on; None (a person's order) fits every turn.
    adopt: the plotter itself asks for a task to stand for a job that it found; starts nothing.
    """

    host: str
    tmp: str | None = None
    dst: str | None = None
    turn: str | None = None
    adopt: bool = False
    expires_at: AwareDatetime | None = None


class TargetOrder(Message):
    """Move a finished plot to this host's archiving target, as plotman 0.5.3 has them.

    size_bytes: of the plot when this was decided; None (a person's order): whatever it has.
    coming: folder -> bytes that other plotters still send there.
    """

    host: str
    path: str
    size_bytes: int | None = None
    coming: dict[str, int] = {}


class SeenFile(BaseModel):
    """A file as a person saw it: what has another inode, size or time of change by now is another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    inode: int
    mtime_ns: int
    size_bytes: int


class CleanupOrder(Message):
    """Delete these leftovers, as far as they still are. older_s: they were left alone for so long."""

    host: str
    files: tuple[SeenFile, ...]
    older_s: float | None = None


class Reservation(Message):
    """A harvester's answer to `reserve`: where the bytes go, or that the plot is already there.

    part: part file that holds the bytes; None when `landed` names the plot, complete, on its drive.
    move: which of beat's moves this belongs to; None where a person called the task.
    took_s: what the harvester took to answer.
    How to get in is no part of it: that is a secret, and stands for minutes on the notice board
    (common.ticket).
    """

    host: str
    source_host: str
    path: str  # source, on source_host
    size_bytes: int
    drive: str
    part: str | None = None
    landed: str | None = None
    move: str | None = None
    took_s: float | None = None


class Delivery(Message):
    """What `transfer` tells `admit`: the part is filled.

    digest: xxh128 of the source as rsync computed it while sending, hex; None where the part was already
        full and nothing was sent.
    """

    reservation: Reservation
    digest: str | None = None
    sent_bytes: int = 0
    took_s: float = 0


class Admission(Message):
    """What `admit` tells `release`: the plot is on its drive, complete, verified and durable.

    verified: how, for people: "30 of 30 proofs" or "header and size (no chiapos here)".
    """

    reservation: Reservation
    landed: str
    size_bytes: int
    verified: str
    took_s: float = 0
