"""Reads a whole plot back from its drive and compares its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import xxhash

from common.errors import DriveFailed
from common.worker.digests import read_digest
from common.worker.move_step import Stop, never

# A drive that delivers less than this is failing.
SLOWEST_BYTES_S = 10e6


def deadline_s(size_bytes: int) -> float:
    """Longest time for reading this many bytes twice."""
    return 600 + 2 * size_bytes / SLOWEST_BYTES_S


def compare(
    path: Path,
    digest: str,
    stop: Stop = never,
    rate_bytes_s: float | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> None:
    """Read the file from its drive and compare its digest. Takes minutes to hours.

    Args:
        digest: rsync's of the source, hex: xxh128, or md5 if one of the two rsyncs is old.
        stop: Ends the reading once it is set.
        rate_bytes_s: Read no faster than this; None: no limit.
        tell: Called with the bytes read so far.

    Raises:
        DriveFailed: The digest differs.
        StepInterrupted: `stop` was set.
        OSError: The file cannot be read.
    """
    found = []
    for kind in (xxhash.xxh3_128, partial(hashlib.md5, usedforsecurity=False)):
        found.append(read_digest(path, stop, kind(), rate_bytes_s, tell))
        if found[-1] == digest:
            return
    raise DriveFailed(
        f"{path.name} reads back with digest {found[0]}, but was sent with {digest}.",
        "Check dmesg, the drive and its cable, and the memory of this machine.",
    )
