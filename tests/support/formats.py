"""Plots of each format: v1.0 and groups by their real plotters; of the others, the header with random bytes
behind it."""

from __future__ import annotations

import os
import secrets
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

from plotman.quickstart import new_plots

PLOT_BYTES = 300_000

GROUP = "PoS2 02"
HEADED = ("bladebit", "Gigahorse")
FORMATS = ("v1.0", *HEADED, GROUP)
UNFARMABLE = ("pos2 01", "pos2 02", "PoS2 82")

# A pool contract's puzzle hash, the farmer's key, and the secret key that no log may show.
CONTRACT, FARMER, SECRET = b"\5" * 32, b"\7" * 48, b"\xa9" * 32
MEMO = CONTRACT + FARMER + SECRET


def header(kind: str, plot_id: bytes, size_bytes: int = PLOT_BYTES) -> bytes:
    """The first bytes of a plot of this format, k32 (of the new proof of space: k28).

    Args:
        size_bytes: Of the whole file.
    """
    if kind == "bladebit":
        start = 43 + len(MEMO) + 5 + 160
        pointers = range(start, start + 1000, 100)
        sizes = [100] * 9 + [size_bytes - pointers[-1]]
        head = b"PLOT" + struct.pack("<I", 2) + plot_id + struct.pack(">BH", 32, len(MEMO)) + MEMO
        return head + struct.pack("<IB", 1, 7) + struct.pack(">10Q", *pointers) + struct.pack("<10Q", *sizes)
    if kind == "Gigahorse":
        return b"Proof of Space Plot" + plot_id + struct.pack(">BH8sH", 32, 8, b"mmx-v2.4", len(MEMO)) + MEMO
    magic, version = kind.split()
    head = magic.encode() + bytes.fromhex(version) + plot_id
    if magic == "pos2":
        return head + struct.pack("<BBHBB", 28, 2, 0, 0, len(MEMO)) + MEMO
    index_start = size_bytes - 1000
    first = struct.pack("<H", 32) if version == "82" else b""
    return head + struct.pack("<BBHBQB", 28, 2, 32, 0, index_start, len(MEMO)) + first + MEMO


def small_v1(k: int = 18, plot_id: bytes = bytes([15]) * 32, version: bytes = b"v1.0") -> bytes:
    """The smallest file with a header like chiapos' (k25: 75 kB): 24 parks of C3, tables 1-7 empty."""
    start = 56 + len(version) + len(MEMO) + 80
    entry = (k + 7) // 8
    c2 = start + 25 * entry
    c3 = c2 + 2 * entry
    head = b"Proof of Space Plot" + plot_id + struct.pack(">BH", k, len(version)) + version
    head += struct.pack(">H", len(MEMO)) + MEMO + struct.pack(">10Q", *([start] * 8), c2, c3)
    return head + b"d" * (c3 - len(head) + 24 * (10_000 if k < 20 else 3_000))


def make_sparse(folder: Path, kind: str, k32_bytes: int, made: str = "2026-11-22") -> Path:
    """A k32 plot by its header and its length, of which nothing else is on the disk.

    Args:
        kind: "v1.0" or "bladebit", the latter of level 7.
        made: date in its name.
    """
    plot_id = secrets.token_bytes(32)
    if kind == "v1.0":
        head = small_v1(32, plot_id)[: 60 + len(MEMO)]
        c3 = k32_bytes - 24 * 3000
        c2, start = c3 - 2 * 4, len(head) + 80
        head += struct.pack(">10Q", *([start] * 7), c2 - 25 * 4, c2, c3)
    else:
        head = header(kind, plot_id, k32_bytes)
    level = "" if kind == "v1.0" else "-c07"
    path = folder / f"plot-k32{level}-{made}-15-48-{plot_id.hex()}.plot"
    path.write_bytes(head)
    os.truncate(path, k32_bytes)
    return _rested(path)


def raw(plot_id: bytes = bytes([15]) * 32, version: int = 1, k: int = 18) -> bytes:
    """A raw plot of the new proof of space, with chunks of 5000 random bytes."""
    head = b"pos2" + bytes([version]) + plot_id + struct.pack("<BBHBB", k, 2, 0, 0, len(MEMO)) + MEMO
    chunks = 1 << k - 16
    first = len(head) + 8 + 8 * chunks
    head += struct.pack(f"<{1 + chunks}Q", chunks, *(first + 5008 * number for number in range(chunks)))
    return head + b"".join(struct.pack("<Q", 5000) + os.urandom(5000) for _ in range(chunks))


def make_v1(folder: Path, k: int = 18) -> Path:
    """A plot of chiapos, without the rest of chia: k18 takes a second and 4 MB."""
    plot_id = secrets.token_bytes(32)
    path = folder / f"plot-k{k}-2026-11-22-15-48-{plot_id.hex()}.plot"
    make = (
        "import sys; from chiapos import DiskPlotter; folder, name, plot_id, memo = sys.argv[1:];"
        f"DiskPlotter().create_plot_disk(folder, folder, folder, name, {k}, bytes.fromhex(memo),"
        " bytes.fromhex(plot_id), 200, 16, 2000, 2, False)"
    )
    command = [sys.executable, "-c", make, str(folder), path.name, plot_id.hex(), MEMO.hex()]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)
    return _rested(path)


def name(kind: str, plot_id: bytes) -> str:
    return {
        "bladebit": f"plot-k32-c07-2026-11-22-15-48-{plot_id.hex()}.plot",
        "Gigahorse": f"plot-k32-c7-2026-11-22-15-48-{plot_id.hex()}.plot",
        "pos2": f"plot-k28-{plot_id.hex()}.plot2",
        "PoS2": f"plot-k28-{plot_id.hex()}.gplot",
    }[kind.partition(" ")[0]]


def make(kind: str, folder: Path, real_plot: Path) -> Path:
    """Put a finished plot of this format into the folder. real_plot: one of v1.0."""
    if kind == "v1.0":
        return Path(shutil.copy(real_plot, folder))
    if kind == GROUP:
        return make_group(folder)
    plot_id = secrets.token_bytes(32)
    path = folder / name(kind, plot_id)
    head = header(kind, plot_id)
    path.write_bytes(head + os.urandom(PLOT_BYTES - len(head)))
    return _rested(path)


def make_group(folder: Path, k: int = 18, strength: int = 2, meta_group: int = 0) -> Path:
    """A plot group of one plot, made by chia_rs with keys of its own: k18 takes 0.2 s and 660 kB."""
    return _rested(new_plots.make(folder, k, CONTRACT, bytes([7] * 32), meta_group, strength))


def _rested(path: Path) -> Path:
    """As if nobody had written to it for an hour."""
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
