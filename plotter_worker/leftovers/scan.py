"""Lists the scratch files in a plotter host's directories. Links and folders are passed over."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from common.system.openfile import is_open_elsewhere
from common.system.plotfile import NotAPlot, expected_size_bytes, read_header
from common.system.probe import Hanging, Probe
from plotter_worker.leftovers.evidence import place, user_name
from plotter_worker.leftovers.rules import File, scratch_of

# A directory of a busy disk with thousands of bladebit's files takes a while.
_LIST_S = 60.0
# File systems that other machines may write to as well.
_SHARED = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "ceph",
    "gluster",
    "lustre",
    "afs",
    "ocfs",
    "gfs2",
    "virtiofs",
    "beegfs",
)
_SHARED_FUSE = ("sshfs", "gluster", "rclone", "s3fs", "ceph", "davfs", "curlftpfs", "smbnetfs", "moosefs")
# How the last, growing file of a plot ends: it holds the whole plot before it gets its name.
_FINAL = (".plot.tmp", ".plot.2.tmp")

_probe = Probe()


def list_scratch(folders: Iterable[str]) -> tuple[list[File], list[str]]:
    """(scratch files in these directories, what could not be looked at: a sentence each). A directory that is
    named twice, also by another path, is listed once."""
    found: list[File] = []
    troubles: list[str] = []
    seen: set[str] = set()
    for folder in dict.fromkeys(folders):
        where = place(folder)
        if where is None:
            troubles.append(f"{folder} is not there, or its drive does not answer")
        elif where not in seen:
            seen.add(where)
            try:
                found += _probe.run(folder, partial(_list, folder, where), _LIST_S)
            except (OSError, Hanging) as error:
                troubles.append(f"{folder}: {error}")
    return found, troubles


def _list(folder: str, where: str) -> list[File]:
    network = shared_file_system(folder)
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if scratch_of(entry.name) is None:
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # gone since it was listed
            if stat.S_ISREG(status.st_mode):
                found.append(_file(folder, where, entry.name, status, network))
    return found


def _file(folder: str, where: str, name: str, status: os.stat_result, network: str | None) -> File:
    path = Path(folder, name)
    return File(
        folder=folder,
        place=where,
        name=name,
        inode=status.st_ino,
        size_bytes=status.st_size,
        allocated_bytes=status.st_blocks * 512,
        mtime_ns=status.st_mtime_ns,
        uid=status.st_uid,
        owner=user_name(status.st_uid),
        network=network,
        open=is_open(path),
        whole=name.endswith(_FINAL) and _is_whole(path, status.st_size),
    )


def is_open(path: Path) -> bool | None:
    try:
        return is_open_elsewhere(path)
    except OSError:
        return None  # not readable for us


def _is_whole(path: Path, size_bytes: int) -> bool:
    """Only where the header tells the size to the byte."""
    try:
        expected = expected_size_bytes(read_header(path))
    except (OSError, NotAPlot):
        return False
    return expected is not None and size_bytes >= expected


def shared_file_system(folder: str) -> str | None:
    """Type of the file system where other machines may write too; None where it is this machine's own."""
    device = Path(folder).stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    for line in table.splitlines():
        if line.split(" ")[2] == number:
            kind = line.partition(" - ")[2].split(" ")[0]
            inner = kind.removeprefix("fuse.")
            if kind.startswith(_SHARED) or (inner != kind and inner.startswith(_SHARED_FUSE)):
                return kind
    return None
