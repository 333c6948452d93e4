"""Drives of a lab's hosts: images of file systems, or memory, mounted in one host's namespace only."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from pathlib import Path
from typing import Protocol

_SHUTDOWN = 0x8004587D  # linux/fs/ext4/ext4.h, EXT4_IOC_SHUTDOWN; the same as XFS_IOC_GOINGDOWN
_NO_LOG_FLUSH = 2

XFS_MIN_BYTES = 320_000_000  # mkfs.xfs makes none below 300 MiB

_MAKE = {
    # -m 0: nothing kept for root, whom the tests run as. No lazy set-up: it writes later.
    "ext4": ("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
}


def shut_down(fd: int) -> None:
    """Stop a file system at once: what is not on its disk is lost, and every use of it fails with EIO."""
    fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))


class Machine(Protocol):
    """Who has the drive; tests.support.lab.Host."""

    def call(self, *argv: str | Path | int, check: bool = True, timeout_s: float = 60) -> str: ...

    def seen(self, path: str | Path) -> Path: ...


class Drive:
    """path: its mount point, the same inside and outside of the host; outside it is an empty folder."""

    def __init__(self, folder: Path, name: str, size_bytes: int, kind: str) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self.kind = kind
        self.path = folder / "drives" / name
        self.read_only = False
        self._image = folder / f"{name}.img"
        self.path.mkdir(parents=True)
        if self.on_disk:
            with self._image.open("wb") as file:
                file.truncate(size_bytes)
            program, *options = _MAKE[kind]
            subprocess.run([f"/usr/sbin/{program}", *options, self._image], check=True, capture_output=True)

    @property
    def on_disk(self) -> bool:
        """Whether it outlives its host."""
        return self.kind != "tmpfs"

    def is_mounted(self, host: Machine) -> bool:
        here = host.seen(self.path)
        return here.stat().st_dev != here.parent.stat().st_dev

    def mount(self, host: Machine) -> None:
        if not self.on_disk:
            host.call("mount", "-t", "tmpfs", "-o", f"size={self.size_bytes}", "none", self.path)
            return
        # A loop device of its own each time: one that still serves a pulled file system must not be shared.
        device = host.call("losetup", "--find", "--show", self._image).strip()
        try:
            host.call("mount", *(["-r"] if self.read_only else []), device, self.path)
        finally:
            host.call("losetup", "--detach", device)  # when it is unmounted, that is

    def pull(self, host: Machine) -> None:
        fd = os.open(host.seen(self.path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            shut_down(fd)
        finally:
            os.close(fd)
        host.call("umount", "--lazy", self.path)

    def remount(self, host: Machine, read_only: bool) -> None:
        """As after an error of the drive, or an admin's word. Not while files are open for writing."""
        self.read_only = read_only
        host.call("mount", "-o", f"remount,{'ro' if read_only else 'rw'}", self.path)
