"""A plotter host's file systems: the free bytes, and those that running and ordered plots will still take.

Beat's space rules and the plotter's own check of an order both use these sums, so that they cannot disagree.
Directories on one file system share its bytes. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from common.model.phase import PhasePair, pair
from common.model.snapshot import Directory, HarvesterSnapshot, Job, PlotterSnapshot


def trimmed(path: str) -> str:
    """`path` without trailing slashes: madMAx and farmers write directories with one or without."""
    return path.rstrip("/") or path[:1]


def used_share(free_bytes: int | None, total_bytes: int | None, reserved_bytes: int) -> float | None:
    """What files take of drives, from 0 to 1, without what is reserved; None: not known.

    Args:
        free_bytes: Without those that are reserved.
        total_bytes: Size.
        reserved_bytes: Of plots on their way.
    """
    if free_bytes is None or not total_bytes:
        return None
    return min(1.0, max(0.0, (total_bytes - free_bytes - reserved_bytes) / total_bytes))


def above_margin(free_bytes: int | None, margin_bytes: int) -> int | None:
    """What plots may still take of a drive; None: not known.

    Args:
        free_bytes: Without those that are reserved.
        margin_bytes: What its harvester leaves free.
    """
    return None if free_bytes is None else max(0, free_bytes - margin_bytes)


def free_bytes_once(drives: Iterable[tuple[HarvesterSnapshot, Directory]]) -> int:
    """Sum of what plots may still take, each file system once. Drives whose free space is not known add
    nothing.

    Args:
        drives: harvester and one of its drives each.
    """
    free: dict[tuple[str, str], int] = {}
    for harvester, drive in drives:
        if (left_bytes := above_margin(drive.free_bytes, harvester.margin_bytes)) is not None:
            free[harvester.host, drive.device or drive.path] = left_bytes
    return sum(free.values())


class Disk:
    """A file system.

    free_bytes: None if it is not known.
    spoken_bytes: of those, what running and ordered plots will still take.
    """

    __slots__ = ("free_bytes", "spoken_bytes")

    def __init__(self, free_bytes: int | None = None) -> None:
        self.free_bytes = free_bytes
        self.spoken_bytes = 0

    @property
    def left_bytes(self) -> int:
        """Free bytes beyond `spoken_bytes`; may be negative. 0 if not known, for ranking only."""
        return 0 if self.free_bytes is None else self.free_bytes - self.spoken_bytes


class DirectoryUse:
    """A directory and its jobs.

    using: phases of the jobs that plot in it.
    incoming: phases of the jobs whose plots go to it.
    dst: set if it is one of the host's dst directories.
    """

    __slots__ = ("disk", "dst", "incoming", "using")

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.dst: Directory | None = None
        self.using: list[PhasePair] = []
        self.incoming: list[PhasePair] = []


class DiskUsage:
    """All directories of one host, with its running jobs counted.

    Mutable: a plan counts each plot that it adds (`take_plot`). An unknown place (None) counts everywhere: a
    job without a known tmp directory uses each of them, and bytes without a known directory are taken on each
    file system. A job that uses no directory has "" instead of None.
    """

    def __init__(self, snapshot: PlotterSnapshot) -> None:
        self._recipe = snapshot.recipe
        self._tmp_dirs = snapshot.tmp_dirs
        self._tmp2 = snapshot.tmp2
        self.disks: dict[str, Disk] = {}
        self._uses: dict[str, DirectoryUse] = {}
        for tmp in snapshot.tmp_dirs:
            self._add(tmp)
        if snapshot.tmp2 is not None:
            self._add(snapshot.tmp2)
        for dst in snapshot.dst_dirs:
            self._add(dst).dst = dst
        # The nearest directory first.
        self._configured = sorted(self._uses, key=len, reverse=True)
        self._count(snapshot.jobs)

    def _add(self, directory: Directory) -> DirectoryUse:
        path, free = trimmed(directory.path), directory.free_bytes
        device = directory.device or path
        disk = self.disks.get(device)
        if disk is None:
            disk = self.disks[device] = Disk(free)
        elif free is not None:
            # Directories of one file system are measured one after the other: the lowest figure counts.
            disk.free_bytes = free if disk.free_bytes is None else min(free, disk.free_bytes)
        use = self._uses.get(path)
        if use is None:
            use = self._uses[path] = DirectoryUse(disk)
        return use

    def _count(self, jobs: Iterable[Job]) -> None:
        at = self.at
        in_some_tmp: list[PhasePair] = []
        somewhere_bytes = 0
        for job in jobs:
            phase = pair(job.phase)
            tmp, tmp2, dst = job.tmp, job.tmp2, job.dst
            tmp_bytes = job.tmp_to_come_bytes
            if tmp2 is not None:
                at(tmp2).disk.spoken_bytes += job.tmp2_to_come_bytes
            else:
                tmp_bytes += job.tmp2_to_come_bytes
            if tmp is not None:
                use = at(tmp)
                use.using.append(phase)
                use.disk.spoken_bytes += tmp_bytes
            else:
                in_some_tmp.append(phase)
                somewhere_bytes += tmp_bytes
            if dst is not None:
                use = at(dst)
                use.incoming.append(phase)
                use.disk.spoken_bytes += job.dst_to_come_bytes
            else:
                somewhere_bytes += job.dst_to_come_bytes
        if in_some_tmp:
            for directory in self._tmp_dirs:
                at(directory.path).using.extend(in_some_tmp)
        if somewhere_bytes:
            for disk in self.disks.values():
                disk.spoken_bytes += somewhere_bytes

    def at(self, path: str) -> DirectoryUse:
        """The directory at `path`. A plot started by hand may use one that is not configured; it counts to
        the file system of the nearest configured directory above it, or else to one of its own."""
        use = self._uses.get(path)
        if use is None:
            key = trimmed(path)
            use = self._uses.get(key) or DirectoryUse(self._disk_above(key))
            self._uses[path] = self._uses[key] = use
        return use

    def _disk_above(self, path: str) -> Disk:
        above = next((known for known in self._configured if path.startswith(f"{known}/")), None)
        return Disk() if above is None else self._uses[above].disk

    def built_in(self, tmp: str) -> str:
        """The directory in which the finished file grows, and stays if no dst is configured."""
        return tmp if self._tmp2 is None else self._tmp2.path

    def needs_bytes(self, path: str, tmp: str, dst: str | None) -> int:
        """Bytes that one more plot takes on the file system of `path`.

        Args:
            tmp: where the plot is made.
            dst: where it goes; None: not chosen yet.
        """
        if dst is None and self._tmp2 is None and path is tmp:
            return self._recipe.tmp_bytes  # the most frequent call
        disk = self.at(path).disk
        return sum([size_bytes for taken, size_bytes in self._needs(tmp, dst) if taken is disk])

    def take_plot(self, tmp: str, dst: str) -> None:
        """Count the bytes of one more plot, from its peak in tmp to its file in dst."""
        for disk, size_bytes in self._needs(tmp, dst):
            disk.spoken_bytes += size_bytes

    def _needs(self, tmp: str, dst: str | None) -> list[tuple[Disk, int]]:
        """A plot that is built in its dst is renamed there, not copied: nothing is added to the peak."""
        recipe = self._recipe
        built_in = self.at(self.built_in(tmp))
        to = None if dst is None else self.at(dst)
        in_place = recipe.dst_bytes if to is built_in else 0
        if self._tmp2 is None:
            needs = [(built_in.disk, max(recipe.tmp_bytes, in_place))]
        else:
            needs = [(self.at(tmp).disk, recipe.tmp_bytes), (built_in.disk, max(recipe.tmp2_bytes, in_place))]
        if to is not None and not in_place:
            needs.append((to.disk, recipe.dst_bytes))
        return needs
