"""Plots of chiapos and madMAx, "v1.0": header, ten tables. Gigahorse and DrPlotter use the same header with
other format strings, and give the pointers other meanings."""

from __future__ import annotations

import re
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

MAGIC = b"Proof of Space Plot"
# If the header does not give the length: bladebit's plots of this format, where padding may follow a nearly
# empty park, and Gigahorse's format, of which nothing is known: only what no alignment explains is missing.
_ZEROS_OF_OTHERS_BYTES = PARK_ZEROS_BYTES + PADDING_BYTES

V1 = "v1.0"
_FORMAT = re.compile(rb"[!-~]{1,32}")


def parse(head: bytes) -> Header:
    """magic 19, id 32, k 1, length 2 and format, length 2 and memo, ten pointers of 8; big-endian."""
    plot_id = head[19:51].hex()
    k, format_len = struct.unpack_from(">BH", head, 51)
    check_k_of_v1(k)
    text = head[54 : 54 + format_len]
    if len(text) < min(format_len, 32):
        raise IndexError
    if not _FORMAT.fullmatch(text):
        raise Impossible("of a format without a name")
    (memo_len,) = struct.unpack_from(">H", head, 54 + format_len)
    check_memo_of_v1(memo_len)
    start = 56 + format_len
    pool = pool_of(head, start, memo_len)
    if text != V1.encode():
        return Header(text.decode(), plot_id, k, pool=pool, memo_len=memo_len)
    pointers = struct.unpack_from(">10Q", head, start + memo_len)
    end = start + memo_len + 80
    return Header(
        V1, plot_id, k, 0, pool=pool, memo_len=memo_len, table_pointers=pointers, data_start_bytes=end
    )


def expected_size_bytes(header: Header) -> int | None:
    """Size of the whole file by its header, exact to the byte; None if the header does not give it.

    C3 is the last table of chiapos and madMAx, with one park for each entry of C1, which ends with an empty
    one (chiapos, plotter_disk phase 4; compared with files of both, k18 to k25). bladebit orders and pads its
    tables differently, which shows in a C2 that does not fit C1; then the answer is None.
    """
    if header.format != V1 or header.k is None or len(header.table_pointers) != 10:
        return None
    c1, c2, c3 = header.table_pointers[7:]
    entry_bytes = (header.k + 7) // 8
    c1_entries, c1_rest = divmod(c2 - c1, entry_bytes)
    c2_entries, c2_rest = divmod(c3 - c2, entry_bytes)
    contiguous = c3 == max(header.table_pointers) and not c1_rest and not c2_rest
    if not contiguous or c2_entries - 1 != -(-(c1_entries - 1) // 10_000):
        return None
    return c3 + (c1_entries - 1) * (10_000 if header.k < 20 else 3_000)


def length(_: BinaryIO, size_bytes: int, header: Header) -> Wholeness:
    if header.table_pointers and not all(header.table_pointers):
        return truncated("it was never finished: its header does not name all tables")
    expected = expected_size_bytes(header)
    if expected is None:
        least = max(header.table_pointers, default=0)
        if size_bytes < least:
            return truncated(f"{size_bytes} of more than {least} bytes")
        return unknown(f"the header (format {header.format}) does not say how long the file is")
    if size_bytes < expected:
        return truncated(f"{size_bytes} of {expected} bytes")
    if size_bytes >= expected + PADDING_BYTES:
        return truncated(f"{size_bytes} bytes instead of {expected}")
    return COMPLETE


def data_range(size_bytes: int, header: Header) -> tuple[int, int, int]:
    """Where data must lie, (beginning, end), and how many zeros in a row are not legitimate; in bytes."""
    expected = expected_size_bytes(header)
    if expected is None:
        return header.tables_start_bytes, size_bytes, _ZEROS_OF_OTHERS_BYTES
    return header.tables_start_bytes, min(size_bytes, expected), PARK_ZEROS_BYTES
