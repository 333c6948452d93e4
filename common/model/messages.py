"""Arguments of the tasks. What a message may say is checked here; whether it fits the host, there.

No message carries a command line, a program or an option of one: those come from the plotman.yaml of
the machine that runs them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from common.errors import OrderRefused

VERSION = 1  # grows when a message changes its meaning; older ones are understood for a release

# What acts on a terminal or ends a line, and halves of surrogate pairs, which no encoding takes.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST_TEXT = 4096  # PATH_MAX of Linux
_MOST_PROBLEMS = 10


def one_line(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Text of another machine, fit for a log and a terminal. longest: characters that are kept."""
    return _CONTROL.sub("?", text)[:longest]


def _is_one_line(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("has control characters")
    return text


def _is_absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("is not an absolute path")
    return path


OneLine = Annotated[str, Field(max_length=_LONGEST_TEXT), AfterValidator(_is_one_line)]
AbsolutePath = Annotated[OneLine, AfterValidator(_is_absolute)]
# 2**53: larger whole numbers do not survive every JSON reader.
SizeBytes = Annotated[int, Field(ge=0, le=1 << 53)]
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class Message(BaseModel):
    """Base of all task arguments: frozen.

    version: of the message's meaning; a worker refuses what is newer than itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = VERSION

    @classmethod
    def read(cls, /, **arguments: Any) -> Self:
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
                f"{one_line('.'.join(map(str, problem['loc'])), 100) or 'arguments'}: {problem['msg']}"
                for problem in error.errors()[:_MOST_PROBLEMS]
            )
            raise OrderRefused(
                f"The task's arguments are wrong: {wrong}.", "Correct them and call it again."
            ) from error

    @classmethod
    def of(cls, value: object) -> Self:
        """The same for a message that stands in one argument. Raises OrderRefused."""
        if not isinstance(value, Mapping):
            raise OrderRefused("The task's argument is not an object.", "Correct it and call it again.")
        return cls.read(**value)

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
    compare: `landed` was not taken in by this harvester: the plotter reads its source as a whole and sends
        the digest, so that the harvester can compare the content.
    move: which of beat's moves this belongs to; None where a person called the task.
    took_s: what the harvester took to answer.
    How to get in is no part of it: that is a secret, and stands for minutes on the notice board
    (common.model.ticket).
    """

    host: OneLine
    source_host: OneLine
    path: AbsolutePath  # source, on source_host
    size_bytes: SizeBytes
    drive: OneLine
    part: AbsolutePath | None = None
    landed: OneLine | None = None
    compare: bool = False
    move: OneLine | None = None
    took_s: Seconds | None = None


class Delivery(Message):
    """What `transfer` tells `admit`: the part is filled.

    digest: xxh128 of the source as rsync computed it while sending, or as the plotter did where nothing is
        sent but the content compared; hex. None where the part was already full and nothing was sent, and
        where the harvester took the plot in before.
    """

    reservation: Reservation
    digest: OneLine | None = None
    sent_bytes: SizeBytes = 0
    took_s: Seconds = 0


class Admission(Message):
    """What `admit` tells `release`: the plot is on its drive, complete, verified and durable.

    verified: how, for people: "30 of 30 proofs" or "header and size (no chiapos here)".
    """

    reservation: Reservation
    landed: OneLine
    size_bytes: SizeBytes
    verified: OneLine
    took_s: Seconds = 0


class PlotsFound(Message):
    """What a harvester's drives hold of the plots that were asked for.

    found: (plot id, path). unread: drives that could not be read within seconds, or are disabled.
    """

    found: tuple[tuple[OneLine, OneLine], ...] = ()
    unread: tuple[OneLine, ...] = ()


def wrong_fields(error: ValidationError, model: type[BaseModel]) -> str:
    """The fields of `model` that are wrong, without their values and without the names of unknown keys."""
    named = {str(problem["loc"][0]) for problem in error.errors(include_input=False) if problem["loc"]}
    known = named & model.model_fields.keys()
    return ", ".join([*sorted(known), *(["unknown keys"] if named - known else [])]) or "not a JSON object"
