"""Deletes one old plot, in steps that survive a kill and a power cut. In the drive's thread.

Besides evacuation/release.py the only code that deletes a farmed plot. What the inventory says of the file is
only where to look: everything is looked at again, at the opened file, before and after it is set aside.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from common.errors import OrderRefused
from common.model.plot_name import PlotName
from common.model.replot import OldClass
from common.model.replot_victims import size_fits
from common.model.snapshot import DirState
from common.system.openfile import has_no_writer, open_regular
from common.system.plotfile import NotAPlot, Verdict, read_header, whole
from common.system.probe import look
from common.system.statefile import make_durable
from harvester_worker.drives import digests, part_files
from harvester_worker.drives.disk import rename_new
from harvester_worker.inventory.entry import Stamp, made, month_text
from harvester_worker.replot.journal import Victim, VictimStep

ASIDE = ".replaced"
_KEPT = "The file is kept."
# Of opening a file that is a link, no regular file, another user's, or held by Samba: not of the drive.
_NOT_OPENED = (errno.ENOENT, errno.ELOOP, errno.EINVAL, errno.EACCES, errno.EPERM, errno.EAGAIN)


class Stays(OrderRefused):
    """This file is not what may be deleted."""

    def __init__(self, what: str) -> None:
        super().__init__(what, _KEPT)


class NotNow(OrderRefused):
    """Something else than the file forbids it now."""

    def __init__(self, what: str) -> None:
        super().__init__(what, _KEPT)


@dataclass(frozen=True, slots=True)
class Removal:
    """The deletion of one plot.

    victim: as the journal has it. old: its class.
    may_go: raises NotNow if the order, the drive or what was counted forbids it now.
    deleting, settled: write the journal before and after the file is unlinked.
    """

    victim: Victim
    old: OldClass
    must_be_mounted: bool
    may_go: Callable[[], None]
    deleting: Callable[[], None]
    settled: Callable[[], None]

    def run(self) -> None:
        """Delete the plot.

        Raises:
            Stays, NotNow: It may not be deleted, and has its name.
            OrderRefused, OSError: The journal or the drive failed. `recover` finds out what is there.
        """
        drive, path = self.victim.drive, self.victim.path
        _must_be_ready(drive, self.must_be_mounted)
        with _opened(path) as file:
            part_files.prepare(drive)
            with part_files.locked(drive) as incoming:
                aside = incoming / f"{self.victim.name}{ASIDE}"
                self._must_be_it(file, path)
                self.may_go()
                entry = digests.admitted(drive, path.name)
                try:
                    rename_new(path, aside)
                except FileExistsError:
                    raise Stays(
                        f"{part_files.folder(drive) / aside.name} exists: look at both files."
                    ) from None
                try:
                    _make_durable(drive)
                    self._must_be_it(file, aside)
                    self.may_go()
                    self.deleting()
                except BaseException:
                    _put_back(aside, path, drive)
                    if entry is not None:
                        digests.write(drive, path.name, entry.renamed(path))
                    raise
                aside.unlink()
                _make_durable(drive)
                digests.forget(drive, path.name)
                self.settled()

    def _must_be_it(self, file: BinaryIO, path: Path) -> None:
        """Raise Stays unless the opened file, at this path, is the whole plot that was chosen, is of its
        class by its header, has one name, and nobody writes it."""
        victim, status = self.victim, os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise Stays(f"{victim.path} is no regular file with one name.")
        if Stamp.of(status) != Stamp(victim.size_bytes, victim.mtime_ns, victim.inode):
            raise Stays(f"{victim.path} is not the file that the inventory has, or has changed.")
        there = path.lstat()
        if (there.st_dev, there.st_ino) != (status.st_dev, status.st_ino):
            raise Stays(f"{victim.path} was replaced by another file.")
        if status.st_dev != os.stat(victim.drive).st_dev:  # noqa: PTH116 - as above
            raise Stays(f"{victim.path} is on another file system than its drive.")
        if not has_no_writer(file.fileno()):
            raise Stays(f"{victim.path} is open for writing, or the kernel does not say.")
        self._must_be_of_its_class(f"/proc/self/fd/{file.fileno()}", status)

    def _must_be_of_its_class(self, opened: str, status: os.stat_result) -> None:
        victim = self.victim
        try:
            header = read_header(opened)
        except NotAPlot:
            raise Stays(f"{victim.path} has no header of a plot.") from None
        plots = header.plot_class()
        month = month_text(made(victim.name, status.st_mtime))
        if not self.old.matches(plots, month) or header.plot_id != victim.plot_id:
            raise Stays(f"{victim.path} is not of class {self.old.name} by its header.")
        if not size_fits(plots, 1, max(1, status.st_size)):
            raise Stays(f"{victim.path} has not the size of such a plot.")
        if whole(opened, header).verdict is not Verdict.COMPLETE:
            raise Stays(f"{victim.path} is not whole.")


def _opened(path: Path) -> BinaryIO:
    """Raises Stays, or the OSError of a drive that fails."""
    try:
        return open_regular(path, os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _NOT_OPENED:
            raise Stays(f"{path} is no regular file that can be read.") from error
        raise


def recover(
    victim: Victim, must_be_mounted: bool, deleted: Callable[[], None], stays: Callable[[], None]
) -> None:
    """Find out what became of a plot in work after a kill, a power cut or an error. One that was set aside
    gets its name back.

    Args:
        victim: as the journal has it.
        must_be_mounted: the drive.
        deleted: called if it is deleted; writes the journal.
        stays: called if it is not.

    Raises:
        NotNow: The drive is not there, or cannot be written.
        OrderRefused, OSError: It has not got its name back. Nothing else may be deleted until it has.
    """
    _must_be_ready(victim.drive, must_be_mounted)
    part_files.prepare(victim.drive)
    with part_files.locked(victim.drive) as incoming:
        aside = incoming / f"{victim.name}{ASIDE}"
        if os.path.lexists(aside):
            try:
                _put_back(aside, victim.path, victim.drive)
            except FileExistsError:
                both = f"{victim.path} and {part_files.folder(victim.drive) / aside.name} exist"
                raise OrderRefused(f"{both}.", "Look at both files, and move one away.") from None
            stays()
        elif victim.step is VictimStep.DELETING and not _is_there(victim):
            deleted()
        else:
            stays()


def _is_there(victim: Victim) -> bool:
    """Whether the plot has its name. Another file of this name is not the plot."""
    try:
        return victim.path.lstat().st_ino == victim.inode
    except FileNotFoundError:
        return False


def give_back(drive: str) -> None:
    """Give names back to plots that were set aside and are in no journal. Raises OSError."""
    if not any(part_files.folder(drive).glob(f"*{ASIDE}")):
        return
    with part_files.locked(drive) as incoming:
        for aside in sorted(incoming.glob(f"*{ASIDE}")):
            name = aside.name.removesuffix(ASIDE)
            if PlotName.parse(name) is not None and stat.S_ISREG(aside.lstat().st_mode):
                with contextlib.suppress(FileExistsError):
                    _put_back(aside, Path(drive) / name, drive)


def _put_back(aside: Path, path: Path, drive: str) -> None:
    """Raises OSError, FileExistsError."""
    rename_new(aside, path)
    _make_durable(drive)


def _make_durable(drive: str) -> None:
    make_durable(part_files.folder(drive))
    make_durable(Path(drive))


def _must_be_ready(drive: str, must_be_mounted: bool) -> None:
    state = look(drive, must_be_mounted).state
    if state is not DirState.OK:
        raise NotNow(f"{drive} is {state.value}.")
