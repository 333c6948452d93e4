"""A small file system of its own, to fill."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.lacking import lacking


@contextmanager
def tiny(folder: Path, options: str) -> Iterator[None]:
    """Mount an empty file system on `folder`, which is made. options: of tmpfs(5), as `size=1m`."""
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=False).returncode:
        lacking("this user may not mount file systems")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """Leave no byte free; returns the file that takes them."""
    taken = folder / "everything else"
    fd = os.open(taken, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(fd, bytes(4096))
    except OSError:
        return taken
    finally:
        os.close(fd)
