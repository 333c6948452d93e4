"""Deletes a plot from an evacuated drive, after another drive has taken it in.

The only code that deletes a farmed plot. No message orders it: this host's own record of the evacuation and
the word of the harvester that has the copy do, and everything is looked at again at the last moment.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.errors import OrderRefused
from common.model.pending import PendingMove
from common.model.plot_name import PlotName
from common.store import Board
from common.system.delivered import DeliveredFile
from common.system.openfile import is_open_for_writing
from common.system.probe import Probe
from common.system.statefile import make_durable
from harvester_worker.drives import digests, evacuated, part_files
from harvester_worker.drives.digests import DigestEntry
from harvester_worker.drives.disk import rename_new
from harvester_worker.drives.existing_plots import admitted_file
from harvester_worker.evacuation.orders import KeptOrders
from harvester_worker.intake.arrival import FLUSH_S

_KEPT = "The file is kept."
LEAVING = ".leaving"


def lane(drive: str) -> str:
    """Where work on an evacuated drive queues up (common.system.probe), apart from its surveys, which have
    short deadlines."""
    return f"{drive}, evacuation"


class EvacuatedPlots:
    """Releases plots of this host's evacuated drives.

    host: this one. orders: of operators. work: runs what may hang. delivered: what was sent from here, with
    the digests.
    """

    def __init__(
        self, host: str, board: Board, orders: KeptOrders, work: Probe, delivered: DeliveredFile
    ) -> None:
        self._host = host
        self._board = board
        self._orders = orders
        self._work = work
        self._delivered = delivered

    def release(self, move: PendingMove, drives: Collection[str]) -> bool:
        """Delete the plot of a move that has come to its last step; False if it was deleted before.

        Args:
            move: Its record, which others may have forged.
            drives: All drives of this host.

        Raises:
            OrderRefused: It may not be deleted: its drive is not evacuated, it is not the file that was
                sent, or no other drive has it, as it was sent.
            BrokerError: Redis does not answer.
            OSError, Hanging: A drive fails.
        """
        source = Path(move.path)
        drive = str(source.parent)
        name = PlotName.parse(source.name)
        if name is None or str(source) != move.path or self._orders.of(drive) is None:
            raise OrderRefused(f"{source} is not on a drive of this host that is evacuated.", _KEPT)
        if not self._board.is_ordered(self._host, move.path, move.move, move.harvester):
            raise OrderRefused(
                f"No beat has ordered that {source} goes to {move.harvester} by this move.", _KEPT
            )
        aside = self._work.run(lane(drive), partial(self._set_aside, move, drive, source), FLUSH_S)
        if aside is None:
            return False
        try:
            # Two paths may lead to one file, as with a pool of drives and a branch: its copy has left, too.
            if move.harvester == self._host:
                self._copy_must_be_here(name, aside.digest, drive, drives)
        except BaseException:
            self._work.run(lane(drive), aside.put_back, FLUSH_S)
            raise
        self._work.run(lane(drive), aside.delete, FLUSH_S)
        return True

    def _copy_must_be_here(self, name: PlotName, digest: str, drive: str, drives: Collection[str]) -> None:
        """Raise OrderRefused unless another drive of this host, on another file system, that is not
        evacuated has the very file that this harvester took in with this digest."""
        device = self._work.run(lane(drive), Path(drive).stat, FLUSH_S).st_dev

        def has_copy(there: str) -> bool:
            copy = admitted_file(name.plot_id, there)
            if copy is None or copy.lstat().st_dev == device or evacuated.is_marked(there):
                return False
            entry = digests.admitted(there, copy.name)
            return entry is not None and entry.digest == digest

        for there in drives:
            if self._orders.of(there) is not None:  # as of the plot's own drive
                continue
            with contextlib.suppress(OSError):
                if self._work.run(lane(there), partial(has_copy, there), FLUSH_S):
                    return
        raise OrderRefused(f"No other drive of this host has {name.name}, as it was sent.", _KEPT)

    def _set_aside(self, move: PendingMove, drive: str, source: Path) -> _Aside | None:
        """Look at everything again, and rename the plot into the folder of parts, where it counts as none.
        None if it was deleted before. In the drive's thread."""
        order = self._orders.of(drive)
        if order is None or not evacuated.is_marked(drive, order.id):
            # Without its mark another file system may be at its path.
            raise OrderRefused(f"{drive} lacks the mark of its evacuation.", f"{_KEPT} Is it mounted?")
        with part_files.locked(drive):
            try:
                status = source.lstat()
            except FileNotFoundError:
                if not aside_of(source).exists():
                    return None
                # A worker ended between the two steps.
                raise OrderRefused(
                    f"{source} is set aside.", "It gets its name back at the next look."
                ) from None
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                raise OrderRefused(f"{source} is a link, or has several names.", _KEPT)
            digest = self._delivered.digest(str(source), move.harvester, status)
            if digest is None:
                raise OrderRefused(
                    f"{source}, as it is now, was not sent to {move.harvester} from here.",
                    f"{_KEPT} It is compared with the copy at the next try.",
                )
            if not self._board.is_admitted(
                move.harvester, self._host, move.move, move.path, digest, evacuates=True
            ):
                raise OrderRefused(
                    f"{move.harvester} itself does not say that it has taken in {source}, as it was sent.",
                    f"{_KEPT} If this repeats, renew users.acl (`plotman farm secrets`).",
                )
            if is_open_for_writing(source):
                raise OrderRefused(f"{source} is being written.", _KEPT)
            if self._orders.of(drive) is None:
                raise OrderRefused(f"The evacuation of {drive} has ended.", _KEPT)
            aside = _Aside(source, digest, digests.admitted(drive, source.name))
            try:
                rename_new(source, aside.path)
            except FileExistsError:
                raise OrderRefused(f"{aside.path} exists.", f"{_KEPT} Look at both files.") from None
        return aside


def aside_of(source: Path) -> Path:
    """The path of a plot that is set aside."""
    return part_files.folder(str(source.parent)) / f"{source.name}{LEAVING}"


@dataclass(frozen=True, slots=True)
class _Aside:
    """A plot that is about to be deleted. digest: of what was sent. entry: its entry among the digests."""

    source: Path
    digest: str
    entry: DigestEntry | None

    @property
    def path(self) -> Path:
        return aside_of(self.source)

    def put_back(self) -> None:
        """Raises OSError."""
        drive = str(self.source.parent)
        with part_files.locked(drive):
            rename_new(self.path, self.source)
            if self.entry is not None:
                digests.write(drive, self.source.name, self.entry.renamed(self.source))

    def delete(self) -> None:
        """Raises OSError."""
        drive = str(self.source.parent)
        with part_files.locked(drive):
            self.path.unlink()
            make_durable(part_files.folder(drive))
            make_durable(Path(drive))
            digests.forget(drive, self.source.name)


def put_back_all(drive: str) -> None:
    """Give plots back their names that a worker set aside and did not delete. Raises the OSError of the first
    that cannot be renamed, after all others."""
    if not any(part_files.folder(drive).glob(f"*{LEAVING}")):
        return
    failed: list[OSError] = []
    with part_files.locked(drive) as incoming:
        for path in sorted(incoming.glob(f"*{LEAVING}")):
            name = path.name.removesuffix(LEAVING)
            if PlotName.parse(name) is None:
                continue
            try:
                if stat.S_ISREG(path.lstat().st_mode):
                    rename_new(path, Path(drive, name))
            except FileExistsError:
                continue
            except OSError as error:
                failed.append(error)
    if failed:
        raise failed[0]
