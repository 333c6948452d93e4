"""Reads a plot back from its drive, all of it, and holds it against a digest."""

from __future__ import annotations

import hashlib
import os
import re
import time
from functools import partial
from pathlib import Path
from typing import Protocol

import xxhash

from common.errors import DriveFailed
from common.moving import LetGo, Stop, never

_CHUNK_BYTES = 4 << 20
# A drive that delivers less than this is failing.
SLOWEST_BYTES_S = 10e6


class _Digest(Protocol):
    def update(self, data: bytes, /) -> object: ...

    def hexdigest(self) -> str: ...


def deadline_s(size_bytes: int) -> float:
    """How long reading so many bytes, twice, may take."""
    return 600 + 2 * size_bytes / SLOWEST_BYTES_S


def known(digest: str | None) -> bool:
    """Whether a digest is of a kind that we can compute: 128 bits, as 32 hex digits."""
    return digest is not None and re.fullmatch(r"[0-9a-f]{32}", digest) is not None


def compare(path: Path, digest: str, stop: Stop = never, rate_bytes_s: float | None = None) -> None:
    """Read the file from its drive. digest: rsync's of the source, xxh128, or md5 where one of the two
    rsyncs is old. rate_bytes_s: not faster than this; None: as fast as it goes.

    Raises DriveFailed where the bytes are others, LetGo when `stop` is set meanwhile, OSError. Takes as
    long as the drive does: run it where that may be waited for.
    """
    found = []
    for kind in (xxhash.xxh3_128, partial(hashlib.md5, usedforsecurity=False)):
        found.append(_digest(path, kind(), stop, rate_bytes_s))
        if found[-1] == digest:
            return
    raise DriveFailed(
        f"{path.name} reads back otherwise than it was sent: digest {found[0]}, sent {digest}.",
        "Look at dmesg, the drive and its cable, and the memory of this machine.",
    )


def _digest(path: Path, digest: _Digest, stop: Stop, rate_bytes_s: float | None) -> str:
    begun_s, done_bytes = time.monotonic(), 0
    with path.open("rb", buffering=0) as file:
        fd = file.fileno()
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # what is in memory proves nothing
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while chunk := file.read(_CHUNK_BYTES):
            if stop.is_set():
                raise LetGo
            digest.update(chunk)
            os.posix_fadvise(fd, done_bytes, len(chunk), os.POSIX_FADV_DONTNEED)  # the farmer needs the room
            done_bytes += len(chunk)
            if rate_bytes_s:
                time.sleep(max(0.0, begun_s + done_bytes / rate_bytes_s - time.monotonic()))
    return digest.hexdigest()
