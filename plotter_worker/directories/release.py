"""The finished plots that may leave this host, and the last word on deleting one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from common.config import Config
from common.errors import OrderRefused
from common.model.messages import Admission
from common.model.plot_name import PlotName


def plot_dirs(settings: Config) -> tuple[str, ...]:
    """Every directory of this machine in which plotman may touch finished plots."""
    section = settings.directories
    if section is None:
        return ()
    places = (*section.finished, *section.tmp, *(section.dst or ()), *filter(None, [section.tmp2]))
    return tuple(dict.fromkeys(map(str, places)))


def own_plot(path: str, dirs: Sequence[str]) -> Path:
    """The path, if it is that of a plot directly in one of the directories. Raises OrderRefused otherwise:
    a message must not make us read or delete anything else.
    """
    found = Path(path)
    if PlotName.parse(found.name) is None:
        raise OrderRefused(f"{path} is not named like a finished plot.", "Name a plot in a dst directory.")
    if os.path.realpath(found.parent) not in {os.path.realpath(place) for place in dirs}:
        raise OrderRefused(
            f"{path} is not in a tmp or dst directory of this host.", "Name a plot in a dst directory."
        )
    return found


def release(
    admission: Admission, dirs: Sequence[str], has: Callable[[str, str, os.stat_result], bool]
) -> bool:
    """Delete the source of an admitted plot; False where it is gone already.

    Args:
        admission: The harvester's word, which others may have forged.
        dirs: Where this host's finished plots lie.
        has: Whether this file, by its path and lstat, was sent to this receiver: DeliveredFile.has.

    Raises:
        OrderRefused: The source is not ours, was not sent there, or has changed since.
    """
    source = own_plot(admission.reservation.path, dirs)
    try:
        status = source.lstat()
    except FileNotFoundError:
        return False
    size_bytes, receiver = status.st_size, admission.reservation.host
    if not size_bytes == admission.size_bytes == admission.reservation.size_bytes:
        raise OrderRefused(
            f"{source} has {size_bytes} bytes, but {admission.size_bytes} were taken in.",
            "It is kept: look who changed it.",
        )
    if source.is_symlink() or _is_the_farmed_one(source, admission):
        raise OrderRefused(f"{source} is the plot that is farmed.", "It is kept.")
    if not has(admission.reservation.path, receiver, status):
        raise OrderRefused(
            f"{source}, as it is now, was not sent to {receiver} from here.",
            "It is kept, and compared with the copy at the next try.",
        )
    source.unlink(missing_ok=True)
    fd = os.open(source.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return True


def _is_the_farmed_one(source: Path, admission: Admission) -> bool:
    """Where a directory is both dst and drive, perhaps by a bind mount or over the network, there is but one
    file. Across machines neither device nor inode tells; but a harvester leaves a folder of its own on each
    drive, and a plot that is farmed lies beside it.
    """
    if (source.parent / ".incoming").is_dir():
        return True
    if admission.reservation.host != admission.reservation.source_host:
        return False
    try:
        return source.samefile(admission.landed)
    except FileNotFoundError:
        return False
