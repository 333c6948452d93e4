"""Plot groups (.gplot): real ones of one plot, made by chia_rs, and ones of several plots packed of those.

No released program makes groups of several plots, and the format may still change, so only tests do.
"""

from __future__ import annotations

import hashlib
import math
import os
import secrets
import struct
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path

STRENGTH = 2
MEMO_AT, INDEX_AT, SIZE_AT = 51, 42, 38  # INDEX_AT: of the offset of the chunk index; SIZE_AT: strength, size
CHUNK_BITS = 6  # a chunk has about 64 fragments of each plot
_TABLE_LOG, _SYMBOLS = 11, 178  # of the entropy coder


def make_group(folder: Path, k: int = 18, members: int = 1, strength: int = STRENGTH, meta: int = 0) -> Path:
    """Make a plot group, as its plotter would: under its name, whole.

    Args:
        k: Even, 18 or more. 18 takes 0.2 s, 20 0.7 s, 22 3 s, and members as many times that.
        members: Plots of the group.
        meta: The meta group.

    Returns:
        The file.
    """
    group_id, memo = secrets.token_bytes(32), secrets.token_bytes(112)
    plots = []
    for index in range(members):
        made = folder / f"member-{index}"
        _create(made, k, strength, group_id, index, meta, memo)
        plots.append(made.read_bytes())
        made.unlink()
    path = folder / f"plot-k{k}-{group_id.hex()}.gplot"
    path.write_bytes(plots[0] if members == 1 else pack(plots))
    return path


def _create(path: Path, k: int, strength: int, group_id: bytes, index: int, meta: int, memo: bytes) -> None:
    # chia_rs is big, and not every test that imports this makes groups.
    from chia_rs import create_v2_single_plot_group
    from chia_rs.sized_bytes import bytes32

    create_v2_single_plot_group(str(path), k, strength, bytes32(group_id), index, meta, memo)


def farmed(group: Path, challenges: int = 60) -> set[int]:
    """Indexes of the plots that give valid proofs, asked of chia_rs as a farmer does. Fails for a bad one."""
    from chia_rs import Prover, solve_proof, validate_proof_v2
    from chia_rs.sized_bytes import bytes32

    prover, good = Prover(str(group)), set[int]()
    group_id, k = prover.plot_group_id(), prover.size()
    strength, meta = prover.get_strength(), prover.get_meta_group()
    for number in range(challenges):
        challenge = bytes32(hashlib.sha256(bytes([number])).digest())
        for each in prover.get_qualities_for_challenge(challenge):
            if each.plot_index in good:
                continue
            proof = solve_proof(each.chain, prover.plot_id_for_index(each.plot_index), strength, k)
            found = validate_proof_v2(group_id, each.plot_index, k, strength, meta, challenge, proof)
            assert found == each.chain.get_string(strength)
            good.add(each.plot_index)
    return good


def pack(plots: list[bytes]) -> bytes:
    """Pack groups of one plot into one group.

    Args:
        plots: Files of one group id and memo, whose plots have the indexes 0, 1, and so on.

    Returns:
        The file. In each of its chunks the plots' fragments follow each other, each plot's shifted by the
        range of a chunk.
    """
    head = bytearray(plots[0][: MEMO_AT + plots[0][MEMO_AT - 1]])
    k, span = head[37], 1 << head[37] + CHUNK_BITS
    struct.pack_into("<H", head, SIZE_AT + 1, len(plots))
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


def age(path: Path, quiet_s: float = 3600) -> Path:
    """Let the file look unchanged for this time."""
    changed = path.stat().st_mtime - quiet_s
    os.utime(path, (changed, changed))
    return path
