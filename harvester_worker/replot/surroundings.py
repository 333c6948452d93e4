"""What the replacing of old plots sees of its harvester: drives, new plots, plots on their way."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.model.replot_victims import DriveId
from common.model.snapshot import DirState, Drive, DriveUse
from common.system.probe import Hanging, Probe, look
from harvester_worker.drives import evacuated
from harvester_worker.drives.plot_index import PlotIndex
from harvester_worker.drives.registry import LOOK_S, DriveRegistry
from harvester_worker.inventory.inventory import Inventory
from harvester_worker.replot.journal import Credit
from harvester_worker.replot.rule import DriveRoom

# Some file systems give the bytes of a deleted file back in the background: ZFS within 5 s, if it is idle.
FREED_LATE_S = 30.0


def lane(drive: str) -> str:
    """Where work on a drive queues up (common.system.probe), apart from its surveys."""
    return f"{drive}, replot"


@dataclass
class Surroundings:
    """Of one harvester.

    published: its drives with what is known of their disks. is_evacuated: whether an order evacuates a drive.
    is_moving: whether the plot of an id arrives, or is taken in.
    freed: (monotonic time, device, bytes) of what was deleted lately.
    """

    host: str
    drives: DriveRegistry
    work: Probe
    inventory: Inventory
    plot_index: PlotIndex
    published: Callable[[], Sequence[Drive]]
    is_evacuated: Callable[[str], bool]
    is_moving: Callable[[str], bool]
    freed: list[tuple[float, str | None, int]] = field(default_factory=list)

    def rooms(self, refused: dict[str, str]) -> dict[DriveId, DriveRoom]:
        """All drives, as they were surveyed last. refused: why the last plot there was refused, by drive."""
        return {DriveId(self.host, one.path): self._room(one, refused) for one in self.published()}

    def room_now(self, path: str, refused: dict[str, str]) -> DriveRoom:
        """A drive, surveyed in this thread, which may hang with it. Raises OSError."""
        known = next((one for one in self.published() if one.path == path), None)
        if known is None:
            return DriveRoom("is no drive of this host", 0)
        seen = self.drives.survey(path)
        room_bytes = seen.room_bytes(self.drives.elsewhere_bytes(seen))
        now = {"state": seen.report.state, "free_bytes": room_bytes, "use": self.drives.use_of(path)}
        room = self._room(known.model_copy(update=now), refused)
        if room.closed is None and evacuated.is_marked(path):
            return DriveRoom("is evacuated by another harvester", 0)
        return room

    def there(self, credits: Iterable[Credit]) -> set[str]:
        """Ids of the new plots whose files are on the drives of this host now, as they arrived."""
        of_drive: dict[str, list[Credit]] = {}
        for credit in credits:
            of_drive.setdefault(credit.drive, []).append(credit)
        lanes = {lane(drive): of_drive[drive] for drive in self.drives.paths() if drive in of_drive}
        answers = self.work.run_all(lanes, lambda path: there_now(lanes[path]), LOOK_S)
        return {one for ids in answers.values() if not isinstance(ids, Hanging) for one in ids}

    def gone(self, credits: Iterable[Credit]) -> set[str]:
        """Ids of the new plots whose files are missing on drives that are there now."""
        of_drive: dict[str, list[Credit]] = {}
        for credit in credits:
            if not self.is_moving(credit.plot_id):
                of_drive.setdefault(credit.drive, []).append(credit)
        lanes = {lane(drive): drive for drive in self.drives.paths() if drive in of_drive}
        must_be_mounted = self.drives.must_be_mounted
        answers = self.work.run_all(
            lanes, lambda path: _gone(lanes[path], of_drive[lanes[path]], must_be_mounted), LOOK_S
        )
        return {one for ids in answers.values() if not isinstance(ids, Hanging) for one in ids}

    def note_freed(self, drive: str, size_bytes: int) -> None:
        """A file of a drive was deleted just now."""
        self.freed.append((time.monotonic(), self._device(drive), size_bytes))

    def _room(self, drive: Drive, refused: dict[str, str]) -> DriveRoom:
        now_s = time.monotonic()
        self.freed = [one for one in self.freed if now_s - one[0] < FREED_LATE_S]
        late_bytes = sum(size for _, device, size in self.freed if device == drive.device)
        return DriveRoom(self._closed(drive, refused), (drive.free_bytes or 0) + late_bytes)

    def _closed(self, drive: Drive, refused: dict[str, str]) -> str | None:
        """Why no plot of a drive may be deleted; None: they may."""
        if drive.disk is not None and drive.disk.fails:
            return "has a disk that expects to fail"
        if self.is_evacuated(drive.path):
            return "is evacuated"
        if drive.use is not DriveUse.ACTIVE:
            return f"is {drive.use.value}"
        if drive.state is not DirState.OK:
            return f"is {drive.state.value}"
        if drive.path in refused:
            return f"refused the last plot that arrived there ({refused[drive.path]})"
        return "has free space that is not known" if drive.free_bytes is None else None

    def _device(self, path: str) -> str | None:
        return next((one.device for one in self.published() if one.path == path), None)


def there_now(credits: Iterable[Credit]) -> set[str]:
    """Ids of the new plots whose files are there, as they arrived. This thread may hang with their drives."""
    found = set()
    for credit in credits:
        try:
            status = (Path(credit.drive) / credit.name).lstat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and (status.st_ino, status.st_size) == (
            credit.inode,
            credit.size_bytes,
        ):
            found.add(credit.plot_id)
    return found


def _gone(drive: str, credits: Iterable[Credit], must_be_mounted: bool) -> set[str]:
    """In the drive's thread. Nothing is missing on a drive that was not there all the time."""

    def is_there() -> bool:
        return look(drive, must_be_mounted).state is DirState.OK

    if not is_there():
        return set()
    missing = set()
    for credit in credits:
        try:
            (Path(drive) / credit.name).lstat()
        except FileNotFoundError:
            missing.add(credit.plot_id)
        except OSError:
            return set()
    return missing if is_there() else set()
