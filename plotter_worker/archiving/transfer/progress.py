"""Reads what rsync 3.1 to 3.5 print with --info=progress2 --no-h and our --out-format."""

from __future__ import annotations

import re
from dataclasses import dataclass

# A server's greeting is printed among these lines, so every number is bounded.
# "\r      206438400  20%  181.09MB/s    0:00:04  ", once a second; more text follows on the last line.
_PROGRESS = re.compile(
    rb"\s*(?P<bytes>\d{1,19})\s+(?P<percent>\d{1,3})%\s+(?P<rate>\d{1,9}(?:\.\d{1,9})?)(?P<unit>[kMGT]?)B/s"
    rb"\s+(?:(?P<h>\d{1,6}):(?P<m>\d\d):(?P<s>\d\d)|\?\?:\?\?:\?\?)"
)
# "DONE NAME LENGTH SENT DIGEST", when something was sent at all; on a resume it can stand behind progress
# on the same line.
_DONE = re.compile(
    rb"DONE (?P<name>.+) (?P<length>\d{1,19}) (?P<sent>\d{1,19}) (?P<digest>[0-9a-f]{1,128})\s*\Z"
)
_UNIT = {b"": 1, b"k": 1 << 10, b"M": 1 << 20, b"G": 1 << 30, b"T": 1 << 40}  # its "MB" are MiB
_LONGEST_LINE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """Bytes of the file that are there, also those of earlier tries; rate of this one. eta_s: None where
    rsync does not know, and when all is sent: what then remains is the flush, which takes its own time.
    """

    done_bytes: int
    percent: int
    rate_bytes_s: float
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class Done:
    """rsync sent the file. digest: of the whole source, xxh128 where both sides know it; hex.
    sent_bytes: over the wire, both ways of looking at a resume included."""

    length_bytes: int
    sent_bytes: int
    digest: str


class Reader:
    """Takes rsync's stdout in any chunks. What is neither progress nor the end is skipped."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[TransferProgress | Done]:
        """What the lines tell that are complete by now. Lines end with \\r or \\n."""
        *lines, rest = re.split(rb"[\r\n]", self._rest + chunk)
        self._rest = rest[-_LONGEST_LINE_BYTES:]
        return [news for line in lines if (news := read_line(line))]

    def close(self) -> list[TransferProgress | Done]:
        """What the last line tells, should rsync have ended without ending it."""
        news = read_line(self._rest)
        self._rest = b""
        return [news] if news else []


def read_line(line: bytes) -> TransferProgress | Done | None:
    """One line; None for lines that tell nothing."""
    if done := _DONE.search(line):
        return Done(int(done["length"]), int(done["sent"]), done["digest"].decode())
    match = _PROGRESS.match(line)
    if match is None:
        return None
    percent = int(match["percent"])
    eta_s = None
    if match["h"] is not None and percent < 100:
        eta_s = float(int(match["h"]) * 3600 + int(match["m"]) * 60 + int(match["s"]))
    return TransferProgress(int(match["bytes"]), percent, float(match["rate"]) * _UNIT[match["unit"]], eta_s)
