"""Single plots of the new proof of space, "pos2": of software before plot groups, and members of a group."""

from __future__ import annotations

import struct
from typing import BinaryIO

from common.system.plotfile.header import MEMO_LENGTHS, Header, Impossible, pool_of
from common.system.plotfile.wholeness import COMPLETE, Wholeness, truncated, unknown

MAGIC = b"pos2"
K_LEAST, K_MOST = 18, 32
UNFARMABLE = {
    1: "it was made before pos2-chip 1.0, which changed the cipher: no network will accept its proofs",
    2: "it is a raw member of a plot group: an input for grouping, which no harvester farms",
}
_CHUNK_BITS = 16


def parse(head: bytes) -> Header:
    """magic 4, version 1, id 32, k 1, strength 1, index 2, meta group 1, memo length 1 and memo, count of
    chunks 8, their offsets of 8 each; little-endian (pos2-chip, PlotFile)."""
    version = head[4]
    label = f"pos2 {version:02x}"
    if version not in UNFARMABLE:
        return Header(label)
    plot_id, k, strength, _, meta_group, memo_len = struct.unpack_from("<32sBBHBB", head, 5)
    check_parameters(k, strength, memo_len)
    return Header(
        label,
        plot_id.hex(),
        k,
        0,
        strength,
        1,
        meta_group,
        pool_of(head, 43, memo_len),
        memo_len,
        data_start_bytes=43 + memo_len,
        unfarmable=UNFARMABLE[version],
        is_product=version == 1,
    )


def check_parameters(k: int, strength: int, memo_len: int) -> None:
    """Raise Impossible for what pos2-chip does not accept."""
    if k % 2 or not K_LEAST <= k <= K_MOST:
        raise Impossible(f"of k{k}")
    if not 2 <= strength <= k - 3:
        raise Impossible(f"of k{k} and strength {strength}")
    if memo_len not in MEMO_LENGTHS:
        raise Impossible(f"with a memo of {memo_len} bytes")


def length(file: BinaryIO, size_bytes: int, header: Header) -> Wholeness:
    """Exact to the byte: each chunk begins with its length, and the last one ends the file."""
    start, k = header.data_start_bytes, header.k
    if start is None or k is None:
        return unknown(f"plotman does not know format {header.format}")
    chunks = 1 << k - _CHUNK_BITS  # at most 65,536
    file.seek(start)
    table = file.read(8 + 8 * chunks)
    if len(table) < 8 + 8 * chunks:
        return truncated("it ends within its table of chunks")
    count, *offsets = struct.unpack(f"<{1 + chunks}Q", table)
    first, last = start + len(table), offsets[-1]
    if count != chunks or offsets[0] != first or offsets != sorted(offsets):
        return truncated("its table of chunks was never finished")
    if last + 8 > size_bytes:
        return truncated(f"{size_bytes} of more than {last + 8} bytes")
    file.seek(last)
    end = last + 8 + int.from_bytes(file.read(8), "little")
    return COMPLETE if size_bytes == end else truncated(f"{size_bytes} instead of {end} bytes")


def data_range(size_bytes: int, header: Header) -> tuple[int, int, int]:
    """As of v1. Chunks are compressed: none has a block of zeros."""
    table_bytes = 8 + 8 * (1 << header.k - _CHUNK_BITS) if header.k else 0
    return (header.data_start_bytes or 0) + table_bytes, size_bytes, 4096
