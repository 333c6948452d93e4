"""Is something mounted here? A drive that is not there looks like an empty folder of the root disk."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Self

_OCTAL = re.compile(r"\\([0-7]{3})")
_AUTOFS = "autofs"  # a place that is yet to be filled


@dataclass(frozen=True, slots=True)
class Mounts:
    """What is mounted, at one moment.

    types: of what was mounted last, which covers what it was mounted on, by mount point. devices: types of
    the file systems by their st_dev. apart: those that are not the root directory's, nor autofs'.
    """

    types: dict[str, str]
    devices: dict[int, str]
    apart: frozenset[int]

    @classmethod
    def now(cls) -> Self:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        return cls.parse(text)

    @classmethod
    @lru_cache(maxsize=1)  # it seldom changes, and is looked at every few seconds
    def parse(cls, mountinfo: str) -> Self:
        """mountinfo: text of /proc/self/mountinfo, proc(5): field 3 is the file system's major:minor, field 5
        the mount point, with blanks as \\040; the type follows the lone dash.
        """
        types: dict[str, str] = {}
        devices: dict[int, str] = {}
        root = None
        for line in mountinfo.splitlines():
            fields, _, rest = line.partition(" - ")
            _, _, numbers, _, point, *_ = fields.split(" ")
            major, _, minor = numbers.partition(":")
            device = os.makedev(int(major), int(minor))
            types[_OCTAL.sub(lambda match: chr(int(match[1], 8)), point)] = devices[device] = rest.split(" ")[
                0
            ]
            root = device if point == "/" else root
        apart = frozenset(device for device, kind in devices.items() if kind != _AUTOFS and device != root)
        return cls(types, devices, apart)

    def over(self, path: PurePath) -> str | None:
        """The mount point that `path`, absolute and without links, lies on; None where that is autofs'."""
        point = next((str(p) for p in (path, *path.parents) if str(p) in self.types), "/")
        return None if self.types.get(point) == _AUTOFS else point


def is_mounted(
    path: str | Path, device: int | None = None, mounts: Callable[[], Mounts] = Mounts.now
) -> bool:
    """True when the path is a mount point, or lies below one other than the root directory.

    device: the path's st_dev, where it was looked at just now: if it is a mounted file system's other than
    that of the root directory, nothing more has to be known. Else the mount table is asked for the path's
    name: it knows bind mounts of the root's own file system, and is not misled by subvolumes of btrfs, which
    have a st_dev of their own without being mounted.
    Looks at the path's links, which may hang with the drive: call it through common.system.probe.
    """
    table = mounts()
    return device in table.apart or table.over(PurePath(os.path.realpath(path))) not in (None, "/")
