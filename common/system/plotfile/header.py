"""What a plot's header says, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import PlotmanError
from common.model.figures import LONGEST_LABEL
from common.model.plot_class import PlotClass, PoolKind
from common.model.text import one_line


class NotAPlot(PlotmanError):
    """The file has no plot's header. short: it ends within the header."""

    def __init__(self, what: str, short: bool = False) -> None:
        super().__init__(what)
        self.short = short


class Impossible(Exception):
    """A header has a value that no plotter writes. Its text completes "has the header of a plot"."""


@dataclass(frozen=True, slots=True)
class Pool:
    """public: hexadecimal; the pool's public key (48 bytes) or the puzzle hash of the contract (32 bytes)."""

    kind: PoolKind
    public: str


@dataclass(frozen=True, slots=True)
class Header:
    """A plot's header. None and () stand for unknown fields of a format.

    format: "v1.0", "bladebit 2", "pos2 01", "pos2 02", "PoS2 02", "PoS2 82"; any other word is the format
        string of Gigahorse or DrPlotter as it stands in the file ("mmx-v2.4").
    plot_id: 64 hex digits. Of a plot group ("PoS2 02") and of one of its members ("pos2 02"): the id of the
        group.
    compression: level; 0: none. Gigahorse writes it into the name only.
    group_size: number of plots in the file; 1 except in a group.
    memo_len: in bytes. The memo itself is not kept: it holds a secret key.
    table_pointers, table_sizes: of tables 1-7, C1, C2, C3; in bytes, pointers from the beginning of the file.
    data_start_bytes: where header and memo end. index_start_bytes: where the chunk index of a group begins; 0
        while the file is being written.
    unfarmable: why no network or no released software accepts the plot; None: they do, or that is not known.
    is_product: whether a plotter made it to be farmed; if not, plotman leaves it where it is.
    """

    format: str
    plot_id: str | None = None
    k: int | None = None
    compression: int | None = None
    strength: int | None = None
    group_size: int | None = None
    meta_group: int | None = None
    pool: Pool | None = None
    memo_len: int | None = None
    table_pointers: tuple[int, ...] = ()
    table_sizes: tuple[int, ...] = ()
    data_start_bytes: int | None = None
    index_start_bytes: int | None = None
    unfarmable: str | None = None
    is_product: bool = True

    @property
    def tables_start_bytes(self) -> int:
        """Where the first table begins; the end of the header if it names no table, 0 if that is unknown.

        bladebit pads its header with zeros to a block of the file system (st_blksize): 128 KiB with ZFS, up
        to 1 MiB with NFS and SMB.
        """
        return max(self.data_start_bytes or 0, min(filter(None, self.table_pointers), default=0))

    def plot_class(self, level_in_name: int | None = None) -> PlotClass:
        """The class of its plots. level_in_name: of compression, where the header does not give it."""
        return PlotClass(
            format=one_line(self.format, LONGEST_LABEL),
            k=self.k,
            compression=level_in_name if self.compression is None else self.compression,
            strength=self.strength,
            pool=self.pool and self.pool.kind,
            pool_key=self.pool and self.pool.public,
            unfarmable=self.unfarmable is not None,
        )


# A memo is the pool's part, the farmer's public key (48 bytes), and a secret key (32).
_POOL_PARTS = {128: (PoolKind.KEY, 48), 112: (PoolKind.CONTRACT, 32)}
MEMO_LENGTHS = tuple(_POOL_PARTS)

K_LEAST, K_MOST = 16, 50  # madMAx's least; kMaxPlotSize of chiapos, pos_constants.hpp


def pool_of(head: bytes, memo_start: int, memo_len: int) -> Pool | None:
    """The pool's part of a memo; None for a memo of another kind than chia's. Nothing else of it is read.

    Args:
        head: The beginning of the file.
        memo_start: Where the memo begins in it.
        memo_len: In bytes.

    Raises:
        IndexError: `head` ends before the memo does.
    """
    if memo_start + memo_len > len(head):
        raise IndexError
    if memo_len not in _POOL_PARTS:
        return None
    kind, part_len = _POOL_PARTS[memo_len]
    return Pool(kind, head[memo_start : memo_start + part_len].hex())


def check_k_of_v1(k: int) -> None:
    if not K_LEAST <= k <= K_MOST:
        raise Impossible(f"of k{k}")


def check_memo_of_v1(memo_len: int) -> None:
    """chiapos accepts a memo of any length, chia uses two of them; more than twice that is no header."""
    if memo_len > 2 * max(MEMO_LENGTHS):
        raise Impossible(f"with a memo of {memo_len} bytes")
