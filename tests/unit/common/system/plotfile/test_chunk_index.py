"""The chunk index of a plot group, against an encoder that was written from its description."""

from __future__ import annotations

import io
import math
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from common.system.plotfile import chunk_index
from common.system.plotfile.chunk_index import Shape


def encoded(sizes: list[int], plots: int) -> bytes:
    expected, low_bits = plots * 60301 >> 8, round(math.log2(math.isqrt(357 * plots)))
    bits = ""  # the first bit first
    for size in sizes:
        difference = abs(size - expected)
        quotient, low = difference >> low_bits, difference & (1 << low_bits) - 1
        bits += "1" if size < expected else "0"
        bits += f"{low:0{low_bits}b}"[::-1] + "1" * quotient + "0"
    return int(bits[::-1], 2).to_bytes(-(-len(bits) // 8), "little")


def total(index: bytes, k: int, plots: int) -> int | None:
    return chunk_index.total_bytes(io.BytesIO(index), Shape.of(k, plots), len(index))


@pytest.mark.parametrize("plots", [1, 2, 3, 32, 108, 4097, 65535])
@pytest.mark.parametrize("seed", range(4))
def test_the_sizes_of_all_chunks_are_summed_to_the_byte(plots: int, seed: int) -> None:
    numbers = random.Random(seed)
    sizes = [numbers.randrange(1, plots * 500) for _ in range(1 << 18 - 6)]
    index = encoded(sizes, plots)
    shape = Shape.of(18, plots)

    assert total(index, 18, plots) == sum(sizes)
    assert shape.least_bytes <= len(index) <= shape.most_bytes
    assert total(index[:-1], 18, plots) is None
    assert total(index + b"\0", 18, plots) is None
    assert total(index[1:], 18, plots) != sum(sizes)
    # Zeros that fill the last byte may pass for one more chunk of the expected size.
    assert total(encoded(sizes[:-1], plots), 18, plots) in (None, sum(sizes[:-1]) + shape.expected_bytes)
    assert total(encoded([*sizes, 1], plots), 18, plots) is None


def test_bits_behind_the_last_entry_are_zeros() -> None:
    for more in range(8):  # of which some leave room in the last byte
        sizes = [235] * 4095 + [235 + 16 * more]
        index = bytearray(encoded(sizes, 1))
        used = (4096 * 6 + more - 1) % 8 + 1
        assert total(bytes(index), 18, 1) == sum(sizes)
        for bit in range(used, 8):
            index[-1] ^= 1 << bit
            assert total(bytes(index), 18, 1) is None
            index[-1] ^= 1 << bit


def test_an_index_that_ends_with_an_entry_before_the_last_is_cut() -> None:
    index = encoded([235 + 32] * 4096, 1)  # 8 bits each
    assert len(index) == 4096
    assert total(index, 18, 1) == 4096 * (235 + 32)
    assert total(index[:-1], 18, 1) is None
    assert total(index + index[:1], 18, 1) is None


@pytest.mark.parametrize("missing_bytes", [1, 2, 4096])
def test_a_file_that_becomes_shorter_while_it_is_read_is_cut(missing_bytes: int) -> None:
    index = encoded([235 + 32] * 4096, 1)
    cut = io.BytesIO(index[: len(index) - missing_bytes])
    assert chunk_index.total_bytes(cut, Shape.of(18, 1), len(index)) is None


def test_the_index_of_the_networks_size_is_not_read_entry_by_entry() -> None:
    """4 MB, read once for each plot."""
    shape = Shape.of(28, 1)
    pattern = encoded([235 + 16] * 8, 1)  # 8 entries of 7 bits end a byte
    index = pattern * (shape.entries // 8)
    began_s = time.process_time()
    assert total(index, 28, 1) == shape.entries * (235 + 16)
    assert time.process_time() - began_s < 30, "no index takes minutes"


def test_the_rest_after_a_block_is_as_long_as_the_block_took_and_the_turn_is_kept_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock_s, walk, rests = [100.0], chunk_index._walk, []

    def slow(*args: object) -> object:
        clock_s[0] += 7.0
        return walk(*args)  # type: ignore[arg-type]

    def rest(seconds: float) -> None:
        assert chunk_index._TURN.locked()
        rests.append(seconds)

    monkeypatch.setattr(chunk_index, "_walk", slow)
    monkeypatch.setattr(chunk_index, "_READ_BYTES", 1024)
    monkeypatch.setattr(time, "monotonic", lambda: clock_s[0])
    monkeypatch.setattr(time, "sleep", rest)
    assert total(encoded([235 + 32] * 4096, 1), 18, 1) == 4096 * (235 + 32)
    assert rests == [7.0] * 4
    assert not chunk_index._TURN.locked()


class Hanging(io.BytesIO):
    """An index on a drive that hangs until it is freed."""

    def __init__(self, index: bytes) -> None:
        super().__init__(index)
        self.reached, self.freed = threading.Event(), threading.Event()

    def read(self, size: int | None = -1) -> bytes:
        self.reached.set()
        assert self.freed.wait(60)
        return super().read(size)


@contextmanager
def reading(file: io.BytesIO, index: bytes) -> Iterator[list[int | None]]:
    """Read an index in another thread; afterwards its total is there."""
    found: list[int | None] = []
    shape = Shape.of(18, 1)
    thread = threading.Thread(
        target=lambda: found.append(chunk_index.total_bytes(file, shape, len(index))), daemon=True
    )
    thread.start()
    yield found
    thread.join(60)
    assert not thread.is_alive()


def test_a_drive_that_hangs_does_not_hold_up_the_index_of_another() -> None:
    index = encoded([235 + 32] * 4096, 1)
    hanging = Hanging(index)
    with reading(hanging, index) as found:
        assert hanging.reached.wait(60)
        with reading(io.BytesIO(index), index) as other:
            pass
        assert (other, found) == ([4096 * (235 + 32)], [])
        hanging.freed.set()
    assert found == other
