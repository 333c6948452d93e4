"""Any bytes and any name: an answer or our own error, after reading a few megabytes at most."""

from __future__ import annotations

import os
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.model.plot_name import PlotName, is_alike, plot_id_of, with_short_ids
from common.system.plotfile import NotAPlot, classify, read_header, whole
from tests.support import formats

NOW = datetime(2100, 1, 1, tzinfo=UTC)
MOST_READ_BYTES = 20_000_000  # the largest index, and the surroundings of some blocks of zeros
MAGICS = (b"", b"Proof of Space Plot", b"PLOT\2\0\0\0", b"PLOT", b"pos2\1", b"pos2\2", b"PoS2\2", b"PoS2\x82")
ID = bytes([15]) * 32


@contextmanager
def file_of(content: bytes, size_bytes: int, name: str = "x.plot") -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        if size_bytes > len(content):
            os.truncate(path, size_bytes)
        yield path


def read_bytes() -> int:
    """Bytes that this process has read so far."""
    return int(Path("/proc/self/io").read_text(encoding="ascii").split()[1])


def judge(content: bytes, size_bytes: int) -> None:
    with file_of(content, size_bytes) as path:
        before, began_s = read_bytes(), time.process_time()
        try:
            whole(path, read_header(path))
        except NotAPlot as error:
            assert str(path) in error.what
        assert read_bytes() - before < MOST_READ_BYTES
        assert time.process_time() - began_s < 30, "no file takes minutes"
        before = read_bytes()
        assert len(classify(path, NOW)) == 4
        assert read_bytes() - before < MOST_READ_BYTES


SIZES = st.one_of(st.just(0), st.integers(0, 1 << 22), st.integers(0, 1 << 40))


@given(st.sampled_from(MAGICS), st.binary(max_size=700), SIZES)
@settings(max_examples=600, deadline=None)
def test_any_bytes_as_a_header(magic: bytes, rest: bytes, size_bytes: int) -> None:
    judge(magic + rest, size_bytes)


@given(
    st.sampled_from([2, 0x82]),
    st.integers(9, 16).map(lambda half: 2 * half),
    st.integers(0, 65535),
    st.one_of(st.integers(0, 1 << 64 - 1), st.integers(0, 20_000)),
    st.binary(max_size=6000),
    SIZES,
)
@settings(max_examples=400, deadline=None)
def test_any_index_and_any_shape_of_a_group(
    version: int, k: int, plots: int, index_start: int, index: bytes, size_bytes: int
) -> None:
    head = b"PoS2" + bytes([version]) + ID
    head += struct.pack("<BBHBQB", k, 2, plots, 0, index_start, 112) + formats.MEMO
    judge(head + index, size_bytes)


@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"\x55"])
@pytest.mark.parametrize("k", [26, 28, 30, 32])
@pytest.mark.parametrize("plots", [1, 108, 65535])
def test_the_largest_index_that_is_read_takes_seconds_at_most(fill: bytes, k: int, plots: int) -> None:
    head = b"PoS2\2" + ID + struct.pack("<BBHBQB", k, 2, plots, 0, 4096, 112) + formats.MEMO
    judge((head + bytes(4096))[:4096] + fill * (16 << 20), 0)


@given(
    st.lists(st.integers(0, (1 << 64) - 1), min_size=10, max_size=10),
    st.lists(st.integers(0, (1 << 64) - 1), min_size=10, max_size=10),
    st.integers(16, 50),
    SIZES,
)
@settings(max_examples=300, deadline=None)
def test_any_pointers_and_sizes(pointers: list[int], sizes: list[int], k: int, size_bytes: int) -> None:
    chiapos = b"Proof of Space Plot" + ID + struct.pack(">BH4sH", k, 4, b"v1.0", 0)
    judge(chiapos + struct.pack(">10Q", *pointers), size_bytes)
    bladebit = b"PLOT\2\0\0\0" + ID + struct.pack(">BH", k, 0) + struct.pack("<IB", 1, 7)
    judge(bladebit + struct.pack(">10Q", *pointers) + struct.pack("<10Q", *sizes), size_bytes)


@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=40), st.integers(9, 16), SIZES)
@settings(max_examples=200, deadline=None)
def test_any_table_of_a_raw_plot(table: list[int], half_k: int, size_bytes: int) -> None:
    head = b"pos2\1" + ID + struct.pack("<BBHBB", 2 * half_k, 2, 0, 0, 112) + formats.MEMO
    judge(head + struct.pack(f"<{len(table)}Q", *table), size_bytes)


@given(st.text(max_size=200), st.sampled_from(["", ".plot", ".plot2", ".gplot", ".gplot.partial", ".tsv"]))
@settings(max_examples=300, deadline=None)
def test_any_name(text: str, suffix: str) -> None:
    name = text + suffix
    parsed = PlotName.parse(name)
    assert parsed is None or parsed.name == name
    plot_id_of(name)
    with_short_ids(name)
    is_alike(name)
