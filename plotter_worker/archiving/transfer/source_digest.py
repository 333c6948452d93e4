"""Reads a whole source, to compare it with a file of the same name that the drive already has."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from common.errors import TransferFailed
from common.worker.digests import read_digest
from common.worker.move_step import Stop
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.archiving.transfer.rsync import Sent

_REPORT_EVERY_S = 1.0


def digest_of(source: Path, report: Callable[[TransferProgress], None], stop: Stop) -> Sent:
    """Compute the digest that rsync prints when it sends the source. Nothing is sent.

    Args:
        report: Called about once a second.

    Raises:
        TransferFailed: The source changed during the reading, or cannot be read.
        StepInterrupted: `stop` was set.
    """
    begun_s = reported_s = time.monotonic()

    def progress(done_bytes: int) -> None:
        nonlocal reported_s
        now_s = time.monotonic()
        if now_s - reported_s < _REPORT_EVERY_S:
            return
        reported_s = now_s
        report(TransferProgress.of(done_bytes, before.st_size, now_s - begun_s))

    try:
        before = source.stat()
        digest = read_digest(source, stop, tell=progress)
        after = source.stat()
    except OSError as error:
        raise TransferFailed(f"{source} cannot be read ({error.strerror}).", "Check its drive.") from error
    must_be_unchanged(source, before, after)
    return Sent(digest, 0, time.monotonic() - begun_s)


def must_be_unchanged(source: Path, before: os.stat_result, after: os.stat_result) -> None:
    """Raise TransferFailed if another file took the source's place, or somebody wrote to it."""
    one, other = ((each.st_dev, each.st_ino, each.st_size, each.st_mtime_ns) for each in (before, after))
    if one != other:
        raise TransferFailed(f"{source} was changed while it was read.", "Its move begins again later.")
