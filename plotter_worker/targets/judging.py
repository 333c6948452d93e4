"""What is known of a target's copies: by its own script's word, by the file system, or by its daemon."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from common.errors import TransferFailed
from common.messages import Reservation
from plotter_worker.targets import rsyncd, whole
from plotter_worker.targets.definition import Target
from plotter_worker.targets.run import Ended
from plotter_worker.transfer.rsync import failure

log = logging.getLogger(__name__)

LOCAL, DAEMON = "local_rsync", "rsyncd"
UNFLUSHED = (
    "Target {name}: its rsync does not know --fsync (3.2.4 and newer do) or refuses it: a power cut there, "
    "soon after a transfer, may lose the plot."
)
_PROGRESS = "--info=progress2 --no-h --outbuf=L"


def options(target: Target, *, again: bool, flush: bool) -> str:
    """What rsync is told beside the user's options, of our own targets only; "" for nothing.

    again: a file of that name is there: compare, and send only what differs.
    flush: to the drive before rsync ends; for local drives we do that ourselves, with any rsync.
    """
    if target.ours is None or PurePath(target.env["command"]).name != "rsync":
        return ""
    words = [_PROGRESS]
    if again:
        words.append("--checksum")
    if target.ours == DAEMON:
        words += ["--timeout=600", "--contimeout=60", *(["--fsync"] if flush else [])]
    return " ".join(words)


def refuses(ended: Ended, option: str) -> bool:
    """Whether either rsync failed because it does not know, or may not take, an option of ours."""
    return ended.code != 0 and any(option in line for line in ended.said)


def copies(target: Target, folders: Sequence[str], name: str) -> dict[str, int]:
    """Folder -> size in bytes of the file of that name in it: left by a transfer whose end nobody saw.

    What cannot be looked at counts as not there.
    """
    found: dict[str, int] = {}
    for folder in folders:
        try:
            if target.ours == DAEMON:
                url = rsyncd.address(target.env, folder) + name
                size_bytes = rsyncd.size_there(target.env, target.environment(), url)
            else:
                there = next(_local_copies(target, folder, name), None)
                size_bytes = there.stat().st_size if there else None
        except rsyncd.CannotLook as error:
            log.debug("%s", error)
            return found
        except OSError as error:
            log.debug("%s: %s", folder, error)
            continue
        if size_bytes is not None:
            found[folder] = size_bytes
    return found


def sweep(target: Target, folders: Sequence[str], name: str) -> None:
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


def device(target: Target, folder: str) -> int | None:
    """File system of a folder on this machine; None where it may be on another."""
    return whole.device_of(Path(folder)) if target.ours == LOCAL else None


def exit_status(target: Target, folder: str, ended: Ended) -> None:
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
    target: Target, source: Path, reservation: Reservation, listed: Sequence[str], device: int | None
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
    whole.make_sure(copy, source, size_bytes, device)
    return str(copy), "size and header, on its drive"


def _at_daemon(target: Target, source: Path, folder: str, size_bytes: int) -> tuple[str, str]:
    url = rsyncd.address(target.env, folder) + source.name
    try:
        there_bytes = rsyncd.size_there(target.env, target.environment(), url)
    except rsyncd.CannotLook as error:
        log.warning("%s Its rsync ended well, which must do.", error)
        return url, "rsync's checksum of what was sent"
    if there_bytes != size_bytes:
        raise TransferFailed(f"{url} has {there_bytes or 0} of {size_bytes} bytes.", "The source is kept.")
    return url, "rsync's checksum of what was sent, and the size there"


def _local_copies(target: Target, folder: str, name: str) -> Iterator[Path]:
    return whole.copies_in(Path(folder), name, target.env.get("path_suffix", ""), deeper=target.ours is None)
