"""fsync."""

from __future__ import annotations

import os
from pathlib import Path


def make_durable(path: Path) -> None:
    """fsync a file or a directory. A rename survives a power cut only once both its directories are
    synced."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
