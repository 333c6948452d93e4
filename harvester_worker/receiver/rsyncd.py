"""Write the rsync servers' configuration, and parse their logs. Pure.

Format: rsyncd.conf(5). Each connection's rsync gets a configuration of its own with the receivers open then.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from common.errors import TransferFailed

# Each side ends the connection after this silence; the client learns the value from the server.
TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class RsyncModule:
    """A receiver as rsync knows it. name: also its only user's. part: the only file that may be written."""

    name: str
    part: Path
    secrets: Path


def configuration(modules: Iterable[RsyncModule], uid: int, gid: int, log: Path) -> str:
    """Text of the configuration file.

    Args:
        modules: The receivers that are open.
        uid: User id of this process; a server that root starts would switch to `nobody`.
        log: The server's log file; rsync drops --log-file once the client has named its module.
    """
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
    """Text of one module. All options are refused except the ones that our own command line uses: with `write
    only` and `refuse options = delete` alone a client could overwrite, rename and truncate any file in the
    path.

    append implies inplace, which implies partial: all three must be allowed. Quotes in `filter` would end
    every connection. The farmed directory is outside of the path.
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


def must_be_expressible(part: Path) -> None:
    """Raise TransferFailed for a path that rsync's configuration cannot express."""
    if re.search(r"[\r\n\\%]|^\s|\s$", str(part)):
        raise TransferFailed(
            f"rsync's configuration cannot name {part.parent}: the path holds a line break, \\ or %.",
            "Mount the drive under a plainer name.",
        )


# "2026/11/22 13:05:27 [4711] rsync to MODULE/ID.part from MODULE@UNDETERMINED (10.0.0.2)"
_ADMITTED = re.compile(rb"\] rsync to (?P<module>[0-9a-f]+)/\S* from ")
# "... rsync: [receiver] write failed on "ID.part" (in MODULE): No space left on device (28)"
_TROUBLE = re.compile(rb"\] (?P<text>rsync: \[(?:receiver|generator)\].*\((?P<code>\d+)\))\s*$")

# Errors after which nothing more can be written; the client would send all the rest before it learns of them.
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
    """The module that a client was admitted to, if this line of the log says so."""
    match = _ADMITTED.search(line)
    return match["module"].decode() if match else None


def trouble(line: bytes) -> str | None:
    """rsync's message of an error after which nothing more can be written; None for other lines."""
    match = _TROUBLE.search(line)
    if match is None or int(match["code"]) not in _DOOMED:
        return None
    return match["text"].decode("utf-8", "replace")
