"""Text of the rsync servers' configuration, and what their logs say. Pure.

Format: rsyncd.conf(5). Each connection's rsync gets one of its own, of the doors that are open then.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from common.errors import TransferFailed

# Both sides give up when they hear nothing for so long; the client learns it from the server.
TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class RsyncModule:
    """A door as rsync knows it. name: also that of its one user. part: the file that may be written."""

    name: str
    part: Path
    secrets: Path


def configuration(modules: Iterable[RsyncModule], uid: int, gid: int, log: Path) -> str:
    """The whole file. uid, gid: of this process; a server that is started by root needs to be told.
    log: given here, since --log-file is forgotten once the client has named its module."""
    head = [
        f"log file = {log}",
        "use chroot = no",
        # Both would ask a name server, which a farm may not have, and wait for it.
        "reverse lookup = no",
        "forward lookup = no",
        "max verbosity = 1",
    ]
    head += [f"uid = {uid}", f"gid = {gid}"] if uid == 0 else []
    return "\n".join(head) + "\n" + "".join(_section(module) for module in modules)


def _section(module: RsyncModule) -> str:
    """Options are refused except those of our own command line: `write only` and `refuse options = delete`
    alone would let a client overwrite, rename and truncate whatever is in the path.

    append implies inplace, which implies partial: all three must be allowed. No quotes in `filter`: they
    would end every connection. The farmed directory is not in the path at all.
    """
    return f"""
[{module.name}]
path = {module.part.parent}
read only = no
write only = yes
list = no
auth users = {module.name}
secrets file = {module.secrets}
strict modes = yes
numeric ids = yes
munge symlinks = yes
timeout = {TIMEOUT_S}
filter = + /{module.part.name} - *
refuse options = * !append !inplace !partial !fsync !timeout !bwlimit !existing
"""


def must_be_writable_down(part: Path) -> None:
    """Raises TransferFailed for a path that rsync's configuration would read as something else."""
    if re.search(r"[\r\n\\%]|^\s|\s$", str(part)):
        raise TransferFailed(
            f"rsync cannot be told of {part.parent}: its path holds a line break, \\ or %.",
            "Mount the drive under a plainer name.",
        )


# "2026/11/22 13:05:27 [4711] rsync to MODULE/ID.part from MODULE@UNDETERMINED (10.0.0.2)"
_ADMITTED = re.compile(rb"\] rsync to (?P<module>[0-9a-f]+)/\S* from ")
# "... rsync: [receiver] write failed on "ID.part" (in MODULE): No space left on device (28)"
_TROUBLE = re.compile(rb"\] (?P<text>rsync: \[(?:receiver|generator)\].*\((?P<code>\d+)\))\s*$")

# What ends a transfer for good: the client would go on sending to the end before it hears of it.
_DOOMED = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENODEV,
    errno.ENXIO,
    errno.ENOTCONN,
    errno.ESTALE,
    errno.ESHUTDOWN,
}


def admitted(line: bytes) -> str | None:
    """The module that a client has just been let into; None for other lines."""
    match = _ADMITTED.search(line)
    return match["module"].decode() if match else None


def trouble(line: bytes) -> str | None:
    """rsync's words for an error after which nothing more can be written; None for other lines."""
    match = _TROUBLE.search(line)
    if match is None or int(match["code"]) not in _DOOMED:
        return None
    return match["text"].decode("utf-8", "replace")
