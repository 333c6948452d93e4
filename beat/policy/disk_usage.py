"""Directories of a plotter host as the rules see them: which jobs use them, and the bytes of the file
systems they lie on. Directories on one file system share its bytes."""

from __future__ import annotations

from common.model.snapshot import Directory, PlotterSnapshot

# Phases are compared as pairs here: a thousand hosts have twenty thousand of them.
Pair = tuple[int, int]


def trimmed(path: str) -> str:
    """madMAx and farmers write directories with a trailing slash or without; they are the same."""
    return path.rstrip("/") or path[:1]


class Disk:
    """A file system. free_bytes: None where it is not known; spoken_bytes: what running and ordered
    plots will still take of them."""

    __slots__ = ("free_bytes", "spoken_bytes")

    def __init__(self, free_bytes: int | None = None) -> None:
        self.free_bytes = free_bytes
        self.spoken_bytes = 0

    @property
    def left_bytes(self) -> int:
        """What nobody speaks for; may be negative; 0 where it is not known (for ranking only)."""
        return 0 if self.free_bytes is None else self.free_bytes - self.spoken_bytes


class Place:
    """A directory. using: phases of the jobs that plot in it; incoming: of those whose plots come to it;
    dst: the host's dst directory that it is, if it is one."""

    __slots__ = ("disk", "dst", "incoming", "using")

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.dst: Directory | None = None
        self.using: list[Pair] = []
        self.incoming: list[Pair] = []


class Room:
    """All directories of one host. Changes while a round is planned: each start takes its share."""

    def __init__(self, snapshot: PlotterSnapshot) -> None:
        self._recipe = snapshot.recipe
        self._tmp2 = snapshot.tmp2
        self.disks: dict[str, Disk] = {}
        self._places: dict[str, Place] = {}
        for tmp in snapshot.tmp_dirs:
            self._know(tmp)
        if snapshot.tmp2 is not None:
            self._know(snapshot.tmp2)
        for dst in snapshot.dst_dirs:
            self._know(dst).dst = dst

    def _know(self, directory: Directory) -> Place:
        path, free = trimmed(directory.path), directory.free_bytes
        device = directory.device or path
        disk = self.disks.get(device)
        if disk is None:
            disk = self.disks[device] = Disk(free)
        elif free is not None:
            # Directories of one file system are looked at one after the other: the least counts.
            disk.free_bytes = free if disk.free_bytes is None else min(free, disk.free_bytes)
        place = self._places.get(path)
        if place is None:
            place = self._places[path] = Place(disk)
        return place

    def at(self, path: str) -> Place:
        """The directory at `path`. One that is not the host's, of a plot started by hand, lies on the
        file system of the nearest directory above it that is, or else on one of its own."""
        place = self._places.get(path)
        if place is None:
            key = trimmed(path)
            place = self._places.get(key) or Place(self._disk_above(key))
            self._places[path] = self._places[key] = place
        return place

    def _disk_above(self, path: str) -> Disk:
        parent = path.rpartition("/")[0]
        while parent:
            if parent in self._places:
                return self._places[parent].disk
            parent = parent.rpartition("/")[0]
        return Disk()

    def built_in(self, tmp: str) -> str:
        """Directory in which the finished file grows, and stays where no dst is configured."""
        return tmp if self._tmp2 is None else self._tmp2.path

    def needs_bytes(self, path: str, tmp: str, dst: str | None) -> int:
        """What a plot made in `tmp` for `dst` (None: not chosen yet) takes on the file system of `path`."""
        if dst is None and self._tmp2 is None and path is tmp:
            return self._recipe.tmp_bytes  # the question asked most
        disk = self.at(path).disk
        return sum([size_bytes for taken, size_bytes in self._needs(tmp, dst) if taken is disk])

    def take_plot(self, tmp: str, dst: str) -> None:
        """Speak for the bytes of one more plot, from its peak in tmp to its file in dst."""
        for disk, size_bytes in self._needs(tmp, dst):
            disk.spoken_bytes += size_bytes

    def _needs(self, tmp: str, dst: str | None) -> list[tuple[Disk, int]]:
        """A plot that is built in its dst is renamed there, not copied: nothing comes on top of the
        peak."""
        recipe = self._recipe
        built_in = self.at(self.built_in(tmp))
        to = None if dst is None else self.at(dst)
        in_place = recipe.dst_bytes if to is built_in else 0
        if self._tmp2 is None:
            needs = [(built_in.disk, max(recipe.tmp_bytes, in_place))]
        else:
            needs = [
                (self.at(tmp).disk, recipe.tmp_bytes),
                (built_in.disk, max(recipe.tmp2_bytes, in_place)),
            ]
        if to is not None and not in_place:
            needs.append((to.disk, recipe.dst_bytes))
        return needs
