"""Plots of bladebit 2 and 3, compressed or in its own format 2.0."""

from __future__ import annotations

import struct
from typing import BinaryIO

from common.system.plotfile.header import Header, Impossible, check_k_of_v1, check_memo_of_v1, pool_of
from common.system.plotfile.wholeness import (
    COMPLETE,
    PADDING_BYTES,
    PARK_ZEROS_BYTES,
    Wholeness,
    truncated,
    unknown,
)

MAGIC = b"PLOT"
LABEL = "bladebit 2"
_VERSION = 2
_COMPRESSED = 1
_MOST_LEVEL = 9
# A last park may be nearly empty, and the padding of its table follows.
_ZEROS_BYTES = PARK_ZEROS_BYTES + PADDING_BYTES


def parse(head: bytes) -> Header:
    """magic 4, version 4 (little-endian), id 32, k 1, memo length 2 and memo, flags 4 (bit 0: compressed),
    level 1 if compressed, ten table pointers of 8 (big-endian), ten table sizes of 8 (little-endian);
    bladebit, PlotWriter.
    """
    (version,) = struct.unpack_from("<I", head, 4)
    if version != _VERSION:
        return Header(f"bladebit {version}")
    k, memo_len = struct.unpack_from(">BH", head, 40)
    check_k_of_v1(k)
    check_memo_of_v1(memo_len)
    pool = pool_of(head, 43, memo_len)
    flags, level = struct.unpack_from("<IB", head, 43 + memo_len)
    compressed = bool(flags & _COMPRESSED)
    if compressed and not 1 <= level <= _MOST_LEVEL:
        raise Impossible(f"of compression {level}")
    at = 47 + memo_len + compressed
    return Header(
        LABEL,
        head[8:40].hex(),
        k,
        level if compressed else 0,
        pool=pool,
        memo_len=memo_len,
        table_pointers=struct.unpack_from(">10Q", head, at),
        table_sizes=struct.unpack_from("<10Q", head, at + 80),
        data_start_bytes=at + 160,
    )


def _least_bytes(header: Header) -> int:
    tables = zip(header.table_pointers, header.table_sizes, strict=True)
    return max((pointer + size for pointer, size in tables), default=0)


def length(_: BinaryIO, size_bytes: int, header: Header) -> Wholeness:
    """The tables may be in any order, and the file ends with a whole block of the file system: its header
    gives the least length."""
    if header.format != LABEL:
        return unknown(f"plotman does not know format {header.format}")
    if not any(header.table_pointers):
        return truncated("it was never finished: its header names no tables")
    least = _least_bytes(header)
    return truncated(f"{size_bytes} of {least} bytes") if size_bytes < least else COMPLETE


def data_range(size_bytes: int, header: Header) -> tuple[int, int, int]:
    """As of v1."""
    return header.tables_start_bytes, min(size_bytes, _least_bytes(header) or size_bytes), _ZEROS_BYTES
