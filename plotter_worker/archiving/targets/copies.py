"""Copies of a plot at its target: which exist, and whether one is complete. If so, the source may be deleted.

A copy is proved by the user's script, which deletes the source itself; by the file system; or by the daemon.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from common.errors import TransferFailed
from common.model.messages import Reservation
from common.system.plotfile import NotAPlot, Verdict, read_header, whole
from common.worker.digests import read_digest
from common.worker.move_step import Stop
from plotter_worker.archiving.targets import rsync
from plotter_worker.archiving.targets.definition import ArchiveTarget
from plotter_worker.archiving.targets.transfer_script import Ended
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.archiving.transfer.rsync import failure
from plotter_worker.archiving.transfer.source_digest import digest_of

log = logging.getLogger(__name__)

_KEPT = "The source is kept."


def existing_copies(target: ArchiveTarget, folders: Sequence[str], name: str) -> tuple[dict[str, int], bool]:
    """Find files of the plot's name: of a transfer whose end no archiver saw, or of other programs.

    Returns:
        Folder -> size in bytes, and whether all folders could be read.
    """
    found: dict[str, int] = {}
    complete = True
    for folder in folders:
        try:
            if target.ours == rsync.DAEMON:
                url = rsync.address(target.env, folder) + name
                size_bytes = rsync.listed_bytes(target.env, target.environment(), url)
            else:
                copy = next(_local_copies(target, folder, name), None)
                size_bytes = copy.stat().st_size if copy else None
        except rsync.CannotList as error:
            log.debug("%s", error)
            return found, False
        except OSError as error:
            log.debug("%s: %s", folder, error)
            complete = False
            continue
        if size_bytes is not None:
            found[folder] = size_bytes
    return found, complete


def delete_temporary_files(target: ArchiveTarget, folders: Sequence[str], name: str) -> None:
    """Delete what a killed rsync left of this plot on local drives: rsync's temporary name is the plot's name
    between a dot, and a dot with six characters. No transfer may run."""
    if target.ours != rsync.LOCAL:
        return
    for folder in folders:
        for directory in {Path(folder), Path(folder) / target.suffix}:
            for left in directory.glob(f".{name}.??????"):
                with contextlib.suppress(OSError):
                    left.unlink()
                    log.info("%s is deleted: it is from a killed transfer", left)


def local_device(target: ArchiveTarget, folder: str) -> int | None:
    """File system of a local folder while it is mounted; None if the folder is missing or may be remote."""
    if target.ours != rsync.LOCAL:
        return None
    try:
        return Path(folder).stat().st_dev if Path(folder).is_dir() else None
    except OSError:
        return None


def check_exit(target: ArchiveTarget, folder: str, ended: Ended) -> None:
    """Raises TransferFailed if the script failed."""
    if ended.code == 0:
        return
    if rsync.is_rsync(target):
        what = failure(ended.code, "\n".join(ended.last_lines)).what.rstrip(".")
    else:
        how = f"was killed by signal {-ended.code}" if ended.code < 0 else f"exits {ended.code}"
        what = f"transfer script {how}{': ' + ended.last_lines[-1][:300] if ended.last_lines else ''}"
    raise TransferFailed(f"{what}, during the transfer to {folder}.", f"{_KEPT} See {ended.log}")


def complete_copy(
    target: ArchiveTarget, source: Path, reservation: Reservation, listed: Sequence[str], device: int | None
) -> tuple[str, str]:
    """Check that the copy is complete, or that the script has deleted the source itself.

    Args:
        reservation: With the folder and the size.
        listed: Folders that the target has after the transfer.
        device: File system of the folder before it; None if unknown.

    Returns:
        Path or address of the copy, and how it was checked.

    Raises:
        TransferFailed: The copy is not known to be complete. The source still exists.
    """
    folder, size_bytes = reservation.drive, reservation.size_bytes
    if not source.exists():
        return f"{folder}/{source.name}", "the script deleted the source"
    if target.ours and folder not in listed:
        raise TransferFailed(
            f"{folder} is no longer a folder of the target.",
            f"Was its drive unmounted? Then the copy is on another drive. {_KEPT}",
        )
    if target.ours == rsync.DAEMON:
        return _check_at_daemon(target, source, folder, size_bytes)
    copy = next(_local_copies(target, folder, source.name), None)
    if copy is None:
        raise TransferFailed(
            f"transfer script exits 0, but {source} still exists, and {folder} has no copy.",
            "The script must delete the source when the copy is complete, as with plotman 0.5.",
        )
    _check_local(copy, source, size_bytes, device)
    return str(copy), "size and header, on its drive"


def compare_content(
    target: ArchiveTarget, source: Path, copy: str, report: Callable[[TransferProgress], None], stop: Stop
) -> str:
    """Compare the whole content of a copy that no rsync of ours has compared or sent. Takes as long as
    reading both files.

    Returns:
        Words to append to how the copy was checked.

    Raises:
        TransferFailed: The files differ, or cannot be compared.
        StepInterrupted: `stop` was set.
    """
    if target.ours == rsync.DAEMON:
        raise TransferFailed(
            f"{copy} may have been there before, and its content cannot be compared with {source}.",
            f"{_KEPT} Move that file away, or allow checksum and ignore-times in rsyncd.conf.",
        )
    if digest_of(source, report, stop).digest != read_digest(Path(copy), stop):
        raise TransferFailed(
            f"{copy} was there before, and its content differs from {source}.",
            f"{_KEPT} Check both (`chia plots check`), and move the bad one out of the way.",
        )
    return ", all bytes compared with the source"


def _check_at_daemon(target: ArchiveTarget, source: Path, folder: str, size_bytes: int) -> tuple[str, str]:
    url = rsync.address(target.env, folder) + source.name
    try:
        copy_bytes = rsync.listed_bytes(target.env, target.environment(), url)
    except rsync.CannotList as error:
        log.warning("%s The success of its rsync is the only proof of the copy.", error)
        return url, "rsync's checksum of what was sent"
    if copy_bytes != size_bytes:
        raise TransferFailed(f"{url} has {copy_bytes or 0} of {size_bytes} bytes.", _KEPT)
    return url, "rsync's checksum of what was sent, and the size there"


def _local_copies(target: ArchiveTarget, folder: str, name: str) -> Iterator[Path]:
    """Files of that name in the folder and its `path_suffix`; with the user's scripts in all subfolders."""
    top, suffix = Path(folder), target.env.get("path_suffix", "")
    directories = [top / suffix, top] if suffix else [top]
    if target.ours is None:
        with contextlib.suppress(OSError):
            directories += sorted(entry for entry in top.iterdir() if entry.is_dir())
    for directory in dict.fromkeys(directories):
        if (directory / name).is_file():
            yield directory / name


def _check_local(copy: Path, source: Path, size_bytes: int, device: int | None) -> None:
    """Check size, header, device and wholeness of a copy, and flush it to its drive. Raises
    TransferFailed."""
    try:
        status = copy.lstat()
        if not stat.S_ISREG(status.st_mode) or copy.samefile(source):
            raise TransferFailed(f"{copy} is no copy, but the source itself or a link.", _KEPT)
        if status.st_size != size_bytes:
            raise TransferFailed(f"{copy} has {status.st_size} of {size_bytes} bytes.", _KEPT)
        if device is not None and status.st_dev != device:
            raise TransferFailed(
                f"{copy} is on another drive than the chosen one.",
                f"{_KEPT} Check which drive was mounted or unmounted there, and delete the copy.",
            )
        _flush(copy, os.O_RDONLY)
        _flush(copy.parent, os.O_RDONLY | os.O_DIRECTORY)
        header = read_header(copy)
        if header != read_header(source):
            raise TransferFailed(f"{copy} has another header than {source}.", _KEPT)
        found = whole(copy, header)
        if found.verdict is Verdict.TRUNCATED:
            raise TransferFailed(f"{copy} is not whole: {found.reason}.", _KEPT)
    except NotAPlot as error:
        raise TransferFailed(f"{error}", _KEPT) from error
    except OSError as error:
        raise TransferFailed(f"{copy} cannot be read ({error.strerror}).", _KEPT) from error


def _flush(path: Path, flags: int) -> None:
    handle = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
