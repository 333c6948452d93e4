"""Plot groups of the new proof of space, "PoS2": one or many plots in one file (pos2-chip, PlotGroupFile)."""

from __future__ import annotations

import struct
from typing import BinaryIO

from common.system.plotfile import chunk_index
from common.system.plotfile.header import Header, Impossible, pool_of
from common.system.plotfile.pos2_raw import check_parameters
from common.system.plotfile.wholeness import COMPLETE, Wholeness, truncated, unknown

MAGIC = b"PoS2"
_GROUP, _EXTENDED = 2, 0x82
_HEADER_BYTES = 51
_UNFARMABLE = (
    "its group begins at another index than 0, an extension of xchplot2: no released harvester reads it"
)


def parse(head: bytes) -> Header:
    """magic 4, version 1, group id 32, k 1, strength 1, group size 2, meta group 1, offset of the chunk index
    8, memo length 1 and memo; little-endian. Version 0x82 of xchplot2 has a first index of 2 bytes before the
    memo."""
    version = head[4]
    label = f"PoS2 {version:02x}"
    if version not in (_GROUP, _EXTENDED):
        return Header(label)
    fields = struct.unpack_from("<32sBBHBQB", head, 5)
    group_id, k, strength, group_size, meta_group, index_start, memo_len = fields
    check_parameters(k, strength, memo_len)
    if not group_size:
        raise Impossible("group without plots")
    memo_start = _HEADER_BYTES + (2 if version == _EXTENDED else 0)
    return Header(
        label,
        group_id.hex(),
        k,
        0,
        strength,
        group_size,
        meta_group,
        pool_of(head, memo_start, memo_len),
        memo_len,
        data_start_bytes=memo_start + memo_len,
        index_start_bytes=index_start,
        unfarmable=_UNFARMABLE if version == _EXTENDED else None,
        is_product=version == _GROUP,
    )


def length(file: BinaryIO, size_bytes: int, header: Header) -> Wholeness:
    """Exact to the byte: the index at the end has the sizes of all chunks."""
    start, index_start, k, plots = (
        header.data_start_bytes,
        header.index_start_bytes,
        header.k,
        header.group_size,
    )
    if start is None or index_start is None or k is None or plots is None or header.unfarmable:
        return unknown(f"plotman cannot judge format {header.format}")
    if index_start == 0:
        return truncated(
            "it was never finished: it has no chunk index, as after a full drive or a killed plotter"
        )
    if not start < index_start < size_bytes:
        return truncated(f"{size_bytes} bytes, but its chunk index should begin at byte {index_start}")
    file.seek(index_start)
    shape = chunk_index.Shape.of(k, plots)
    index_bytes = size_bytes - index_start
    if not shape.least_bytes <= index_bytes <= shape.most_bytes:
        return truncated(f"its chunk index has {index_bytes} bytes, which is impossible for k{k}")
    if index_bytes > chunk_index.MOST_BYTES:
        return unknown(f"its chunk index has {index_bytes} bytes, too many to be read here")
    total = chunk_index.total_bytes(file, shape, index_bytes)
    if total is None:
        return truncated("its chunk index is cut off, damaged, or followed by other bytes")
    if total != index_start - start:
        return truncated(f"its chunks have {index_start - start} bytes, but {total} by its index")
    return COMPLETE


def data_range(size_bytes: int, header: Header) -> tuple[int, int, int]:
    """As of v1. Chunks are compressed: none has a block of zeros."""
    end = min(size_bytes, header.index_start_bytes or size_bytes)
    return header.data_start_bytes or 0, end, 4096
