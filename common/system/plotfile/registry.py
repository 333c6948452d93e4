"""All formats of plots: which one a file has, its header, and whether it is whole."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO, Protocol

from common.system.openfile import open_regular
from common.system.plotfile import bladebit, pos2_group, pos2_raw, v1
from common.system.plotfile.header import Header, Impossible, NotAPlot
from common.system.plotfile.wholeness import Verdict, Wholeness, truncated, zeros_at


class Format(Protocol):
    """A module of this package. `head` is the beginning of a file with the magic."""

    MAGIC: bytes

    def parse(self, head: bytes) -> Header:
        """Raises struct.error or IndexError if the file ends within its header, Impossible for other values
        than plotters write."""

    def length(self, file: BinaryIO, size_bytes: int, header: Header) -> Wholeness:
        """Judge by the length alone."""

    def data_range(self, size_bytes: int, header: Header) -> tuple[int, int, int]:
        """Where data must lie, (beginning, end), and how many zeros in a row are not legitimate; in bytes."""


FORMATS: tuple[Format, ...] = (v1, bladebit, pos2_raw, pos2_group)
_HEAD_BYTES = 1024  # more than any header


def read_header(path: str | Path) -> Header:
    """Read a plot's header. Raises NotAPlot, or OSError where the file cannot be read."""
    with open_regular(path, os.O_NONBLOCK) as file:
        head = file.read(_HEAD_BYTES)
    try:
        for one in FORMATS:
            if head.startswith(one.MAGIC):
                return one.parse(head)
    except (struct.error, IndexError) as error:
        raise NotAPlot(f"{path} ends within its header ({len(head)} bytes).", short=True) from error
    except Impossible as error:
        raise NotAPlot(f"{path} has the header of a plot {error}.") from error
    if any(one.MAGIC.startswith(head) for one in FORMATS):
        raise NotAPlot(f"{path} ends within its header ({len(head)} bytes).", short=True)
    raise NotAPlot(f"{path} is no plot: it begins with {head[:19].hex(' ')}.")


def whole(path: str | Path, header: Header) -> Wholeness:
    """Judge whether all bytes of a plot are there: by its length, and by a few dozen blocks of its data.

    Reads 130 kB, and the index of a plot group (k28: 4 to 6 MB, 0.1 to 0.3 s, and a rest of the
    same length; see chunk_index). Damage elsewhere is not found: that takes proofs, or a digest.

    Args:
        path: Of the plot.
        header: Of this file, as `read_header` gives it.

    Raises:
        OSError: The file cannot be read.
    """
    found = judge_length(path, header)
    return found if found.verdict is Verdict.TRUNCATED else judge_data(path, header) or found


def judge_length(path: str | Path, header: Header) -> Wholeness:
    """The first half of `whole`: by the length alone. Raises OSError."""
    with open_regular(path, os.O_NONBLOCK) as file:
        return _format_of(header).length(file, os.fstat(file.fileno()).st_size, header)


def judge_data(path: str | Path, header: Header) -> Wholeness | None:
    """The second half of `whole`: TRUNCATED if there are zeros in place of data, else None. Raises
    OSError."""
    with open_regular(path, os.O_NONBLOCK) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        at = zeros_at(file, *_format_of(header).data_range(size_bytes, header))
    return None if at is None else truncated(f"zeros at byte {at}")


def _format_of(header: Header) -> Format:
    """No format string of a v1 header has a space in it, so that none passes for another format."""
    word = header.format.partition(" ")[0] if " " in header.format else ""
    named: dict[str, Format] = {"bladebit": bladebit, "pos2": pos2_raw, "PoS2": pos2_group}
    return named.get(word, v1)
