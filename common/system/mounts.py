"""The mount table. A drive that is not mounted looks like an empty folder of the root disk."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Self

_OCTAL = re.compile(r"\\([0-7]{3})")
_AUTOFS = "autofs"  # a mount point before its file system is mounted


@dataclass(frozen=True, slots=True)
class Mounts:
    """The mount table at one moment.

    types: file system type by mount point; the last mount covers earlier ones. devices: type by st_dev.
    apart: st_dev of all file systems but the root directory's and autofs.
    """

    types: dict[str, str]
    devices: dict[int, str]
    apart: frozenset[int]

    @classmethod
    def now(cls) -> Self:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        return cls.parse(text)

    @classmethod
    @lru_cache(maxsize=1)  # seldom changes, and is read every few seconds
    def parse(cls, mountinfo: str) -> Self:
        """Parse the text of /proc/self/mountinfo, proc(5): field 3 is the file system's major:minor, field 5
        the mount point, with blanks as \\040; the type follows the single dash.
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
        """The mount point of `path`, which is absolute and without links; None if it is an autofs one."""
        point = next((str(p) for p in (path, *path.parents) if str(p) in self.types), "/")
        return None if self.types.get(point) == _AUTOFS else point


def is_mounted(
    path: str | Path, device: int | None = None, mounts: Callable[[], Mounts] = Mounts.now
) -> bool:
    """True if the path is a mount point, or lies below one other than the root directory. Resolves links,
    which may hang with the drive: call it through common.system.probe.

    Args:
        device: Its st_dev, if just read. A mounted file system other than the root's settles the answer.
            Otherwise the mount table is searched by name: it has bind mounts of the root file system, and
            lacks btrfs subvolumes, which have a st_dev of their own without being mounted.
        mounts: Gives the mount table.
    """
    table = mounts()
    return device in table.apart or table.over(PurePath(os.path.realpath(path))) not in (None, "/")
