"""What is known of a target's copies: by its own script's word, by the file system, or by its daemon."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from pathlib import Path, PurePath

from common.errors import TransferFailed
from common.model.messages import Reservation
from common.worker.digests import read_digest
from common.worker.move_step import Stop
from plotter_worker.archiving.targets import completeness, rsyncd
from plotter_worker.archiving.targets.definition import ArchiveTarget
from plotter_worker.archiving.targets.transfer_script import Ended
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.archiving.transfer.rsync import failure
from plotter_worker.archiving.transfer.source_digest import digest_of

log = logging.getLogger(__name__)

LOCAL, DAEMON = "local_rsync", "rsyncd"
UNFLUSHED = (
    "Target {name}: its rsync does not know --fsync (3.2.4 and newer do) or refuses it: a power cut there, "
    "soon after a transfer, may lose the plot."
)
_PROGRESS = "--info=progress2 --no-h --outbuf=L"


class There(Enum):
    """Whether a file of the plot's name is in the folder already."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


# By itself rsync skips a file of the same size and mtime, whatever is in it. With the first option it
# compares the whole content, with the second it sends the plot in any case.
COMPARE, SEND = "--checksum", "--ignore-times"


def options(target: ArchiveTarget, look: str, *, flush: bool) -> str:
    """What rsync is told beside the user's options, of our own targets only; "" for nothing.

    look: COMPARE, SEND or "". flush: to the drive before rsync ends; for local drives we do that ourselves,
    with any rsync.
    """
    if not is_rsync(target):
        return ""
    words = [_PROGRESS, *([look] if look else [])]
    if target.ours == DAEMON:
        words += ["--timeout=600", "--contimeout=60", *(["--fsync"] if flush else [])]
    return " ".join(words)


def is_rsync(target: ArchiveTarget) -> bool:
    """Whether the target's program is an rsync that takes options of ours."""
    return target.ours is not None and PurePath(target.env["command"]).name == "rsync"


def refuses(ended: Ended, option: str) -> bool:
    """Whether either rsync failed because it does not know, or may not take, an option of ours."""
    return ended.code != 0 and any(option in line for line in ended.said)


def copies(target: ArchiveTarget, folders: Sequence[str], name: str) -> tuple[dict[str, int], bool]:
    """Folder -> size in bytes of the file of that name in it: left by a transfer whose end nobody saw, or put
    there by others. And whether all folders could be looked at."""
    found: dict[str, int] = {}
    seen_all = True
    for folder in folders:
        try:
            if target.ours == DAEMON:
                url = rsyncd.address(target.env, folder) + name
                size_bytes = rsyncd.size_there(target.env, target.environment(), url)
            else:
                there = next(_local_copies(target, folder, name), None)
                size_bytes = there.stat().st_size if there else None
        except rsyncd.CannotList as error:
            log.debug("%s", error)
            return found, False
        except OSError as error:
            log.debug("%s: %s", folder, error)
            seen_all = False
            continue
        if size_bytes is not None:
            found[folder] = size_bytes
    return found, seen_all


def sweep(target: ArchiveTarget, folders: Sequence[str], name: str) -> None:
    """Remove what an rsync that was killed left of this plot on drives of this machine: its name between a
    dot and six characters, in rsync's way. To be called while no transfer runs."""
    if target.ours != LOCAL:
        return
    for folder in folders:
        for place in {Path(folder), Path(folder) / target.suffix}:
            for left in place.glob(f".{name}.??????"):
                with contextlib.suppress(OSError):
                    left.unlink()
                    log.info("%s is removed: a transfer that was killed left it", left)


def device(target: ArchiveTarget, folder: str) -> int | None:
    """File system of a folder on this machine; None where it may be on another."""
    return completeness.device_of(Path(folder)) if target.ours == LOCAL else None


def exit_status(target: ArchiveTarget, folder: str, ended: Ended) -> None:
    """Raises TransferFailed where a script did not end well."""
    if ended.code == 0:
        return
    if target.ours and PurePath(target.env["command"]).name == "rsync":
        what = failure(ended.code, "\n".join(ended.said)).what.rstrip(".")
    else:
        how = f"was killed by signal {-ended.code}" if ended.code < 0 else f"exits {ended.code}"
        what = f"transfer script {how}{': ' + ended.said[-1][:300] if ended.said else ''}"
    raise TransferFailed(f"{what}, on the way to {folder}.", f"The source is kept; see {ended.log}")


def whole_copy(
    target: ArchiveTarget, source: Path, reservation: Reservation, listed: Sequence[str], device: int | None
) -> tuple[str, str]:
    """Where the copy is, and how that is known. listed: folders that the target has after the transfer.

    device: file system of the folder before it, where that is known.
    Raises TransferFailed where the copy is not known to be whole, and the source is still there.
    """
    folder, size_bytes = reservation.drive, reservation.size_bytes
    if not source.exists():
        return f"{folder}/{source.name}", "its script's word: it deleted the source"
    if target.ours and folder not in listed:
        raise TransferFailed(
            f"{folder} is no folder of the target any more.",
            "Was its drive unmounted? The copy then lies on another one. The source is kept.",
        )
    if target.ours == DAEMON:
        return _at_daemon(target, source, folder, size_bytes)
    copy = next(_local_copies(target, folder, source.name), None)
    if copy is None:
        raise TransferFailed(
            f"transfer script exits 0, but {source} is still there, and no copy is seen in {folder}.",
            "Have it delete the source when the copy is whole, as plotman 0.5 did.",
        )
    completeness.make_sure(copy, source, size_bytes, device)
    return str(copy), "size and header, on its drive"


def same_content(
    target: ArchiveTarget, source: Path, landed: str, tell: Callable[[TransferProgress], None], stop: Stop
) -> str:
    """Compare the whole content of a copy that no rsync of ours has compared or sent. Takes as long as
    reading both.

    Args:
        target: Where the copy lies.
        source: The plot.
        landed: Path or address of the copy.
        tell: Called with the progress of reading the source.
        stop: Ends the reading once it is set.

    Returns:
        That it was done, in words to append.

    Raises:
        TransferFailed: The two differ, or cannot be compared.
        LetGo: `stop` was set.
    """
    if target.ours == DAEMON:
        raise TransferFailed(
            f"{landed} may have been there before, and its content cannot be compared with {source}.",
            "The source is kept. Move that file away, or allow checksum and ignore-times in rsyncd.conf.",
        )
    if digest_of(source, tell, stop).digest != read_digest(Path(landed), stop):
        raise TransferFailed(
            f"{landed} was there before, and its content differs from {source}.",
            "The source is kept. Check both (`chia plots check`), and move the bad one out of the way.",
        )
    return ", all bytes compared with the source"


def _at_daemon(target: ArchiveTarget, source: Path, folder: str, size_bytes: int) -> tuple[str, str]:
    url = rsyncd.address(target.env, folder) + source.name
    try:
        there_bytes = rsyncd.size_there(target.env, target.environment(), url)
    except rsyncd.CannotList as error:
        log.warning("%s Its rsync ended well, which must do.", error)
        return url, "rsync's checksum of what was sent"
    if there_bytes != size_bytes:
        raise TransferFailed(f"{url} has {there_bytes or 0} of {size_bytes} bytes.", "The source is kept.")
    return url, "rsync's checksum of what was sent, and the size there"


def _local_copies(target: ArchiveTarget, folder: str, name: str) -> Iterator[Path]:
    suffix = target.env.get("path_suffix", "")
    return completeness.copies_in(Path(folder), name, suffix, deeper=target.ours is None)
