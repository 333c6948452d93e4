"""Arguments of the tasks.

The models check the form of a message; the host that receives it checks whether it fits. No message carries
a command line, a program or an option: those come from the plotman.yaml of the machine that runs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, FailFast, Field, ValidationError

from common.errors import OrderRefused
from common.model.bounds import Bounded, SeveralFixed, bounded_message, problems
from common.model.text import CONTROL, LONGEST_TEXT, one_line

VERSION = 1  # grows when a message changes its meaning; a release also reads the version before

_MOST_PROBLEMS = 10


def _is_one_line(text: str) -> str:
    if CONTROL.search(text):
        raise ValueError("has control characters")
    return text


def _is_absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("is not an absolute path")
    return path


def _is_near(at: datetime) -> datetime:
    """Times at the ends of the calendar cannot be converted to another zone."""
    if not 2000 <= at.year < 2200:
        raise ValueError("is not in this century or the next")
    return at.astimezone(UTC)


OneLine = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_is_one_line)]
AbsolutePath = Annotated[OneLine, AfterValidator(_is_absolute)]
# 2**53: larger whole numbers do not survive every JSON reader.
SizeBytes = Annotated[int, Field(ge=0, le=1 << 53)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Moment = Annotated[AwareDatetime, AfterValidator(_is_near)]


class Message(Bounded):
    """Base of all task arguments: frozen.

    version: a worker refuses messages of a newer version than its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = VERSION

    @classmethod
    def read(cls, /, **arguments: Any) -> Self:
        """Check a task's arguments.

        A message with a version was written by a plotman: its unknown keys belong to the next release and are
        ignored. A message without one was written by an operator: unknown keys are mistakes.

        The types are the types of JSON, strictly: the text "5" is no number.

        Raises:
            OrderRefused: arguments are wrong (each is named), or the message is of a newer plotman.
        """
        versions = [part["version"] for part in (arguments, *arguments.values()) if _has_version(part)]
        if any(isinstance(version, int) and version > VERSION for version in versions):
            raise OrderRefused(
                f"This message is of a newer plotman (known here: version {VERSION}).",
                "Upgrade plotman on this machine.",
            )
        try:
            return cls.model_validate_json(
                bounded_message(arguments), strict=True, extra="ignore" if versions else None
            )
        except ValidationError as error:
            wrong = "; ".join(
                f"{one_line(place, 100) or 'arguments'}: {what}"
                for place, what in problems(error, _MOST_PROBLEMS)
            )
        except (TypeError, ValueError, RecursionError):
            wrong = "they are not JSON, or too many"
        raise OrderRefused(f"The task's arguments are wrong: {wrong}.", "Correct them and call it again.")

    @classmethod
    def of(cls, value: object) -> Self:
        """Read a message that is the value of one argument. Raises OrderRefused."""
        if not isinstance(value, Mapping):
            raise OrderRefused("The task's argument is not an object.", "Correct it and call it again.")
        return cls.read(**value)

    def kwargs(self) -> dict[str, Any]:
        """The message as arguments of a task: JSON, without what is None."""
        return self.model_dump(mode="json", exclude_none=True)


def _has_version(part: object) -> bool:
    return isinstance(part, Mapping) and "version" in part


class PlotOrder(Message):
    """Start one plot. `host` is enough: the plotter then chooses free directories.

    start_token: of the snapshot that the decision used, `turn` in messages; None (an operator's order) is
        always valid.
    adopt: start nothing. The plotter orders a task that represents a job which it found running.
    """

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    host: OneLine
    tmp: OneLine | None = None
    dst: OneLine | None = None
    start_token: OneLine | None = Field(None, alias="turn")
    adopt: bool = False
    expires_at: Moment | None = None


class TargetOrder(Message):
    """Move a finished plot to this host's archiving target of plotman 0.5.3.

    size_bytes: of the plot at the time of the decision; None (an operator's order): not checked.
    coming: folder -> bytes that other plotters still send there.
    """

    host: OneLine
    path: AbsolutePath
    size_bytes: SizeBytes | None = None
    coming: Annotated[dict[OneLine, SizeBytes], FailFast()] = Field(default_factory=dict)


class SeenFile(Bounded):
    """A file as it was listed. A file with another inode, size or time of change is another file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: AbsolutePath
    inode: Annotated[int, Field(ge=0, lt=1 << 64)]
    mtime_ns: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
    size_bytes: SizeBytes


class CleanupOrder(Message):
    """Delete these leftovers. older_s: only those that have not changed for that long."""

    host: OneLine
    files: SeveralFixed[SeenFile]
    older_s: Seconds | None = None


class Reservation(Message):
    """A harvester's answer to `reserve`: where the bytes go, or that it already has the plot.

    The ticket to the receiver is not part of it: it is secret, and lies on the notice board for minutes
    (common.model.ticket).

    part: part file that holds the bytes; None if `landed` names the complete plot on its drive.
    compare: this harvester did not admit the file at `landed`. The plotter reads its whole source and sends
        the digest, so that the harvester can compare the contents.
    move: of beat that this belongs to; None if an operator called the task.
    took_s: time that the harvester needed to answer.
    evacuates: the source is on a farming drive of source_host, which is evacuated.
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
    evacuates: bool = False


class Delivery(Message):
    """From `transfer` to `admit`: the part file is complete.

    digest: xxh128 of the source in hex, computed by rsync while it sent, or by the plotter if the contents
        are only compared. None if nothing was sent because the part was already complete, or because the
        harvester had admitted the plot before.
    """

    reservation: Reservation
    digest: OneLine | None = None
    sent_bytes: SizeBytes = 0
    took_s: Seconds = 0


class Admission(Message):
    """From `admit` to `release`: the plot is on its drive, complete, verified and durable.

    verified: how, for operators: "30 challenges gave 27 proofs, all valid", or "header and size (chiapos is
        not installed)".
    """

    reservation: Reservation
    landed: OneLine
    size_bytes: SizeBytes
    verified: OneLine
    took_s: Seconds = 0


class EvacuateOrder(Message):
    """Move all plots of a drive to other drives of the farm.

    to: where they may go, each `HOST` or `HOST:/DRIVE`; empty: anywhere.
    bandwidth_bytes_s: limit over the network, where no `plotman bandwidth` reaches; None: no limit.
    """

    host: OneLine
    dir: AbsolutePath
    to: Annotated[tuple[OneLine, ...], FailFast(), Field(max_length=64)] = ()
    bandwidth_bytes_s: Annotated[int, Field(ge=1024, le=1 << 53)] | None = None
    reason: OneLine | None = None
    by: OneLine | None = None


class PlotsFound(Message):
    """Which of the plots in question a harvester's drives hold.

    found: (plot id, path).
    unread: drives that are disabled, or could not be read within seconds.
    """

    found: SeveralFixed[tuple[OneLine, OneLine]] = ()
    unread: SeveralFixed[OneLine] = ()


def wrong_fields(error: ValidationError, model: type[BaseModel]) -> str:
    """Names of the wrong fields of `model`, without their values and without the names of unknown keys."""
    named = {str(problem["loc"][0]) for problem in error.errors(include_input=False) if problem["loc"]}
    known = named & model.model_fields.keys()
    return ", ".join([*sorted(known), *(["unknown keys"] if named - known else [])]) or "not a JSON object"
