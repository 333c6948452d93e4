"""Plot groups (.gplot) of several plots, packed of groups of one plot that chia_rs makes.

No released program makes such groups, and the format may still change, so only tests do.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path

from common.system.plotfile import read_header
from tests.support import formats

# Where these are in the header.
K_AT, STRENGTH_AT, SIZE_AT, META_AT, INDEX_AT, MEMO_AT = 37, 38, 39, 41, 42, 51
CHUNK_BITS = 6  # a chunk has about 64 fragments of each plot
_TABLE_LOG, _SYMBOLS = 11, 178  # of the entropy coder


def make_packed(folder: Path, k: int = 18, members: int = 4) -> Path:
    """Make a plot group of several plots, as a plotter leaves it. k18 takes a second and 640 kB for each."""
    from chia_rs import create_v2_single_plot_group
    from chia_rs.sized_bytes import bytes32

    first = formats.make_group(folder, k)
    plots = [first.read_bytes()]
    header = read_header(first)
    group_id, memo = bytes.fromhex(header.plot_id or ""), plots[0][MEMO_AT : header.data_start_bytes]
    member = first.with_suffix(".member")
    for index in range(1, members):
        create_v2_single_plot_group(str(member), k, header.strength, bytes32(group_id), index, 0, memo)
        plots.append(member.read_bytes())
        member.unlink()
    status = first.stat()
    first.write_bytes(pack(plots))
    os.utime(first, ns=(status.st_atime_ns, status.st_mtime_ns))
    return first


def pack(plots: list[bytes]) -> bytes:
    """Pack groups of one plot into one group.

    Args:
        plots: Files of one group id and memo, whose plots have the indexes 0, 1, and so on.

    Returns:
        The file. In each of its chunks the plots' fragments follow each other, each plot's shifted by the
        range of a chunk.
    """
    head = bytearray(plots[0][: MEMO_AT + plots[0][MEMO_AT - 1]])
    k, span = head[K_AT], 1 << head[K_AT] + CHUNK_BITS
    struct.pack_into("<H", head, SIZE_AT, len(plots))
    chunks = []
    for number, parts in enumerate(zip(*map(_chunks, plots), strict=True)):
        start, deltas, last = number * span, list[int](), number * span
        for member, part in enumerate(parts):
            at = start
            for delta in _deltas(part, k):
                at += delta
                deltas.append(at + member * span - last)
                last = at + member * span
        chunks.append(_chunk(deltas, k))
    struct.pack_into("<Q", head, INDEX_AT, len(head) + sum(map(len, chunks)))
    return bytes(head) + b"".join(chunks) + _index(list(map(len, chunks)), len(plots))


def with_other_last_bit(plot: bytes) -> bytes:
    """A group of one plot with one other bit: the lowest of its last fragment, which few proofs have."""
    (index_at,) = struct.unpack_from("<Q", plot, INDEX_AT)
    last = list(_chunks(plot))[-1]
    deltas = _deltas(last, plot[K_AT])
    deltas[-1] ^= 1
    return plot[: index_at - len(last)] + _chunk(deltas, plot[K_AT]) + plot[index_at:]


def _rice(members: int) -> tuple[int, int]:
    """Expected size of a chunk in bytes, and low bits of what differs from it in the index."""
    return members * 60301 >> 8, round(math.log2(math.isqrt(357 * members)))


def _chunks(plot: bytes) -> Iterator[bytes]:
    """The chunks of a group of one plot."""
    expected, low = _rice(1)
    (index_at,) = struct.unpack_from("<Q", plot, INDEX_AT)
    bits, at = _Bits(plot[index_at:]), MEMO_AT + plot[MEMO_AT - 1]
    while at < index_at:
        negative, rest, quotient = bits.take(1), bits.take(low), bits.unary()
        size = expected + (-1 if negative else 1) * (quotient << low | rest)
        yield plot[at : at + size]
        at += size


def _index(sizes: list[int], members: int) -> bytes:
    expected, low = _rice(members)
    fields = []
    for size in sizes:
        amount = abs(size - expected)
        fields += [(size < expected, 1), (amount & (1 << low) - 1, low), _unary(amount >> low)]
    return _packed(fields)


def _deltas(chunk: bytes, k: int) -> list[int]:
    size = at = 0
    while True:
        size |= (chunk[at] & 127) << 7 * at
        at += 1
        if chunk[at - 1] < 128:
            break
    bits, low, deltas = _Bits(chunk[at + size :]), k - 8, []
    for high in _decode(chunk[at : at + size]):
        rest = bits.take(low)
        deltas.append((bits.unary() * _SYMBOLS + high << low) + rest)
    return deltas


def _chunk(deltas: list[int], k: int) -> bytes:
    low, fields, highs = k - 8, [], []
    for delta in deltas:
        quotient, high = divmod(delta >> low, _SYMBOLS)
        fields += [(delta & (1 << low) - 1, low), _unary(quotient)]
        highs.append(high)
    coded = _encode(highs)
    size, length = len(coded), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return length + bytes([size]) + coded + _packed(fields)


class _Bits:
    """Bits of bytes, the lowest first."""

    def __init__(self, data: bytes) -> None:
        self._rest = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        taken, self._rest = self._rest & (1 << count) - 1, self._rest >> count
        return taken

    def unary(self) -> int:
        """How many ones are before the next zero."""
        ones = (~self._rest & self._rest + 1).bit_length() - 1
        self._rest >>= ones + 1
        return ones


def _unary(count: int) -> tuple[int, int]:
    return (1 << count) - 1, count + 1


def _packed(fields: list[tuple[int, int]]) -> bytes:
    """Values of these numbers of bits, the first in the lowest bits."""
    text = "".join(f"{value:0{bits}b}" for value, bits in reversed(fields) if bits)
    return int(text, 2).to_bytes((len(text) + 7) // 8, "little")


# The entropy coder is FSE (tANS) with two states that take turns, and a table that depends on nothing.


@cache
def _places() -> tuple[tuple[int, ...], ...]:
    """Of each symbol: its places in the table of states, in order."""
    size = 1 << _TABLE_LOG
    weights = [math.exp(-symbol / 256) for symbol in range(_SYMBOLS)]
    counts = [max(1, int(weight / sum(weights) * size + 0.5)) for weight in weights]
    counts[0] += size - sum(counts)
    step, spread = (
        (size >> 1) + (size >> 3) + 3,
        [symbol for symbol, n in enumerate(counts) for _ in range(n)],
    )
    places = sorted((symbol, turn * step % size) for turn, symbol in enumerate(spread))
    return tuple(tuple(at for _, at in each) for _, each in groupby(places, key=lambda pair: pair[0]))


@cache
def _steps() -> dict[int, tuple[int, int, int]]:
    """State -> its symbol, how many bits follow, and the next state if those are 0."""
    steps = {}
    for symbol, places in enumerate(_places()):
        for number, at in enumerate(places, len(places)):
            bits = _TABLE_LOG - number.bit_length() + 1
            steps[at] = (symbol, bits, (number << bits) - (1 << _TABLE_LOG))
    return steps


def _decode(data: bytes) -> list[int]:
    rest, steps = int.from_bytes(data, "little"), _steps()
    left, symbols = rest.bit_length() - 1, list[int]()  # a 1 marks the end

    def take(bits: int) -> int:
        nonlocal left
        left -= bits
        return rest >> left & (1 << bits) - 1 if left >= 0 else 0

    state, other = take(_TABLE_LOG), take(_TABLE_LOG)
    while left >= 0:
        symbol, bits, base = steps[state]
        symbols.append(symbol)
        state, other = other, base + take(bits)
    return [*symbols, steps[state][0]]


def _encode(symbols: list[int]) -> bytes:
    """From the last symbol to the first, since states are read in the other direction."""
    states, fields = [0, 0], list[tuple[int, int]]()
    for at in range(len(symbols) - 1, -1, -1):
        places, bits = _places()[symbols[at]], 0
        if at >= len(symbols) - 2:
            number = len(places)
        else:
            number = states[at % 2] + (1 << _TABLE_LOG)
            while number >> bits >= 2 * len(places):
                bits += 1
            fields.append((number & (1 << bits) - 1, bits))
            number >>= bits
        states[at % 2] = places[number - len(places)]
    return _packed([*fields, (states[1], _TABLE_LOG), (states[0], _TABLE_LOG), (1, 1)])
