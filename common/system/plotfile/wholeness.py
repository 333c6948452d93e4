"""Whether all bytes of a plot are there, as far as its format lets anyone know without reading it all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO


class Verdict(StrEnum):
    COMPLETE = "complete"
    TRUNCATED = "truncated"  # bytes are missing, are zeros, or do not belong to it
    UNKNOWN = "unknown"  # the format does not say how long the file is, or it is too large to be judged


@dataclass(frozen=True, slots=True)
class Wholeness:
    """reason: why the verdict is not COMPLETE, for operators; None if it is."""

    verdict: Verdict
    reason: str | None = None


COMPLETE = Wholeness(Verdict.COMPLETE)

# Parks are padded with zeros. In 69 plots of chiapos the longest run has 9,952 bytes below k20, where a park
# of C3 has 10,000 and is mostly empty, and 5,626 bytes from k20 to k22; the largest park of k32 has 9 kB.
PARK_ZEROS_BYTES = 65_536
# bladebit pads header and tables to blocks of the file system (st_blksize), up to 1 MiB with NFS and SMB.
PADDING_BYTES = 1_048_576

_BLOCK_BYTES = 4096
_SAMPLES = 32
_MOST_HOLES = 64
_MOST_WINDOWS = 4


def truncated(reason: str) -> Wholeness:
    return Wholeness(Verdict.TRUNCATED, reason)


def unknown(reason: str) -> Wholeness:
    return Wholeness(Verdict.UNKNOWN, reason)


def zeros_at(file: BinaryIO, start: int, end: int, run_bytes: int) -> int | None:
    """Look for zeros in place of data: in holes of the file, and in some blocks from head to tail.

    Args:
        start, end: Where the data begins and ends in the file, in bytes.
        run_bytes: Fewer zeros in a row are legitimate.

    Returns:
        Where zeros begin; None: none were found.

    Raises:
        OSError: The file cannot be read.
    """
    fd = file.fileno()
    run_bytes = min(run_bytes, max(_BLOCK_BYTES, (end - start) // 4))  # less in the smallest plots
    for hole_start, hole_end in _holes(fd, start, end):
        if hole_end - hole_start >= run_bytes and _reads_as_zeros(fd, hole_start, hole_end):
            return hole_start
    windows = 0
    for at in _samples(start, end):
        if any(os.pread(fd, min(_BLOCK_BYTES, end - at), at)):
            continue
        if windows == _MOST_WINDOWS:
            return None  # each was a short run: so they belong to this plot
        windows += 1
        first = max(start, at - run_bytes)
        found = _run_in(os.pread(fd, min(end - first, 2 * run_bytes + _BLOCK_BYTES), first), run_bytes)
        if found is not None:
            return first + found
    return None


def _samples(start: int, end: int) -> Iterator[int]:
    """Beginnings of the blocks to look at, the first and the last block among them."""
    last = max(start, end - _BLOCK_BYTES)
    steps = min(_SAMPLES - 1, max(1, (last - start) // _BLOCK_BYTES))
    if end > start:
        yield from dict.fromkeys(start + (last - start) * step // steps for step in range(steps + 1))


def _run_in(window: bytes, run_bytes: int) -> int | None:
    found = window.find(bytes(min(run_bytes, len(window)))) if window else 0
    return None if found < 0 else found


def _reads_as_zeros(fd: int, start: int, end: int) -> bool:
    """Whether a hole has zeros at its beginning and in its middle. ZFS 2.1 and 2.2 reported holes where data
    was not written to the drive yet (OpenZFS issue 15526)."""
    return not any(any(os.pread(fd, min(_BLOCK_BYTES, end - at), at)) for at in (start, (start + end) // 2))


def _holes(fd: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Parts of the file for which the drive has no space, (beginning, end), cut to the range."""
    at = start
    try:
        for _ in range(_MOST_HOLES):
            hole = os.lseek(fd, at, os.SEEK_HOLE)
            if hole >= end:
                return
            try:
                at = os.lseek(fd, hole, os.SEEK_DATA)
            except OSError:
                at = end  # no data follows
            yield hole, min(at, end)
            if at >= end:
                return
    except OSError:
        return  # a file system that does not tell
