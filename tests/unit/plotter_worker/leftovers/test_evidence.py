"""Which scratch files are complete plots that lack only their name: they are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from plotter_worker.leftovers.evidence import list_scratch
from tests.support import formats

ID = bytes([15]) * 32
V1 = f"plot-k18-2026-11-22-15-48-{ID.hex()}.plot.2.tmp"
BLADEBIT = f"{formats.name('bladebit', ID)}.tmp"


def bladebit() -> bytes:
    head = formats.header("bladebit", ID)
    return head + b"d" * (formats.PLOT_BYTES - len(head))


@pytest.mark.parametrize(
    ("name", "content", "whole"),
    [
        (V1, formats.small_v1(), True),
        (V1, formats.small_v1() + b"x", True),
        (V1, formats.small_v1()[:300] + bytes(len(formats.small_v1()) - 300), True),
        (V1, formats.small_v1()[:-1], False),
        (V1, formats.small_v1()[:300], False),
        (V1.replace(".2.tmp", ".table1.tmp"), formats.small_v1(), False),
        (BLADEBIT, bladebit(), True),
        (BLADEBIT, bladebit()[:-1], False),
        (BLADEBIT, b"not a plot", False),
    ],
    ids=["whole", "longer", "damaged", "cut", "header", "no final file", "bladebit", "bladebit cut", "other"],
)
def test_a_file_of_full_length_is_a_complete_plot(
    tmp_path: Path, name: str, content: bytes, whole: bool
) -> None:
    (tmp_path / name).write_bytes(content)
    (found,), troubles = list_scratch([str(tmp_path)])
    assert (found.whole, troubles) == (whole, [])
