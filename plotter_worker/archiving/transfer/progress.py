"""Progress of a transfer: the output of rsync 3.1 to 3.5 with --info=progress2 --no-h and our --out-format,
and its entry in the snapshot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from common.model.messages import Reservation
from common.model.plot_name import plot_id_of
from common.model.snapshot import Transfer

# The other side controls some of these lines (its greeting), so every number has a maximum length.
# "\r      206438400  20%  181.09MB/s    0:00:04  ", once a second; more text follows on the last line.
_PROGRESS = re.compile(
    rb"\s*(?P<bytes>\d{1,19})\s+(?P<percent>\d{1,3})%\s+(?P<rate>\d{1,9}(?:\.\d{1,9})?)(?P<unit>[kMGT]?)B/s"
    rb"\s+(?:(?P<h>\d{1,6}):(?P<m>\d\d):(?P<s>\d\d)|\?\?:\?\?:\?\?)"
)
# "MARK NAME LENGTH SENT DIGEST", only if something was sent; on a resume it may follow progress on the same
# line. The other side, or somebody on the way, may print a line of this form, but does not know the mark.
_DONE = re.compile(rb" .+ \d{1,19} (?P<sent>\d{1,19}) (?P<digest>[0-9a-f]{1,128})\s*\Z")
_UNIT = {b"": 1, b"k": 1 << 10, b"M": 1 << 20, b"G": 1 << 30, b"T": 1 << 40}  # its "MB" are MiB
_LONGEST_LINE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """One progress line.

    done_bytes: at the destination, earlier tries included. rate_bytes_s: of this try.
    eta_s: seconds to the last byte; None if unknown, and during the flush that follows.
    """

    done_bytes: int
    percent: int
    rate_bytes_s: float
    eta_s: float | None

    @classmethod
    def of(cls, done_bytes: int, size_bytes: int, spent_s: float) -> Self:
        """Progress at an even rate.

        Args:
            done_bytes: since it began.
            size_bytes: of the whole file.
            spent_s: seconds since it began.
        """
        rate_bytes_s = done_bytes / max(spent_s, 1e-3)
        left_bytes = max(0, size_bytes - done_bytes)
        eta_s = left_bytes / rate_bytes_s if left_bytes and rate_bytes_s else None
        return cls(done_bytes, min(100, 100 * done_bytes // max(1, size_bytes)), rate_bytes_s, eta_s)


@dataclass(frozen=True, slots=True)
class Done:
    """rsync sent the file.

    digest: of the whole source, hex; xxh128 if both sides have it.
    sent_bytes: over the network, including the comparison of a resume.
    """

    sent_bytes: int
    digest: str


class Reader:
    """Parses rsync's stdout in chunks of any size. Other lines are skipped.

    mark: first word of the line that ends a transfer, a secret of this run; None: no line does.
    """

    def __init__(self, mark: str | None = None) -> None:
        self._rest = b""
        self._mark = mark

    def feed(self, chunk: bytes) -> list[TransferProgress | Done]:
        """Parse the lines that this chunk completes. Lines end with \\r or \\n."""
        *lines, rest = re.split(rb"[\r\n]", self._rest + chunk)
        self._rest = rest[-_LONGEST_LINE_BYTES:]
        return [parsed for line in lines if (parsed := read_line(line, self._mark))]

    def close(self) -> list[TransferProgress | Done]:
        """Parse a last line without an end."""
        parsed = read_line(self._rest, self._mark)
        self._rest = b""
        return [parsed] if parsed else []


def read_line(line: bytes, mark: str | None = None) -> TransferProgress | Done | None:
    """Parse one line; None if it is neither progress nor the end. mark: see Reader."""
    _, marked, end = line.partition(mark.encode()) if mark else (line, b"", b"")
    if marked and (done := _DONE.match(end)):
        return Done(int(done["sent"]), done["digest"].decode())
    match = _PROGRESS.match(line)
    if match is None:
        return None
    percent = int(match["percent"])
    eta_s = None
    if match["h"] is not None and percent < 100:
        eta_s = float(int(match["h"]) * 3600 + int(match["m"]) * 60 + int(match["s"]))
    return TransferProgress(int(match["bytes"]), percent, float(match["rate"]) * _UNIT[match["unit"]], eta_s)


def begun(reservation: Reservation) -> Transfer:
    """Make the snapshot's entry for a transfer that begins now."""
    return Transfer(
        path=reservation.path,
        plot_id=plot_id_of(reservation.path),
        size_bytes=reservation.size_bytes,
        harvester=reservation.host,
        drive=reservation.drive,
        started_at=datetime.now(UTC),
        compares=reservation.compare,
        compared_with=reservation.landed if reservation.compare else None,
    )


def advanced(transfer: Transfer, progress: TransferProgress) -> Transfer:
    """Copy the entry with new progress."""
    return transfer.model_copy(
        update={
            "sent_bytes": progress.done_bytes,
            "rate_bytes_s": progress.rate_bytes_s,
            "eta_s": progress.eta_s,
        }
    )
