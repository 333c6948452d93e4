"""Reads a source as a whole, where the harvester's drive already has a file of the plot's name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from common.errors import TransferFailed
from common.worker.digests import read_digest
from common.worker.move_step import Stop
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.archiving.transfer.rsync_process import Sent

_TELL_EVERY_S = 1.0


def digest_of(source: Path, tell: Callable[[TransferProgress], None], stop: Stop) -> Sent:
    """Compute the digest that rsync would tell of the source. Nothing is sent.

    Args:
        source: The plot.
        tell: Called about once a second.
        stop: Ends the reading once it is set.

    Raises:
        TransferFailed: The source was changed meanwhile, or cannot be read.
        LetGo: `stop` was set.
    """
    begun_s = told_s = time.monotonic()

    def progress(done_bytes: int) -> None:
        nonlocal told_s
        now_s = time.monotonic()
        if now_s - told_s < _TELL_EVERY_S:
            return
        told_s = now_s
        rate_bytes_s = done_bytes / (now_s - begun_s)
        eta_s = (before.st_size - done_bytes) / rate_bytes_s
        tell(TransferProgress(done_bytes, min(99, 100 * done_bytes // before.st_size), rate_bytes_s, eta_s))

    try:
        before = source.stat()
        digest = read_digest(source, stop, tell=progress)
        after = source.stat()
    except OSError as error:
        raise TransferFailed(f"{source} cannot be read ({error.strerror}).", "Look at its drive.") from error
    if _which(before) != _which(after):
        raise TransferFailed(f"{source} was changed while it was read.", "It is compared again later.")
    return Sent(digest, 0, time.monotonic() - begun_s)


def _which(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
