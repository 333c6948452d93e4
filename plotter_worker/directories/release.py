"""Decides which finished plots of this host may be touched, and deletes a source after its admission."""

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
    paths = (*section.finished, *section.tmp, *(section.dst or ()), *filter(None, [section.tmp2]))
    return tuple(dict.fromkeys(map(str, paths)))


def lies_in(path: str, dirs: Sequence[str]) -> bool:
    """Whether a path is directly in one of the directories, as they are written: no file is looked at."""
    return os.path.dirname(path) in {each.rstrip("/") for each in dirs}  # noqa: PTH120


def own_plot(path: str, dirs: Sequence[str]) -> Path:
    """The path of a plot that is directly in one of the directories, with no link in its folder.

    Raises:
        OrderRefused: it is not: a message must not make us read or delete anything else.
    """
    found = Path(path)
    if PlotName.parse(found.name) is None:
        raise OrderRefused(f"{path} is not named like a finished plot.", "Name a plot in a dst directory.")
    folder = os.path.realpath(found.parent)
    if folder not in {os.path.realpath(each) for each in dirs}:
        raise OrderRefused(
            f"{path} is not in a tmp or dst directory of this host.", "Name a plot in a dst directory."
        )
    return Path(folder, found.name)


def release(
    admission: Admission, dirs: Sequence[str], has: Callable[[str, str, os.stat_result], bool]
) -> bool:
    """Delete the source of an admitted plot; False if it was deleted before.

    Args:
        admission: the harvester's answer, which others may have forged.
        dirs: directories of this host.
        has: whether the receiver has all bytes of this file, by path, receiver and lstat (DeliveredFile.has).

    Raises:
        OrderRefused: the source is not ours, was not sent there, has changed since, or is the farmed plot
            itself.
    """
    source = own_plot(admission.reservation.path, dirs)
    try:
        status = source.lstat()
    except FileNotFoundError:
        return False
    if not status.st_size == admission.size_bytes == admission.reservation.size_bytes:
        raise OrderRefused(
            f"{source} has {status.st_size} bytes, but {admission.size_bytes} were admitted.",
            "The file is kept: find out what changed it.",
        )
    if source.is_symlink() or _is_the_farmed_one(source, admission):
        raise OrderRefused(f"{source} is the plot that is farmed.", "The file is kept.")
    if not has(admission.reservation.path, admission.reservation.host, status):
        raise OrderRefused(
            f"{source}, as it is now, was not sent to {admission.reservation.host} from here.",
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
    """Whether source and admitted plot are one file, because a directory is both dst and drive.

    That may be by a bind mount or over the network, where neither device nor inode tells. But a harvester
    creates a folder of its own on each drive, and a farmed plot lies beside it.
    """
    if (source.parent / ".incoming").is_dir():
        return True
    if admission.reservation.host != admission.reservation.source_host:
        return False
    try:
        return source.samefile(admission.landed)
    except FileNotFoundError:
        return False
