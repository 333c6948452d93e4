"""The header of bladebit, against chiapos, which reads it too: no program here makes such plots."""

from __future__ import annotations

import hashlib
import os
import secrets
import struct
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from chiapos import DiskProver, Verifier

from common.model.snapshot import PlotState
from common.system.plotfile import Verdict, classify, read_header, whole
from tests.support import formats


def converted(plot: Path, level: int) -> bytes:
    """A plot of chiapos with the header of bladebit."""
    content, header = plot.read_bytes(), read_header(plot)
    data_start, memo_len = header.data_start_bytes or 0, header.memo_len or 0
    head = b"PLOT" + struct.pack("<I", 2) + bytes.fromhex(header.plot_id or "")
    head += struct.pack(">BH", header.k, memo_len) + content[60 : 60 + memo_len]
    head += struct.pack("<IB", 1, level) if level else struct.pack("<I", 0)
    shift = len(head) + 160 - data_start
    pointers = [pointer + shift for pointer in header.table_pointers]
    sizes = [end - start for start, end in pairwise([*pointers, len(content) + shift])]
    return head + struct.pack(">10Q", *pointers) + struct.pack("<10Q", *sizes) + content[data_start:]


@pytest.mark.parametrize("level", [0, 1, 7])
def test_chiapos_reads_the_same_from_the_header(tmp_path: Path, real: dict[str, Path], level: int) -> None:
    path = tmp_path / "x.plot"
    path.write_bytes(converted(real["v1.0"], level))
    prover, header = DiskProver(str(path)), read_header(path)

    seen = (prover.get_id().hex(), prover.get_size(), prover.get_compression_level(), len(prover.get_memo()))
    assert seen == (header.plot_id, header.k, header.compression, header.memo_len)
    assert header.compression == level
    assert header.pool == read_header(real["v1.0"]).pool
    assert whole(path, header).verdict is Verdict.COMPLETE
    path.write_bytes(path.read_bytes()[:-1])
    assert whole(path, header).verdict is Verdict.TRUNCATED


def test_chiapos_proves_a_plot_with_this_header(tmp_path: Path, real: dict[str, Path]) -> None:
    path = tmp_path / "x.plot"
    path.write_bytes(converted(real["v1.0"], 0))
    prover, plot_id = DiskProver(str(path)), bytes.fromhex(read_header(path).plot_id or "")
    proofs = 0
    for number in range(30):
        challenge = hashlib.sha256(bytes([number])).digest()
        for index, quality in enumerate(prover.get_qualities_for_challenge(challenge)):
            proof = prover.get_full_proof(challenge, index, False)
            assert Verifier().validate_proof(plot_id, 18, challenge, proof) == quality
            proofs += 1
    assert proofs


KIB, MIB = 1 << 10, 1 << 20
NOW = datetime(2100, 1, 1, tzinfo=UTC)
TABLES_BYTES = [5_000_000] * 7 + [100_000, 50_000, 3_000_000]


def padded(folder: Path, kind: str, block_bytes: int) -> Path:
    """A plot of k32 as bladebit lays it out: header and tables are padded to blocks of the file system. Its
    tables are of random bytes.

    Args:
        folder: Where it is put.
        kind: "bladebit 2" or "v1.0".
        block_bytes: st_blksize of the file system.
    """
    plot_id = secrets.token_bytes(32)
    pointers, at = [], block_bytes  # no block is smaller than the header
    for size in TABLES_BYTES:
        pointers.append(at)
        at += -(-size // block_bytes) * block_bytes
    at_tables = struct.pack(">10Q", *pointers)
    if kind == "v1.0":
        path = folder / f"plot-k32-2026-11-22-15-48-{plot_id.hex()}.plot"
        head = b"Proof of Space Plot" + plot_id + struct.pack(">BH4sH", 32, 4, b"v1.0", len(formats.MEMO))
        head += formats.MEMO + at_tables
    else:
        path = folder / formats.name("bladebit", plot_id)
        head = b"PLOT" + struct.pack("<I", 2) + plot_id + struct.pack(">BH", 32, len(formats.MEMO))
        head += formats.MEMO + struct.pack("<IB", 1, 7) + at_tables + struct.pack("<10Q", *TABLES_BYTES)
    content = bytearray(at)
    content[: len(head)] = head
    for pointer, size in zip(pointers, TABLES_BYTES, strict=True):
        content[pointer : pointer + size] = os.urandom(size)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["bladebit 2", "v1.0"])
@pytest.mark.parametrize("block_bytes", [4 * KIB, 128 * KIB, MIB])
def test_padding_to_blocks_of_the_file_system_is_no_damage(
    tmp_path: Path, kind: str, block_bytes: int
) -> None:
    path = padded(tmp_path, kind, block_bytes)
    assert read_header(path).format == kind
    assert classify(path, NOW)[:2] == (PlotState.READY, None)


@pytest.mark.parametrize("kind", ["bladebit 2", "v1.0"])
@pytest.mark.parametrize("block_bytes", [4 * KIB, 128 * KIB, MIB])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("first", "last"), [(1, 38), (20, 30)])
def test_zeros_in_place_of_tables_are_damage_with_any_padding(
    tmp_path: Path, kind: str, block_bytes: int, sparse: bool, first: int, last: int
) -> None:
    """first, last: Of the million bytes that are zeros; the plot has 38 to 43."""
    path = padded(tmp_path, kind, block_bytes)
    content = path.read_bytes()
    begin, end = first * 1_000_000, last * 1_000_000
    with path.open("wb") as file:
        file.write(content[:begin])
        file.write(b"" if sparse else bytes(end - begin))
        file.seek(end)
        file.write(content[end:])
    state, reason, *_ = classify(path, NOW)
    assert state is PlotState.TRUNCATED
    assert (reason or "").startswith("zeros at byte ")


@pytest.mark.parametrize("kind", ["bladebit 2", "v1.0"])
def test_padding_that_the_file_system_does_not_store_is_no_damage(tmp_path: Path, kind: str) -> None:
    path = padded(tmp_path, kind, MIB)
    content = path.read_bytes()
    with path.open("wb") as file:
        for at in range(0, len(content), 4 * KIB):
            if any(block := content[at : at + 4 * KIB]):
                file.seek(at)
                file.write(block)
        file.truncate(len(content))
    assert path.stat().st_blocks * 512 < len(content) - MIB
    assert classify(path, NOW)[:2] == (PlotState.READY, None)


def test_a_table_that_was_not_kept_has_no_part_in_where_the_tables_begin(tmp_path: Path) -> None:
    """Compression leaves out the first tables: their pointers are zero."""
    path = padded(tmp_path, "bladebit 2", MIB)
    first_at_6_mib(path, 160, bytes(8))
    assert read_header(path).tables_start_bytes == 6 * MIB
    assert classify(path, NOW)[:2] == (PlotState.READY, None)


def test_zeros_before_the_first_table_are_no_damage_to_a_plot_of_v1(tmp_path: Path) -> None:
    path = padded(tmp_path, "v1.0", MIB)
    first_at_6_mib(path, 172, struct.pack(">Q", 6 * MIB))
    assert classify(path, NOW)[:2] == (PlotState.READY, None)


def first_at_6_mib(path: Path, pointers: int, first: bytes) -> None:
    """Fill a padded plot with zeros up to its second table.

    Args:
        pointers: Where the pointers of its tables begin, in bytes.
        first: The new pointer of its first table.
    """
    content = bytearray(path.read_bytes())
    content[pointers : pointers + 8] = first
    content[320 : 6 * MIB] = bytes(6 * MIB - 320)
    path.write_bytes(content)
