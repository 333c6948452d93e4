"""The mark of a drive that is evacuated, `DRIVE/.incoming/evacuating`, and what follows from it.

A copy on such a drive is no copy: it will leave, too, or it is the very file that is to be released. The
mark lies on the drive itself, because one drive may be known to several harvesters, or under several paths:
a shared folder of a file server, a bind mount.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Protocol

from common.errors import OrderRefused
from common.system.openfile import read_beginning
from common.system.probe import Hanging, Probe
from common.system.statefile import make_durable
from harvester_worker.drives import part_files

_MARK = "evacuating"
_MOST_BYTES = 100


class MovedPlot(Protocol):
    """A plot on its way; ReserveOrder and Reservation are two. evacuates: it comes from a farming drive of
    `source_host`, which is evacuated."""

    @property
    def host(self) -> str: ...
    @property
    def source_host(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def evacuates(self) -> bool: ...


def mark(drive: str, order_id: str) -> None:
    """Mark the drive durably; returns at once if it has this mark. Raises OSError, TransferFailed."""
    if is_marked(drive, order_id):
        return
    part_files.prepare(drive)
    with part_files.locked(drive) as incoming:
        draft = incoming / f"{_MARK}.draft"
        part_files.write_draft(draft, order_id)
        draft.rename(incoming / _MARK)
        make_durable(incoming)


def unmark(drive: str, order_id: str) -> None:
    """Remove the mark of this order. Raises OSError."""
    if is_marked(drive, order_id):
        with contextlib.suppress(FileNotFoundError), part_files.locked(drive) as incoming:
            (incoming / _MARK).unlink()


def is_marked(drive: str, order_id: str | None = None) -> bool:
    """Whether the drive is evacuated, by this order or, for None, by any. Raises OSError."""
    path = part_files.folder(drive) / _MARK
    try:
        if order_id is None:
            return bool(path.lstat())
        return read_beginning(path, _MOST_BYTES).decode(errors="replace") == order_id
    except FileNotFoundError:
        return False


def apart(probe: Probe, drives: Iterable[str], plot: MovedPlot, deadline_s: float) -> dict[str, str]:
    """The drives that count for nothing when a drive is evacuated, and why: a plot there is no copy, and
    none goes there.

    They are evacuated themselves, are on one file system with the source, or do not say whether they are.
    None for a plot that does not come from an evacuated drive.

    Raises:
        OrderRefused: The source is not on a drive of this host, as the order claims.
    """
    if not plot.evacuates:
        return {}
    paths = list(drives)
    device: int | None = None
    if plot.source_host == plot.host:
        source = str(Path(plot.path).parent)
        if source not in paths:
            raise OrderRefused(f"{source} is not a drive of {plot.host}.", "Evacuate one of its drives.")
        found = probe.run_all([source], _device, deadline_s)[source]
        if not isinstance(found, int):
            raise OrderRefused(f"{source} cannot be read.", "Check the drive.")
        device = found
    answers = probe.run_all(paths, partial(_why_apart, device), deadline_s)
    return {
        path: "does not answer" if isinstance(why, Hanging) else why
        for path, why in answers.items()
        if why is not None
    }


def _device(drive: str) -> int | None:
    try:
        return os.stat(drive).st_dev  # noqa: PTH116
    except OSError:
        return None


def _why_apart(device: int | None, drive: str) -> str | None:
    try:
        if is_marked(drive):
            return "is evacuated"
        if device is not None and os.stat(drive).st_dev == device:  # noqa: PTH116
            return "is on one file system with the evacuated drive"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return None
