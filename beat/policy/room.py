"""Bytes on a plotter host: what is free, what is spoken for, what one more plot would take.

All is summed per file system: directories that share one share its bytes.
"""

from __future__ import annotations

from common.snapshot import Directory, PlotterSnapshot


def trimmed(path: str) -> str:
    """madMAx and farmers write directories with a trailing slash or without; they are the same."""
    return path.rstrip("/") or path[:1]


class Room:
    """The bytes of one host. Changes while a round is planned: each start takes its share.

    Where a job's directory is not known, its bytes count on every file system: they will be taken
    somewhere. A job that uses no directory says so with an empty path.
    """

    def __init__(self, snapshot: PlotterSnapshot) -> None:
        self._recipe = snapshot.recipe
        self._tmp2 = snapshot.tmp2
        self._devices: dict[str, str | None] = {"": None}
        self._free: dict[str, int] = {}
        self._spoken: dict[str, int] = {}
        self._anywhere_bytes = 0
        tmp2 = () if snapshot.tmp2 is None else (snapshot.tmp2,)
        for directory in (*snapshot.tmp_dirs, *tmp2, *snapshot.dst_dirs):
            self._know(directory)

    def _know(self, directory: Directory) -> None:
        device = directory.device or directory.path
        self._devices[directory.path] = self._devices[trimmed(directory.path)] = device
        if directory.free_bytes is not None:
            # Directories of one file system are looked at one after the other: the least counts.
            self._free[device] = min(directory.free_bytes, self._free.get(device, directory.free_bytes))

    def take(self, path: str | None, size_bytes: int) -> None:
        """Bytes that will be taken at `path` (None: nobody knows where)."""
        if size_bytes <= 0:
            return
        if path is None:
            self._anywhere_bytes += size_bytes
        elif (device := self.device(path)) is not None:
            self._spoken[device] = self._spoken.get(device, 0) + size_bytes

    def take_plot(self, tmp: str, dst: str) -> None:
        """Bytes that a new plot will take, from its peak in tmp to its file in dst."""
        for device, size_bytes in self._needs(tmp, dst).items():
            self._spoken[device] = self._spoken.get(device, 0) + size_bytes

    def device(self, path: str) -> str | None:
        """File system of a path at or below a directory of the host; None for any other path."""
        if path in self._devices:
            return self._devices[path]
        parent = trimmed(path)
        while parent and parent not in self._devices:
            parent = parent.rpartition("/")[0]
        device = self._devices[parent]
        self._devices[path] = device
        return device

    def built_in(self, tmp: str) -> str:
        """Directory in which the finished file grows, and stays where no dst is configured."""
        return self._tmp2.path if self._tmp2 is not None else tmp

    def needs_bytes(self, directory: Directory, tmp: str, dst: str | None) -> int:
        """What a new plot takes on the file system of `directory`. dst None: not chosen yet."""
        return self._needs(tmp, dst).get(directory.device or directory.path, 0)

    def free_bytes(self, directory: Directory) -> int | None:
        """What is free where `directory` lies; None when not known."""
        if directory.free_bytes is None:
            return None
        return self._free[directory.device or directory.path]

    def spoken_bytes(self, directory: Directory) -> int:
        """What running and ordered plots will still take where `directory` lies."""
        return self._spoken.get(directory.device or directory.path, 0) + self._anywhere_bytes

    def left_bytes(self, directory: Directory) -> int | None:
        """Free without what is spoken for; may be negative; None when not known."""
        free = self.free_bytes(directory)
        return None if free is None else free - self.spoken_bytes(directory)

    def _needs(self, tmp: str, dst: str | None) -> dict[str, int]:
        """File system -> bytes that one more plot takes there.

        A plot that is built in its dst is renamed there, not copied: nothing comes on top of the peak.
        """
        recipe = self._recipe
        built_in = self.built_in(tmp)
        in_place = recipe.dst_bytes if dst is not None and trimmed(dst) == trimmed(built_in) else 0
        if self._tmp2 is None:
            wanted = [(tmp, max(recipe.tmp_bytes, in_place))]
        else:
            wanted = [(tmp, recipe.tmp_bytes), (built_in, max(recipe.tmp2_bytes, in_place))]
        if dst is not None and not in_place:
            wanted.append((dst, recipe.dst_bytes))
        needs: dict[str, int] = {}
        for path, size_bytes in wanted:
            if (device := self.device(path)) is not None:
                needs[device] = needs.get(device, 0) + size_bytes
        return needs
