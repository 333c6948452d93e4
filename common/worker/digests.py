"""Digests of whole files, read from their drives."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import xxhash

from common.system.openfile import open_regular
from common.worker.move_step import StepInterrupted, Stop

_CHUNK_BYTES = 4 << 20


class Digest(Protocol):
    """Interface of the objects of hashlib and xxhash."""

    def update(self, data: bytes, /) -> object: ...

    def hexdigest(self) -> str: ...


def known(digest: str | None) -> bool:
    """Whether plotman can compute digests of this kind: 128 bits, as 32 hex digits."""
    return digest is not None and re.fullmatch(r"[0-9a-f]{32}", digest) is not None


def read_digest(
    path: Path,
    stop: Stop,
    digest: Digest | None = None,
    rate_bytes_s: float | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> str:
    """Read the whole file and compute its digest. Takes minutes for a plot on a hard disk: hold no lock.

    Args:
        path: The file. Its cached pages are dropped first, since they prove nothing about the drive.
        stop: Ends the reading once it is set.
        digest: An empty digest to fill; None: xxh3_128, as rsync computes it.
        rate_bytes_s: Read no faster than this; None: no limit.
        tell: Called after each piece with the bytes read so far.

    Returns:
        The digest in hex.

    Raises:
        StepInterrupted: `stop` was set.
        OSError: The file cannot be read.
    """
    digest = digest or xxhash.xxh3_128()
    begun_s, done_bytes = time.monotonic(), 0
    with open_regular(path) as file:
        fd = file.fileno()
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while chunk := file.read(_CHUNK_BYTES):
            if stop.is_set():
                raise StepInterrupted
            digest.update(chunk)
            os.posix_fadvise(fd, done_bytes, len(chunk), os.POSIX_FADV_DONTNEED)  # for the farmer
            done_bytes += len(chunk)
            tell(done_bytes)
            if rate_bytes_s:
                time.sleep(max(0.0, begun_s + done_bytes / rate_bytes_s - time.monotonic()))
    return digest.hexdigest()
