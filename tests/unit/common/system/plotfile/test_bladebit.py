"""The header of bladebit, against chiapos, which reads it too: no program here makes such plots."""

from __future__ import annotations

import hashlib
import struct
from itertools import pairwise
from pathlib import Path

import pytest
from chiapos import DiskProver, Verifier

from common.system.plotfile import Verdict, read_header, whole


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
