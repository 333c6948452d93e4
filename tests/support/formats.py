"""Plots of each format: v1.0 by its real plotter; of the others, the header with random bytes behind it."""

from __future__ import annotations

import os
import secrets
import shutil
import struct
import time
from pathlib import Path

PLOT_BYTES = 300_000

HEADED = ("bladebit", "Gigahorse", "PoS2")
FORMATS = ("v1.0", *HEADED)


def header(kind: str, plot_id: bytes) -> bytes:
    """The first bytes of a plot of this format, k32 (PoS2: k28)."""
    if kind == "bladebit":
        memo = struct.pack(">H", 4) + b"memo"
        return b"PLOT" + struct.pack("<I", 2) + plot_id + bytes([32]) + memo + struct.pack("<IB", 1, 7)
    if kind == "Gigahorse":
        return b"Proof of Space Plot" + plot_id + struct.pack(">BH", 32, 8) + b"mmx-v2.4" + bytes(200)
    assert kind == "PoS2"
    return b"PoS2\2" + plot_id + bytes([28, 2]) + bytes(200)


def name(kind: str, plot_id: bytes) -> str:
    return {
        "bladebit": f"plot-k32-c07-2026-11-22-15-48-{plot_id.hex()}.plot",
        "Gigahorse": f"plot-k32-c7-2026-11-22-15-48-{plot_id.hex()}.plot",
        "PoS2": f"plot-k28-{plot_id.hex()}.plot2",
    }[kind]


def make(kind: str, folder: Path, real_plot: Path) -> Path:
    """Put a finished plot of this format into the folder. real_plot: one of v1.0."""
    if kind == "v1.0":
        return Path(shutil.copy(real_plot, folder))
    plot_id = secrets.token_bytes(32)
    path = folder / name(kind, plot_id)
    head = header(kind, plot_id)
    path.write_bytes(head + os.urandom(PLOT_BYTES - len(head)))
    long_ago_s = time.time() - 3600
    os.utime(path, (long_ago_s, long_ago_s))
    return path


def differing(plot: bytes) -> dict[str, bytes]:
    """What a file of the plot's name on a drive may hold instead, from hardest to see to easiest."""
    bit = bytearray(plot)
    bit[len(plot) * 2 // 3] ^= 1
    other = bytearray(plot)
    other[19:51] = other[37:69] = other[8:40] = secrets.token_bytes(32)
    return {
        "one bit": bytes(bit),
        "zeroed tail": plot[: len(plot) // 2] + bytes(len(plot) - len(plot) // 2),
        "only the header": plot[:1024] + bytes(len(plot) - 1024),
        "shorter": plot[:-1],
        "other plot": bytes(other),
        "other plot of its header": plot[:1024] + os.urandom(len(plot) - 1024),
    }
