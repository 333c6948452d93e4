"""Copies a plot to its part where this machine sees the drive: the drive is in it, or mounted here.

One pass reads, computes the digest and writes. rsync would be three processes, which compute two digests of
their own and pass the bytes through a pipe (docs/adr/0024-local-copy.md).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import xxhash

from common.errors import TransferFailed
from common.model.units import human_bytes, human_duration
from common.system.openfile import open_regular
from common.worker.move_step import Stop
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.archiving.transfer.rsync import (
    FLUSH_S,
    LOCAL_TIMEOUT_S,
    SLOWEST_BYTES_S,
    STALE_S,
    Sent,
    why_stopped,
)
from plotter_worker.archiving.transfer.source_digest import must_be_unchanged

_CHUNK_BYTES = 1 << 20
_POLL_S = 0.2  # delay until a stop is noticed
_REPORT_EVERY_S = 1.0
_LIMIT_EVERY_S = 0.5  # the limit is in a file
_GRACE_S = 5.0


def copy(
    source: Path,
    part: Path,
    report: Callable[[TransferProgress], None],
    stop: Stop,
    limit: Callable[[], float | None] = lambda: None,
    slowest: Callable[[], float] = lambda: SLOWEST_BYTES_S,
) -> Sent:
    """Fill the part with the source, and flush it. What the part holds already is compared, and is written
    again only from the first difference on. The source is never changed, the part never created.

    Args:
        source: The plot.
        part: The reserved file.
        report: Called about once a second, and once all is written.
        stop: Ends the copy.
        limit: Bytes a second, asked while the copy runs; None: no limit.
        slowest: Bytes a second below which the copy is ended.

    Returns:
        Digest of the whole source (xxh3_128, as rsync computes it), and the bytes that were written.

    Raises:
        TransferFailed: A file cannot be read or written, a drive hangs, or an operator ended the transfer.
        StepInterrupted: `stop` was set for another reason.
    """
    begun_s = time.monotonic()
    work = _Copy(source, part, limit)
    # A thread that a hung drive blocks cannot be ended. It is left alone, and writes nothing more afterwards.
    thread = threading.Thread(target=work.run, name=f"copy {part.name}", daemon=True)
    thread.start()
    try:
        _wait(work, report, stop, begun_s, slowest)
    finally:
        work.left.set()
        thread.join(_GRACE_S)
    if work.error is not None:
        raise work.error
    report(work.progress(time.monotonic() - begun_s))
    return Sent(work.digest, work.written_bytes, time.monotonic() - begun_s)


def _wait(
    work: _Copy,
    report: Callable[[TransferProgress], None],
    stop: Stop,
    begun_s: float,
    slowest: Callable[[], float],
) -> None:
    watchdog, reported_s, flushed = _Watchdog(work, slowest, begun_s), begun_s, False
    while not work.ended.wait(_POLL_S):
        if stop.is_set():
            raise why_stopped(stop)
        now_s = time.monotonic()
        watchdog.check(now_s)
        is_written = work.flushes and not flushed  # which may be long before the end
        flushed = work.flushes
        if is_written or now_s - reported_s >= _REPORT_EVERY_S:
            reported_s = now_s
            report(work.progress(now_s - begun_s))


class _Watchdog:
    """Ends a copy that hangs, or that is slower than the least rate.

    slowest: bytes a second. begun_s: by the monotonic clock, as `now_s`.
    """

    def __init__(self, work: _Copy, slowest: Callable[[], float], begun_s: float) -> None:
        self._work, self._slowest = work, slowest
        self._seen: object = None
        self._moved_s = self._passed_s = begun_s
        self._passed_bytes = 0

    def check(self, now_s: float) -> None:
        """Raises TransferFailed. A flush tells nothing of its progress, and so has no rate."""
        work = self._work
        seen, flushes = (work.done_bytes, work.pauses, work.flushes), work.flushes
        if seen != self._seen:
            self._seen, self._moved_s = seen, now_s
        longest_s = FLUSH_S if flushes else LOCAL_TIMEOUT_S
        if now_s - self._moved_s > longest_s:
            raise TransferFailed(
                f"The copy came no further for {human_duration(longest_s)}: a drive hangs.",
                "See dmesg on this machine.",
            )
        if work.done_bytes - self._passed_bytes >= self._slowest() * STALE_S:
            self._passed_s, self._passed_bytes = now_s, work.done_bytes
        if now_s - self._passed_s > STALE_S and not flushes:
            raise TransferFailed(
                f"The copy came no further than {human_bytes(work.done_bytes)} in {human_duration(STALE_S)}.",
                "Check both drives. It resumes where it stopped.",
            )


class _Copy:
    """Its attributes are read by the thread that waits.

    done_bytes: of the source that the part has. pauses: how often it waited for the limit. flushes: all of it
    is written. ended: by success or `error`. left: nobody waits any more.
    """

    def __init__(self, source: Path, part: Path, limit: Callable[[], float | None]) -> None:
        self._source, self._part = source, part
        self._limit = limit
        self._limit_bytes_s: float | None = None
        self._limit_s = 0.0
        self._size_bytes = 0
        self.done_bytes = self.written_bytes = self.pauses = 0
        self.flushes = False
        self.digest: str | None = None
        self.error: Exception | None = None
        self.left, self.ended = threading.Event(), threading.Event()

    def progress(self, spent_s: float) -> TransferProgress:
        return TransferProgress.of(self.done_bytes, self._size_bytes, spent_s)

    def run(self) -> None:
        try:
            self._run()
        except Exception as error:  # noqa: BLE001 - the waiting thread raises it
            self.error = error
        finally:
            self.ended.set()

    def _run(self) -> None:
        with self._opened_source() as source, _opened(self._part) as part:
            before = os.fstat(source)
            self._size_bytes = before.st_size
            self._fill(source, part)
            if self.left.is_set():
                return
            must_be_unchanged(self._source, before, os.fstat(source))
            self.flushes = True
            with _writing(self._part):
                os.fsync(part)

    @contextlib.contextmanager
    def _opened_source(self) -> Iterator[int]:
        with _reading(self._source):
            file = open_regular(self._source, os.O_NOFOLLOW)
        with file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            yield file.fileno()

    def _fill(self, source: int, part: int) -> None:
        digest, buffer = xxhash.xxh3_128(), memoryview(bytearray(_CHUNK_BYTES))
        with _writing(self._part):
            kept_bytes = os.fstat(part).st_size
        while True:
            begun_s, at_bytes = time.monotonic(), self.done_bytes
            with _reading(self._source):
                length_bytes = os.readv(source, [buffer])
            if at_bytes + length_bytes > self._size_bytes:  # no more room is reserved
                raise TransferFailed(f"{self._source} grew while it was copied.", "It is copied again later.")
            if self.left.is_set():  # while a drive hung
                return
            if not length_bytes:
                break
            piece = buffer[:length_bytes]
            digest.update(piece)
            with _writing(self._part):
                if at_bytes >= kept_bytes or os.pread(part, length_bytes, at_bytes) != piece.tobytes():
                    kept_bytes = 0  # from a first difference on, all is written
                    self._write(part, piece, at_bytes)
            self.done_bytes += length_bytes
            self._pace(length_bytes, begun_s)
        with _writing(self._part):
            if os.fstat(part).st_size > self.done_bytes:
                os.ftruncate(part, self.done_bytes)
        self.digest = digest.hexdigest()

    def _write(self, part: int, piece: memoryview, at_bytes: int) -> None:
        while piece:
            wrote_bytes = os.pwrite(part, piece, at_bytes)
            piece, at_bytes = piece[wrote_bytes:], at_bytes + wrote_bytes
            self.written_bytes += wrote_bytes

    def _pace(self, length_bytes: int, begun_s: float) -> None:
        """Wait as long as the limit asks for these bytes, which took some time already."""
        spent_s = time.monotonic() - begun_s
        owed_bytes = float(length_bytes)
        while (rate_bytes_s := self._rate()) and owed_bytes > spent_s * rate_bytes_s:
            owed_bytes -= spent_s * rate_bytes_s
            spent_s = min(_POLL_S, owed_bytes / rate_bytes_s)
            self.pauses += 1
            if self.left.wait(spent_s):
                return

    def _rate(self) -> float | None:
        now_s = time.monotonic()
        if now_s >= self._limit_s:
            self._limit_s, self._limit_bytes_s = now_s + _LIMIT_EVERY_S, self._limit()
        return self._limit_bytes_s


@contextlib.contextmanager
def _opened(part: Path) -> Iterator[int]:
    """Open the very part, by no link: the owner of a mounted drive could lead the copy to another file."""
    with _writing(part):
        folder = os.open(part.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            fd = os.open(part.name, flags, dir_fd=folder)
        finally:
            os.close(folder)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise TransferFailed(
                f"{part} is no regular file, or has another name.", "Find its creator, and delete it."
            )
        yield fd
    finally:
        with _writing(part):  # over a network, some errors of writing come with it
            os.close(fd)


@contextlib.contextmanager
def _reading(source: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TransferFailed(f"{source} cannot be read ({error.strerror}).", "Check its drive.") from error


@contextlib.contextmanager
def _writing(part: Path) -> Iterator[None]:
    """Say what an error means that the part or its folder gave."""
    try:
        yield
    except FileNotFoundError as error:
        what, cure = f"{part} no longer exists: its reservation expired.", "It is reserved again."
        raise TransferFailed(what, cure) from error
    except PermissionError as error:
        what, cure = f"{part} cannot be written.", "Run archiver and harvester as the same user."
        raise TransferFailed(what, cure) from error
    except OSError as error:
        if error.errno == errno.ESTALE:
            what, cure = f"{part} was removed from its drive.", "It is reserved again."
        elif error.errno in (errno.ELOOP, errno.ENOTDIR):
            what, cure = f"{part} or its folder is a symbolic link.", "Find its creator, and delete it."
        else:
            what = f"{part} cannot be written ({error.strerror}): the drive is full or failing."
            cure = "Check dmesg, and the drive's free space."
        raise TransferFailed(what, cure) from error
