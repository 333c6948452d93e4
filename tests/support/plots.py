"""Files that pass for plots as far as name, header and size go; random bytes otherwise."""

from __future__ import annotations

import os
import secrets
import struct
import time
from pathlib import Path

PLOT_BYTES = 4_000_000


def write_plot(folder: Path, size_bytes: int = PLOT_BYTES, plot_id: str = "") -> Path:
    """A file with a plot's name, a plot's header (format v1.0, as chiapos writes it) and random bytes."""
    plot_id = plot_id or secrets.token_hex(32)
    head = b"Proof of Space Plot" + bytes.fromhex(plot_id) + struct.pack(">BH4sH", 25, 4, b"v1.0", 0)
    head += struct.pack(">10Q", *range(1, 11))
    path = folder / f"plot-k25-2026-11-22-12-00-{plot_id}.plot"
    path.write_bytes(head + os.urandom(size_bytes - len(head)))
    # Its header tells no size, so that it counts as whole once nobody has written to it for a while.
    long_ago_s = time.time() - 3600
    os.utime(path, (long_ago_s, long_ago_s))
    return path
