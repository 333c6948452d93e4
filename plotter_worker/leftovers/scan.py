"""Lists the scratch files in a plotter host's directories. Links and subdirectories are skipped."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from common.system.openfile import is_open_elsewhere
from common.system.plotfile import NotAPlot, expected_size_bytes, read_header
from common.system.probe import Hanging, Probe
from plotter_worker.leftovers.evidence import directory_id, user_name
from plotter_worker.leftovers.rules import File, scratch_of

# bladebit makes thousands of files, and its disk is busy.
_LIST_S = 60.0
# File systems that other machines may write to.
_NETWORK = (
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
_NETWORK_FUSE = ("sshfs", "gluster", "rclone", "s3fs", "ceph", "davfs", "curlftpfs", "smbnetfs", "moosefs")
# Endings of a plot's last file, which becomes the plot by renaming.
_FINAL = (".plot.tmp", ".plot.2.tmp")

_probe = Probe()


def list_scratch(folders: Iterable[str]) -> tuple[list[File], list[str]]:
    """List scratch files. A directory with two paths is listed once.

    Returns:
        The files, and a sentence for each directory that could not be read.
    """
    found: list[File] = []
    troubles: list[str] = []
    seen: set[str] = set()
    for folder in dict.fromkeys(folders):
        identity = directory_id(folder)
        if identity is None:
            troubles.append(f"{folder} does not exist, or its drive does not answer")
        elif identity not in seen:
            seen.add(identity)
            try:
                found += _probe.run(folder, partial(_list, folder, identity), _LIST_S)
            except (OSError, Hanging) as error:
                troubles.append(f"{folder}: {error}")
    return found, troubles


def _list(folder: str, identity: str) -> list[File]:
    network = shared_file_system(folder)
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if scratch_of(entry.name) is None:
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # deleted since it was listed
            if stat.S_ISREG(status.st_mode):
                found.append(_file(folder, identity, entry.name, status, network))
    return found


def _file(folder: str, identity: str, name: str, status: os.stat_result, network: str | None) -> File:
    path = Path(folder, name)
    return File(
        folder=folder,
        directory_id=identity,
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
        return None  # not readable for this user


def _is_whole(path: Path, size_bytes: int) -> bool:
    """Whether the file has the size that its header states exactly."""
    try:
        expected = expected_size_bytes(read_header(path))
    except (OSError, NotAPlot):
        return False
    return expected is not None and size_bytes >= expected


def shared_file_system(folder: str) -> str | None:
    """Type of the file system if other machines may write there, too; None: local."""
    device = Path(folder).stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    for line in table.splitlines():
        if line.split(" ")[2] == number:
            kind = line.partition(" - ")[2].split(" ")[0]
            inner = kind.removeprefix("fuse.")
            if kind.startswith(_NETWORK) or (inner != kind and inner.startswith(_NETWORK_FUSE)):
                return kind
    return None
