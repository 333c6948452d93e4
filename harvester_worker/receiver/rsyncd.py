"""Write the rsync servers' configuration, and parse their logs. Pure.

Format: rsyncd.conf(5). Each connection's rsync gets a configuration of its own with the receivers open then.
"""

from __future__ import annotations

import errno
import re
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from common.errors import TransferFailed

# Each side ends the connection after this silence; the client learns the value from the server.
TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class RsyncModule:
    """A receiver as rsync knows it. name: also its only user's. part: the only file that may be written, and
    to size_bytes at most."""

    name: str
    part: Path
    secrets: Path
    size_bytes: int


def configuration(modules: Iterable[RsyncModule], uid: int, gid: int, log: Path, mark: str) -> str:
    """Text of the configuration file.

    Args:
        modules: The receivers that are open.
        uid: User id of this process; a server that root starts would switch to `nobody`.
        log: The server's log file; rsync drops --log-file once the client has named its module.
        mark: First word of the line with a digest, a secret of this connection: a client can write other
            lines into the log.
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
    return "\n".join(head) + "\n" + "".join(_section(module, mark) for module in modules)


def _section(module: RsyncModule, mark: str) -> str:
    """Text of one module. All options are refused except the ones that our own command line uses: with `write
    only` and `refuse options = delete` alone a client could overwrite, rename and truncate any file in the
    path.

    append implies inplace, which implies partial: all three must be allowed. No option can be demanded, and a
    client without append writes a file beside the part, as long as the part and one for each connection: so
    _ADMIT reads the options. Quotes in `filter` would end every connection. The farmed directory is outside
    of the path.

    The reservation holds size_bytes of the drive. The limit of the file's size belongs to the server's
    process: it is set once the client is admitted, and before the first byte.
    """
    admit = f"{_ADMIT} {max(module.size_bytes, _LEAST_LIMIT_BYTES)}"
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
pre-xfer exec = {admit}
transfer logging = yes
log format = {mark} %C
"""


# Its log must fit, too.
_LEAST_LIMIT_BYTES = 1 << 20
# Refuse a client that does not append to the part, and limit the length of what the server writes. Each
# option must have one of these forms: an option that takes the next word as its value could hide --append.
_OPTIONS = (
    "--server|-v*e[.][.A-Za-z]*|--log-format=[^ ]*|--timeout=[0-9]+|--bwlimit=[^ ]+|--existing|--fsync"
    "|--append|--inplace|--partial"
)
_ADMIT = shlex.join(
    [
        sys.executable,
        "-ISc",
        "import itertools as i, os, re, resource as r, sys; forms, most = sys.argv[1], int(sys.argv[2]); "
        "words = (os.environ.get('RSYNC_ARG' + str(n)) for n in i.count(1)); "
        "given = list(i.takewhile(lambda word: word not in ('.', None), words)); "
        "right = '--append' in given and all(re.fullmatch(forms, word) for word in given); "
        "right or sys.exit(print('only plots of a plotman archiver are taken here') or 1); "
        "r.prlimit(int(os.environ['RSYNC_PID']), r.RLIMIT_FSIZE, (most, most))",
        _OPTIONS,
    ]
)


def must_be_expressible(part: Path) -> None:
    """Raise TransferFailed for a path that rsync's configuration cannot express."""
    if re.search(r"[\r\n\\%]|^\s|\s$", str(part)):
        raise TransferFailed(
            f"rsync's configuration cannot name {part.parent}: the path holds a line break, \\ or %.",
            "Mount the drive under a plainer name.",
        )


# "2026/11/22 13:05:27 [4711] rsync to MODULE/ID.part from MODULE@UNDETERMINED (10.0.0.2)"
_ADMITTED = re.compile(rb"^\S+ \S+ \[\d+\] rsync to (?P<module>[0-9a-f]+)/\S* from ")
# "... [4711] auth failed on module MODULE from UNDETERMINED (10.0.0.2) for MODULE: password mismatch"
_REFUSED = re.compile(rb"^\S+ \S+ \[\d+\] auth failed on module (?P<module>[0-9a-f]+) ")
# "... [4711] MARK DIGEST"
_RECEIVED = re.compile(rb"^\S+ \S+ \[\d+\] (?P<mark>\w+) (?P<digest>[0-9a-f]{1,128})\s*$")
# "... rsync: [receiver] write failed on "ID.part" (in MODULE): No space left on device (28)"
_TROUBLE = re.compile(rb"\] (?P<text>rsync: \[(?:receiver|generator)\].*\((?P<code>\d+)\))\s*$")

# Errors after which nothing more can be written; the client would send all the rest before it learns of them.
_DOOMED = {
    errno.ENOSPC,
    errno.EDQUOT,
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


@dataclass(slots=True)
class ServerLog:
    """What a server's log says so far.

    mark: of the configuration. module: that a client was admitted to.
    refused: that a client gave a wrong password for.
    digest: of the whole plot as it arrived. The client names it, and rsync has compared it with its own.
    trouble: rsync's message, once nothing more can be written.
    oversent: the client sends more than was announced.
    """

    mark: str
    module: str | None = None
    refused: str | None = None
    digest: str | None = None
    trouble: str | None = None
    oversent: bool = False

    def read(self, line: bytes) -> None:
        """Take in one line."""
        if match := _ADMITTED.search(line):
            self.module = self.module or match["module"].decode()
        elif match := _REFUSED.search(line):
            self.refused = match["module"].decode()
        elif (match := _RECEIVED.search(line)) and match["mark"] == self.mark.encode():
            self.digest = match["digest"].decode()
        elif b"failed verification" in line:
            self.digest = None  # it was logged before rsync compared
        elif match := _TROUBLE.search(line):
            code = int(match["code"])
            # A drive that cannot hold a file of this size has refused the reservation.
            self.oversent = self.oversent or code == errno.EFBIG
            if code in _DOOMED:
                self.trouble = self.trouble or match["text"].decode("utf-8", "replace")
