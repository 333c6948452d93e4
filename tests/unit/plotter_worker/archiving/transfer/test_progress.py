"""rsync's progress, in any chunking. The text is what rsync 3.5.0 printed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plotter_worker.archiving.transfer.progress import Done, Reader, TransferProgress, read_line

MARK = "5f1d0c"
DIGEST = "9c7ce2f9d466b0c60c92839518e59c20"
OUTPUT = (
    "\r          32768   0%    0.00kB/s    0:00:00  "
    f"\r      206438400  20%  181.09MB/s    0:00:04  {MARK} p1.plot 1000000000 1000122111 {DIGEST}\n"
    "\r     1000000000 100%  192.77MB/s    0:00:04 (xfr#1, to-chk=0/1)\n"
).encode()
MIB = 1 << 20


def read(chunks: list[bytes]) -> list[TransferProgress | Done]:
    reader = Reader(MARK)
    news = [item for chunk in chunks for item in reader.feed(chunk)]
    return news + reader.close()


@pytest.mark.parametrize(
    ("line", "news"),
    [
        (
            b"      206438400  20%  181.09MB/s    0:00:04  ",
            TransferProgress(206438400, 20, 181.09 * MIB, 4.0),
        ),
        (b"  32768   0%    0.00kB/s    0:00:00  ", TransferProgress(32768, 0, 0.0, 0.0)),
        (b"  5000   1%    1.50GB/s    12:34:56  ", TransferProgress(5000, 1, 1.5 * 1024 * MIB, 45296.0)),
        (b"  5000   1%    7.00kB/s   ??:??:??  ", TransferProgress(5000, 1, 7168.0, None)),
        (
            b"  1000 100%  192.77MB/s    0:00:04 (xfr#1, to-chk=0/1)",
            TransferProgress(1000, 100, 192.77 * MIB, None),
        ),
        (b"5f1d0c a b.plot 10 20 " + DIGEST.encode(), Done(20, DIGEST)),
        (b"DONE a b.plot 10 20 " + DIGEST.encode(), None),  # without the mark of this run
        (b"sending incremental file list", None),
        (b"5f1d0c \xff\xfe", None),
        (b"", None),
    ],
)
def test_a_line_is_read(line: bytes, news: TransferProgress | Done | None) -> None:
    assert read_line(line, MARK) == news


@given(st.lists(st.integers(0, len(OUTPUT)), max_size=30))
def test_chunks_may_end_anywhere(cuts: list[int]) -> None:
    ends = sorted({0, *cuts, len(OUTPUT)})
    chunks = [OUTPUT[start:end] for start, end in pairwise(ends)]

    news = read(chunks)

    assert [item for item in news if isinstance(item, TransferProgress)][-1].percent == 100
    assert news == read([OUTPUT])


def test_the_end_is_read_though_progress_stands_before_it_on_the_line() -> None:
    news = read([OUTPUT])

    assert Done(1000122111, DIGEST) in news


@given(st.binary(max_size=2000))
def test_no_bytes_make_it_fail(chunk: bytes) -> None:
    read([chunk, chunk])


@pytest.mark.parametrize(
    "line",
    [
        b"9" * 5000 + b"  20%  181.09MB/s    0:00:04",
        b"1  " + b"9" * 5000 + b"%  181.09MB/s    0:00:04",
        b"1  20%  1.2.3MB/s    0:00:04",
        b"1  20%  " + b"9" * 5000 + b"MB/s    0:00:04",
        b"1  20%  1.0MB/s    " + b"9" * 5000 + b":00:04",
        b"5f1d0c a " + b"9" * 5000 + b" 1 ab",
        b"5f1d0c a 1 " + b"9" * 5000 + b" ab",
        b"5f1d0c a 1 1 " + b"a" * 5000,
    ],
    ids=range(8),
)
def test_a_forged_line_of_a_server_is_skipped(line: bytes) -> None:
    assert read_line(line, MARK) is None
