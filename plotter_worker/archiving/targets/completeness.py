"""Is the copy of a plot whole, and on the drive? Only then may its source go."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from common.errors import TransferFailed
from common.system.plotfile import NotAPlot, read_header

_KEPT = "The source is kept."


def copies_in(folder: Path, name: str, suffix: str = "", deeper: bool = False) -> Iterator[Path]:
    """Files of that name in a local folder: below `suffix`, and where `deeper`, in its sub-folders too."""
    places = [folder / suffix, folder] if suffix else [folder]
    if deeper:
        with contextlib.suppress(OSError):
            places += sorted(place for place in folder.iterdir() if place.is_dir())
    for place in dict.fromkeys(places):
        if (place / name).is_file():
            yield place / name


def device_of(folder: Path) -> int | None:
    """File system of a local folder, as long as it stays mounted; None where there is no such folder."""
    try:
        return folder.stat().st_dev if folder.is_dir() else None
    except OSError:
        return None


def make_sure(copy: Path, source: Path, size_bytes: int, device: int | None = None) -> None:
    """Have a local copy on its drive, and look at it: size, header, another file than the source.

    device: where the folder was mounted from before the transfer; None: not known.
    Raises TransferFailed where the copy is not whole; the source is not touched.
    """
    try:
        _look(copy, source, size_bytes, device)
        _sync(copy, os.O_RDONLY)
        _sync(copy.parent, os.O_RDONLY | os.O_DIRECTORY)
        if read_header(copy) != read_header(source):
            raise TransferFailed(f"{copy} begins otherwise than {source}.", _KEPT)
    except NotAPlot as error:
        raise TransferFailed(f"{error}", _KEPT) from error
    except OSError as error:
        raise TransferFailed(f"{copy} cannot be looked at ({error.strerror}).", _KEPT) from error


def _look(copy: Path, source: Path, size_bytes: int, device: int | None) -> None:
    seen = copy.lstat()
    if not stat.S_ISREG(seen.st_mode) or copy.samefile(source):
        raise TransferFailed(f"{copy} is no copy, but the source itself or a link.", _KEPT)
    if seen.st_size != size_bytes:
        raise TransferFailed(f"{copy} has {seen.st_size} of {size_bytes} bytes.", _KEPT)
    if device is not None and seen.st_dev != device:
        raise TransferFailed(
            f"{copy} is on another drive than the one that was chosen.",
            f"{_KEPT} Look what was mounted or unmounted there, and remove the copy.",
        )


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
