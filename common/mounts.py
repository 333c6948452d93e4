"""Is something mounted here? A drive that is not there looks like an empty folder of the root disk."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath

_OCTAL = re.compile(r"\\([0-7]{3})")


def mount_over(path: PurePath, mountinfo: str) -> str | None:
    """The mount point that `path`, absolute and without links, lies on; None where that is a place that
    autofs has yet to fill.

    mountinfo: text of /proc/self/mountinfo, proc(5): field 5 is the mount point, with blanks as \\040; the
    type follows the lone dash. What was mounted last covers what it was mounted on.
    """
    types: dict[str, str] = {}
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        point = fields.split(" ")[4]
        types[_OCTAL.sub(lambda match: chr(int(match[1], 8)), point)] = rest.split(" ")[0]
    point = next((str(p) for p in (path, *path.parents) if str(p) in types), "/")
    return None if types.get(point) == "autofs" else point


def is_mounted(path: str | Path) -> bool:
    """True when the path is a mount point, or lies below one other than the root directory.

    The mount table says so rather than st_dev: it knows bind mounts within one file system, and is not
    misled by subvolumes of btrfs, which have a st_dev of their own without being mounted.
    Looks at the path's links, which may hang with the drive: call it through common.probe.
    """
    table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    return mount_over(PurePath(os.path.realpath(path)), table) not in (None, "/")
